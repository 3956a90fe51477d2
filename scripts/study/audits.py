"""What the studies of the audit share: training what is missing, and copies with planted errors."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from yolo_wiou.compare.run import Run
from yolo_wiou.compare.runner import LocalJob, train
from yolo_wiou.data.planting import PLANTED, PlantConfig, plant
from yolo_wiou.losses import load_config
from yolo_wiou.losses.presets import as_plain
from yolo_wiou.training.preflight import describe, images_of


def a_run(data: str, file: Path, seed: int, arguments: dict[str, Any], loss: str = "ciou", **more: Any) -> Run:
    """Return a training that records its labels, judged by its last epoch."""
    spec = as_plain(load_config(loss))
    arguments = {**arguments, "data": str(file), "audit": True}
    return Run(data=data, loss=loss, seed=seed, spec=spec, arguments=arguments, checkpoints=("last",), **more)


def finish(runs: Iterable[Run], out: Path, jobs: int) -> None:
    """Train what is missing."""
    for run in train(runs, out, LocalJob, jobs):
        print(f"{run}: {'done' if run.is_finished(out) else 'failed'}", flush=True)


def planted_copy(source: Path, folder: Path, seed: int) -> Path:
    """Plant errors into a copy of the training labels, unless it is there; returns its data.yaml."""
    if not (folder / PLANTED).is_file():
        description = describe(source)
        plant(folder, description, images_of(description, "train"), config=PlantConfig(seed=seed))
    return folder / "data.yaml"


def save(results: Any, file: Path) -> None:
    """Write what a study found."""
    file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
