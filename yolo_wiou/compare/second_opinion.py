"""Ultralytics' own AP of every checkpoint: far from ours, one of the two takes images or labels for something else."""

from collections.abc import Iterable
from pathlib import Path

from yolo_wiou.compare.coco import ultralytics_file
from yolo_wiou.compare.evaluation import EvaluatedRun
from yolo_wiou.compare.run import AP_COLUMN, DAMAGED
from yolo_wiou.files import read_json

FAR = 0.1
"""More than COCO's rules and Ultralytics' own differ by."""


def far_from_ultralytics(runs: Iterable[EvaluatedRun]) -> list[str]:
    """Say so where our AP of a checkpoint is far from Ultralytics', in a sentence that names the worst."""
    apart = []
    for run in runs:
        for checkpoint, metrics in run.metrics.items():
            theirs = ultralytics_ap(run.record.folder, checkpoint)
            if theirs is not None and metrics.AP is not None and abs(theirs - metrics.AP) > FAR:
                name = f"{run.record.run.loss} seed {run.record.run.seed}, {checkpoint} epoch"
                numbers = f"{100 * metrics.AP:.2f} here, {100 * theirs:.2f} there"
                apart.append((abs(theirs - metrics.AP), f"{name}: {numbers}"))
    if not apart:
        return []
    return [
        "AP here and by Ultralytics' own validation of the same checkpoint are far apart, most for "
        f"{max(apart)[1]}. One of the two takes images or labels for something else: find out which first."
    ]


def ultralytics_ap(folder: Path, checkpoint: str) -> float | None:
    """Return the AP, in [0, 1], that Ultralytics gives a checkpoint of the run in a folder; or None."""
    try:
        return float(read_json(folder / ultralytics_file(checkpoint))[AP_COLUMN])
    except DAMAGED:
        return None
