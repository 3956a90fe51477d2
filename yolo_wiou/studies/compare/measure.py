"""Average precision of a run's detections, by COCO's own rules (faster-coco-eval)."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np

from yolo_wiou.studies.compare.run import TRUTH, read_json

FIGURES = ("AP", "AP50", "AP75", "AP80", "AP90", "AP_small", "AP_medium", "AP_large")


def measure(folder: Path, checkpoint: str) -> dict[str, Any]:
    """Measure a finished run's checkpoint: `figures` of its `evaluate`."""
    return figures(evaluate(folder, checkpoint))


def evaluate(folder: Path, checkpoint: str) -> Any:
    """Evaluate a finished run's checkpoint: an evaluated and accumulated `COCOeval_faster`."""
    from faster_coco_eval import COCO, COCOeval_faster

    truth = COCO(read_json(folder / TRUTH))
    found = np.load(folder / f"detections-{checkpoint}.npz")["detections"].astype(np.float64)
    evaluation = COCOeval_faster(truth, truth.loadRes(found), iouType="bbox", print_function=lambda *_: None)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def figures(evaluation: Any) -> dict[str, Any]:
    """Read the figures of an evaluation.

    Returns:
        Every one of FIGURES in [0, 1] (NaN where no box has that size), `by_threshold` for IoU 0.50 to 0.95, and
        `by_class`, AP by class name. At most 100 detections an image and class, as COCO has it.
    """
    precision = evaluation.eval["precision"][..., -1]  # (thresholds, recalls, classes, sizes)
    precision = np.where(precision < 0, np.nan, precision)
    thresholds = np.round(evaluation.params.iouThrs, 2)
    by_threshold = {f"{t:.2f}": _mean(precision[i, :, :, 0]) for i, t in enumerate(thresholds)}
    names = {category["id"]: category["name"] for category in evaluation.cocoGt.dataset["categories"]}
    return {
        "AP": _mean(precision[..., 0]),
        **{f"AP{level}": by_threshold[f"0.{level}"] for level in (50, 75, 80, 90)},
        **{f"AP_{size}": _mean(precision[..., i]) for i, size in enumerate(("small", "medium", "large"), 1)},
        "by_threshold": by_threshold,
        "by_class": {names[c]: _mean(precision[:, :, i, 0]) for i, c in enumerate(evaluation.params.catIds)},
    }


def _mean(values: Any) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
