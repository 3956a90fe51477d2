"""Noise recovery: how much of what loose training boxes cost does a loss win back? Goes on where it stopped.

    python scripts/study/noise.py [OUT] [jobs=1] [only=STUDY,...]

A yolo11n is trained with stock CIoU on 2,500 clean rendered images. Every run then fine-tunes it on 300 others, of
whose boxes some are wrong to a known degree, and is judged on 800 clean images. Recovery is

    (loss on noisy boxes - ciou on noisy boxes) / (ciou on clean boxes - ciou on noisy boxes)

for AP, AP75 and AP90. OUT (default runs/study_noise) holds everything, a folder for each study (all of them unless
some are named); about 70 seconds per run on one core.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from studies import parse, run_studies

from yolo_wiou.compare.study import Study, label
from yolo_wiou.data.shapes import ShapesConfig, render_dataset
from yolo_wiou.losses.presets import available_losses, load_config
from yolo_wiou.training.model import YOLO

SIZE = 128
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
FALLING = ("iou-balanced-loc", "focal-eiou")
HEAVY = "ciou weight=1.5"
"""CIoU with the mean gain of the IoU-balanced losses."""
WITH_GAIN = ("wiou2", "wiou3", "iou-balanced-loc", "focal-eiou", "piou2", "ciou-v3", "siou-v3")
SWEEPS = (
    ("wiou3", "gain.delta", (2.0, 4.0, 5.0, 6.0)),
    ("wiou3", "gain.alpha", (1.4, 1.6, 2.5)),
    ("wiou2", "gain.gamma", (0.25, 1.0)),
    ("iou-balanced-loc", "gain.lam", (0.5, 1.0, 2.0)),
)


def studies(out: Path) -> dict[str, Study]:
    """Return the studies, the most important first.

    "falling" was added when the first seeds of "wise" showed that gains which grow with the IoU loss do worse: it has
    gains that fall with it, among them Wise-IoU's own with its peak moved to β = 1/ln 10, and shares the runs of CIoU.
    "outliers-falling" asks the same of gross outliers, once "outliers" was known.
    "presets" (those that no question above has), "dfl", "sweeps" and "jitter" have many losses and few seeds, fixed
    before any of their runs by the time that there was: they are looked at, not judged. The two best of the first seed
    of "presets" are judged by "confirmed", on seeds that nothing was chosen by, and by "confirmed-exact". "heavy" is
    the control for losses that weigh more than CIoU on the whole, on the seeds of all that need it.
    """
    named: dict[str, dict[str, Any]] = {name: {} for name in available_losses()}
    others = {name: named[name] for name in named if name not in (*WISE, *FALLING)}

    def ask(losses: Mapping[str, Mapping[str, Any]], noises: Sequence[str], seeds: Sequence[int]) -> Study:
        """Compare losses, by the name that a label starts with and what is changed of it, with CIoU."""
        return Study(
            losses={name: load_config(name.split()[0], changes) for name, changes in {"ciou": {}, **losses}.items()},
            data={noise: str(data_file(out, noise)) for noise in noises},
            seeds=tuple(seeds),
            arguments={**FINETUNE, "model": str(out / "pretrained.pt")},
            eval_data=str(data_file(out, "judge")),
            checkpoints=("last",),
        )

    wise = {loss: named[loss] for loss in WISE}
    with_dfl = {label(loss, {"gain.dfl": True}): {"gain.dfl": True} for loss in WITH_GAIN}
    turned = {"gain.alpha": 10.0, "gain.delta": 1.0}
    falling = {**{loss: named[loss] for loss in FALLING}, label("wiou3", turned): turned}
    loose = {loss: named[loss] for loss in ("wiou3", "iou-balanced-loc")}
    best = {loss: named[loss] for loss in ("iou-balanced", "alpha-ciou")}
    swept = {label(loss, {key: value}): {key: value} for loss, key, values in SWEEPS for value in values}
    return {
        "wise": ask(wise, ["jitter40"], seeds=range(8)),
        "falling": ask(falling, ["jitter40"], seeds=range(7)),
        "exact": ask({"iou-balanced-loc": {}}, ["clean"], seeds=range(6)),
        "outliers": ask(wise, ["outliers5"], seeds=range(8)),
        "outliers-falling": ask(falling, ["outliers5"], seeds=range(7)),
        "clean": ask(wise, ["clean"], seeds=range(7)),
        "confirmed": ask(best, ["jitter40"], seeds=range(10, 17)),
        "confirmed-exact": ask(best, ["clean"], seeds=range(7)),
        "heavy": ask({HEAVY: {"gain.name": "constant", "gain.weight": 1.5}}, ["jitter40"], [*range(7), *range(10, 17)]),
        "presets": ask(others, ["jitter40"], seeds=range(2)),
        "dfl": ask(with_dfl, ["jitter40"], seeds=range(2)),
        "sweeps": ask(swept, ["jitter40"], seeds=range(2)),
        "jitter": ask(loose, ("jitter20", "jitter10"), seeds=range(2)),
    }


def data_file(out: Path, name: str) -> Path:
    """Where the data.yaml of one of the data sets lies."""
    return out / "data" / name / "data.yaml"


def render(out: Path, name: str) -> Path:
    """Render one of the data sets, unless it is there; returns its data.yaml."""
    if name == "pretrain":
        config = ShapesConfig(train=2500, val=200, imgsz=SIZE, seed=1)
    elif name == "judge":
        config = ShapesConfig(train=1, val=800, imgsz=SIZE, seed=2)
    else:
        config = ShapesConfig(train=300, val=50, imgsz=SIZE, seed=3, **NOISE[name])
    return render_dataset(data_file(out, name).parent, config)


def pretrain(out: Path) -> None:
    """Train the common start with stock CIoU, unless it is there."""
    weights = out / "pretrained.pt"
    if not weights.exists():
        model = YOLO("yolo11n.yaml")
        data = render(out, "pretrain")
        model.train(data=data, loss="ciou", project=out, name="pretrain", exist_ok=True, plots=False, **PRETRAIN)
        shutil.copy(model.trainer.last, weights)


def prepare(out: Path) -> None:
    """Render the data and train the common start, unless they are there."""
    for name in (*NOISE, "judge"):
        render(out, name)
    pretrain(out)


def main(*argv: str) -> None:
    """Train what is missing, and report."""
    request = parse(argv, {}, "runs/study_noise", studies)
    prepare(request.out)
    sys.exit(run_studies(request))


if __name__ == "__main__":
    main(*sys.argv[1:])
