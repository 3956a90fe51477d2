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

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from studies import parse, run_studies

from yolo_wiou.compare.study import Study
from yolo_wiou.data.noise import add_noise, decimals

FINETUNE: dict[str, Any] = {
    "imgsz": 256,
    "batch": 8,
    "nbs": 8,
    "epochs": 20,
    "close_mosaic": 5,
    "optimizer": "AdamW",
    "lr0": 7e-4,
    "warmup_epochs": 1,
    "cache": "ram",
    "workers": 0,
    "amp": False,
    "val": False,
}
SCRATCH: dict[str, Any] = {**FINETUNE, "model": "yolov8n.yaml", "epochs": 60, "close_mosaic": 10, "optimizer": "auto"}
NOISE: dict[str, dict[str, float]] = {
    "exact": {},
    "loose": {"noise": 0.4, "jitter": 0.3},
    "outliers": {"outliers": 0.05},
}
OTHERS = ("wiou3", "iou-balanced", "alpha-ciou")
JUDGED = range(12)
"""Seeds that nothing was chosen by: what `trust` was chosen by are those from 100 on."""


def studies(out: Path, weights: Path) -> dict[str, Study]:
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

    v8, v11 = ({**FINETUNE, "model": str(weights / f"{name}-coco.pt")} for name in ("yolov8n", "yolo11n"))
    return {
        "loose": ask(("trust",), ("loose",), v8),
        "exact": ask(("trust",), ("exact",), v8),
        "elsewhere": ask(("trust",), ("real", "outliers"), v8),
        "scratch": ask(("trust",), ("loose", "exact"), SCRATCH, "scratch-"),
        "others": ask(OTHERS, ("loose", "exact", "real", "outliers"), v8),
        "yolo11n": ask(("trust",), ("loose", "exact"), v11, "yolo11n-"),
    }


def prepare_data(bccd: Path, txl: Path, folder: Path) -> None:
    """Write the data sets, unless they are there."""
    names = yaml.safe_load((bccd / "bccd.yaml").read_text(encoding="utf-8"))["names"]
    images = {file.stem: file for file in (bccd / "images").rglob("*.jpg")}
    for name in (*NOISE, "real"):
        root = folder / name
        if (root / "data.yaml").exists():
            continue
        shutil.rmtree(root, ignore_errors=True)
        for split in ("train", "val"):
            drawn = "matched-bccd" if (name, split) == ("real", "train") else "matched-txl"
            for kind in ("images", "labels"):
                (root / kind / split).mkdir(parents=True)
            for stem in (txl / f"{split}.txt").read_text(encoding="utf-8").split():
                shutil.copy(images[stem], root / "images" / split)
                shutil.copy(txl / "labels" / drawn / f"{stem}.txt", root / "labels" / split)
        spoil(root / "labels" / "train", root / "noise.csv", **NOISE.get(name, {}))
        data = {"train": "images/train", "val": "images/val", "names": names}
        (root / "data.yaml").write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")


def spoil(labels: Path, record: Path, **noise: float) -> None:
    """Change boxes of a folder of label files in place."""
    files = sorted(labels.glob("*.txt"))
    rows = {file.stem: [[float(word) for word in line.split()] for line in file.open()] for file in files}
    add_noise(record, rows, np.random.default_rng(0), **noise)
    for file in files:
        file.write_text("".join(f"{int(row[0])} {' '.join(decimals(row[1:]))}\n" for row in rows[file.stem]))


def main(bccd: Path, txl: Path, weights: Path, *argv: str) -> None:
    """Train what is missing, study by study, and report."""
    request = parse(argv, "runs/study_real", lambda out: studies(out, weights.resolve()))
    prepare_data(bccd, txl, request.out / "data")
    sys.exit(run_studies(request))


if __name__ == "__main__":
    if len(sys.argv) < 4 or not all(Path(folder).is_dir() for folder in sys.argv[1:4]):
        sys.exit(str(__doc__))
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:])
