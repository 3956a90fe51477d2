"""The study of real images from the start that users have: what helps on loose boxes, and what does harm elsewhere?

    python scripts/study/real.py BCCD BCCD_TXL WEIGHTS [OUT] [jobs=1] [only=STUDY,...] [control=false]

BCCD is github.com/Shenggan/BCCD_Dataset in YOLO's layout (the folder of bccd.yaml), BCCD_TXL a second annotation of 221
of its images, of which the boxes that both annotators drew are taken: 150 images to train on, 71 to judge on, which are
always judged by the second annotation. WEIGHTS holds COCO-pretrained yolov8n-coco.pt and yolo11n-coco.pt.

Training boxes: "exact" are the second annotation's own, "loose" has 40 % of them moved at every edge by up to 30 % of
the box, "outliers" 5 % moved by their own size, and "real" are the first annotation's boxes of the same objects.
The last epoch is quoted, so no image is used for a choice. control=auto puts an equally heavy CIoU beside every loss
that is heavier or lighter than CIoU, as `compare` does. OUT (default runs/study_real) holds everything, a folder for
each study; about two minutes a run on one CPU core. It goes on where it stopped.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from bccd import SOURCE, spoil
from bccd_txl import FINETUNE, write_data
from studies import parse, run_studies

from yolo_wiou.compare.study import Study

NEEDED = {"BCCD": SOURCE, "BCCD_TXL": "labels/txl", "WEIGHTS": "yolov8n-coco.pt"}
SCRATCH: dict[str, Any] = {**FINETUNE, "model": "yolov8n.yaml", "epochs": 60, "close_mosaic": 10, "optimizer": "auto"}
NOISE: dict[str, dict[str, float]] = {
    "exact": {},
    "loose": {"noise": 0.4, "jitter": 0.3},
    "outliers": {"outliers": 0.05},
}
SPOILT = "noise.csv"
"""Which boxes were changed: the last file of a data set that is written."""
OTHERS = ("wiou3", "iou-balanced", "alpha-ciou")
JUDGED = range(12)
"""Seeds that nothing was chosen by: what `trust` was chosen by are those from 100 on."""


def studies(out: Path, *sources: Path) -> dict[str, Study]:
    """Return the studies, the most important first. They were written down before any of their runs."""

    def ask(losses: tuple[str, ...], data: tuple[str, ...], arguments: dict[str, Any], start: str = "") -> Study:
        return Study(
            losses={loss: loss for loss in ("ciou", *losses)},
            data={f"{start}{name}": str(out / "data" / name / "data.yaml") for name in data},
            seeds=tuple(JUDGED),
            arguments=arguments,
            eval_data=str(out / "data" / "exact" / "data.yaml"),
            checkpoints=("last",),
        )

    v8, v11 = ({**FINETUNE, "model": str(sources[-1] / f"{name}-coco.pt")} for name in ("yolov8n", "yolo11n"))
    return {
        "loose": ask(("trust",), ("loose",), v8),
        "exact": ask(("trust",), ("exact",), v8),
        "elsewhere": ask(("trust",), ("real", "outliers"), v8),
        "scratch": ask(("trust",), ("exact",), SCRATCH, "scratch-"),
        "scratch-loose": ask(("trust",), ("loose",), SCRATCH, "scratch-"),
        "others": ask(OTHERS, ("loose",), v8),
        "others-elsewhere": ask(OTHERS, ("exact", "real", "outliers"), v8),
        "yolo11n": ask(("trust",), ("loose", "exact"), v11, "yolo11n-"),
    }


def prepare_data(bccd: Path, txl: Path, folder: Path) -> None:
    """Write the data sets, unless they are there."""
    for name in (*NOISE, "real"):
        root = folder / name
        if not (root / SPOILT).exists():
            write_data(bccd, txl, root, "matched-bccd" if name == "real" else "matched-txl", "matched-txl")
            spoil(root / "labels" / "train", root / SPOILT, **NOISE.get(name, {}))


def main(*argv: str) -> None:
    """Train what is missing, study by study, and report."""
    request = parse(argv, NEEDED, "runs/study_real", studies)
    bccd, txl, _ = request.sources
    prepare_data(bccd, txl, request.out / "data")
    sys.exit(run_studies(request))


if __name__ == "__main__":
    main(*sys.argv[1:])
