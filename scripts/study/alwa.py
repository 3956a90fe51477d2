"""ALWA where it can act: does it help where the losses weigh 1 : 1, as its authors weigh them? Few seeds, no verdict.

    python scripts/study/alwa.py [OUT] [jobs=1] [only=STUDY,...]

A yolo11n is trained from scratch on 400 rendered images of 64 px, 400 steps, which are four of ALWA's windows, and
judged on 400 others. "equal" has all gains at 1, "stock" Ultralytics' own (box=7.5 cls=0.5 dfl=1.5); the same seed is
the same stream of images in both. OUT (default runs/study_alwa) holds everything, a folder for each study; about 80
seconds per run on one core. Every run is added to docs/study/alwa.csv.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from results import publish
from studies import parse, run_studies

from yolo_wiou.compare.study import Study
from yolo_wiou.data.shapes import ShapesConfig, render_dataset

SIZE = 64
TRAIN: dict[str, Any] = {
    "model": "yolo11n.yaml",
    "imgsz": SIZE,
    "epochs": 8,
    "batch": 8,
    "nbs": 8,
    "optimizer": "AdamW",
    "lr0": 0.002,
    "close_mosaic": 2,
    "workers": 0,
    "val": False,
}
EQUAL = {"box": 1.0, "cls": 1.0, "dfl": 1.0}


def studies(out: Path) -> dict[str, Study]:
    """Return the studies, the one that asks the question first; where the gains are stock, ALWA changes nothing."""

    def ask(name: str, gains: dict[str, float], seeds: int) -> Study:
        """Compare ALWA with CIoU; the data set, which all share, is called after the gains."""
        return Study(
            losses={"ciou": "ciou", "alwa": "alwa"},
            data={name: str(data_file(out))},
            seeds=tuple(range(seeds)),
            arguments={**TRAIN, **gains},
            checkpoints=("last",),
        )

    return {"equal": ask("equal gains", EQUAL, seeds=4), "stock": ask("stock gains", {}, seeds=2)}


def data_file(out: Path) -> Path:
    """Where the data.yaml of the rendered images lies."""
    return out / "data" / "data.yaml"


def main(*argv: str) -> None:
    """Train what is missing, and report."""
    request = parse(argv, {}, "runs/study_alwa", studies)
    config = ShapesConfig(train=400, val=400, imgsz=SIZE, seed=7, sizes=(0.15, 0.5))
    render_dataset(data_file(request.out).parent, config)
    code = run_studies(request)
    publish("alwa", request.out, request.studies)
    sys.exit(code)


if __name__ == "__main__":
    main(*sys.argv[1:])
