"""Noise recovery: how much of what loose training boxes cost does a loss win back? Goes on where it stopped.

    python scripts/study_noise.py [OUT] [jobs=1]

A yolo11n is trained with stock CIoU on 2,500 clean rendered images. Every run then fine-tunes it on 300 others, of
whose boxes some are wrong to a known degree, and is judged on 800 clean images. Recovery is

    (loss on noisy boxes - ciou on noisy boxes) / (ciou on clean boxes - ciou on noisy boxes)

for AP, AP75 and AP90. OUT (default runs/study_noise) holds everything; about 70 seconds a run on one core.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from yolo_wiou.config import available_losses, load_config
from yolo_wiou.data.shapes import ShapesConfig, render_dataset
from yolo_wiou.studies.compare.conduct import conduct, write_report
from yolo_wiou.studies.compare.plan import Study, label
from yolo_wiou.studies.compare.run import Run
from yolo_wiou.training.model import YOLO

SIZE, SEEDS = 128, 6
PRETRAIN: dict[str, Any] = {"imgsz": SIZE, "epochs": 30, "batch": 16, "nbs": 16, "optimizer": "AdamW", "lr0": 0.002}
FINETUNE: dict[str, Any] = {
    "imgsz": SIZE,
    "epochs": 12,
    "batch": 8,
    "nbs": 8,
    "optimizer": "AdamW",
    "lr0": 0.001,
    "warmup_epochs": 1,
    "close_mosaic": 4,
    "workers": 0,
    "val": False,
}
NOISE: dict[str, dict[str, float]] = {
    "clean": {},
    "jitter40": {"noise": 0.4, "jitter": 0.4},
    "outliers5": {"outliers": 0.05},
    "jitter20": {"noise": 0.4, "jitter": 0.2},
    "jitter10": {"noise": 0.4, "jitter": 0.1},
}
"""Share of the boxes that are wrong, and by how much of their size."""

WISE = ("wiou1", "wiou2", "wiou3")
WITH_GAIN = ("wiou2", "wiou3", "iou-balanced-loc", "focal-eiou", "piou2", "ciou-v3", "siou-v3")
SWEEPS = (
    ("wiou3", "gain.delta", (2.0, 4.0, 5.0, 6.0)),
    ("wiou3", "gain.alpha", (1.4, 1.6, 2.5)),
    ("wiou2", "gain.gamma", (0.25, 1.0)),
    ("iou-balanced-loc", "gain.lam", (0.5, 1.0, 2.0)),
)


Trained: TypeAlias = tuple[str, str, dict[str, Any]]
"""The noise, the loss, and what is changed of it."""


def questions() -> Iterator[list[Trained]]:
    """Yield what answers one question after the other, in the order of their importance."""
    yield [("clean", "ciou", {})]
    for noise in ("jitter40", "outliers5"):
        yield [(noise, loss, {}) for loss in ("ciou", *WISE)]
    yield [(noise, loss, {"gain.dfl": True}) for loss in WISE[1:] for noise in ("jitter40", "outliers5")]
    yield [("jitter40", loss, {}) for loss in available_losses()]
    yield [("jitter40", loss, {"gain.dfl": True}) for loss in WITH_GAIN]
    yield [("jitter40", loss, {setting: value}) for loss, setting, values in SWEEPS for value in values]
    for noise in ("jitter20", "jitter10"):
        yield [(noise, loss, {}) for loss in ("ciou", *WISE)]


def plan(out: Path) -> tuple[Study, list[Run]]:
    """Return the study, and those of its runs that are trained: question by question, each seed by seed."""
    study = Study(
        losses={
            label(loss, changes): load_config(loss, changes).spec for group in questions() for _, loss, changes in group
        },
        data={noise: str(render(out, noise)) for noise in NOISE},
        seeds=tuple(range(SEEDS)),
        arguments={**FINETUNE, "model": str(out / "pretrained.pt")},
        judge=str(render(out, "judge")),
        checkpoints=("last",),
    )
    runs = {(run.data, run.loss, run.seed): run for run in study.runs()}
    wanted = [
        (noise, label(loss, changes), seed)
        for group in questions()
        for seed in study.seeds
        for noise, loss, changes in group
    ]
    return study, [runs[key] for key in dict.fromkeys(wanted)]


def render(out: Path, name: str) -> Path:
    """Render one of the data sets; returns its data.yaml."""
    if name == "pretrain":
        config = ShapesConfig(train=2500, val=200, imgsz=SIZE, seed=1)
    elif name == "judge":
        config = ShapesConfig(train=1, val=800, imgsz=SIZE, seed=2)
    else:
        config = ShapesConfig(train=300, val=50, imgsz=SIZE, seed=3, **NOISE[name])
    return render_dataset(out / "data" / name, config)


def pretrain(out: Path) -> None:
    """Train the common start with stock CIoU, unless it is there."""
    weights = out / "pretrained.pt"
    if not weights.exists():
        model = YOLO("yolo11n.yaml")
        data = render(out, "pretrain")
        model.train(data=data, loss="ciou", project=out, name="pretrain", exist_ok=True, plots=False, **PRETRAIN)
        shutil.copy(model.trainer.last, weights)


def main(*words: str) -> None:
    """Train what is missing, and report."""
    options = dict(word.split("=") for word in words if "=" in word)
    out = Path(next((word for word in words if "=" not in word), "runs/study_noise")).resolve()
    pretrain(out)
    study, runs = plan(out)
    with study.claim(out):
        code = conduct(study, out, jobs=int(options.get("jobs", 1)), runs=runs)
        write_report(study, out)
    sys.exit(code)


if __name__ == "__main__":
    main(*sys.argv[1:])
