"""The study of real images: BCCD as it is and with loose training boxes, from scratch; goes on where it stopped.

    python scripts/study/bccd.py BCCD [OUT] [jobs=1] [only=STUDY,...]

BCCD is github.com/Shenggan/BCCD_Dataset in YOLO's layout (the folder of bccd.yaml), its own train, val and test split.

"jitter30" has 40 % of the training boxes moved at every edge by up to 30 % of the box (seeded; noise.csv records them).
All runs are judged on the validation and the test images together, 159, and neither is used for a choice: the last
epoch is quoted. OUT (default runs/study_bccd) holds everything, a folder for each study (all of them unless some are
named); about 6 minutes per run on two CPU cores.
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

SOURCE = "bccd.yaml"
ARGUMENTS: dict[str, Any] = {
    "model": "yolo11n.yaml",
    "imgsz": 256,
    "batch": 8,
    "nbs": 8,
    "epochs": 40,
    "close_mosaic": 10,
    "cache": "ram",
    "workers": 0,
    "optimizer": "auto",
}
STUDIES: dict[str, tuple[tuple[str, ...], tuple[str, ...], int]] = {
    "wise": (("wiou1", "wiou3"), ("jitter30",), 7),
    "exact": (("wiou1", "wiou3"), ("clean",), 7),
    "balanced": (("iou-balanced-loc",), ("jitter30", "clean"), 7),
    "others": (("eiou", "siou", "focal-eiou", "inner-ciou", "iou-balanced", "alwa"), ("jitter30", "clean"), 8),
}
"""The losses compared with CIoU, the data sets, and the seeds: as many as can tell that many losses apart, or more.

"balanced" came after the noise study, in which that loss did best, and before any of its runs here."""


def studies(out: Path, *_: Path) -> dict[str, Study]:
    """Return the studies, the most important first."""
    data = out / "data"
    return {
        name: Study(
            losses={loss: loss for loss in ("ciou", *losses)},
            data={noise: str(data / noise / "data.yaml") for noise in noises},
            seeds=tuple(range(seeds)),
            arguments=ARGUMENTS,
            eval_data=str(data / "clean" / "judge.yaml"),
        )
        for name, (losses, noises, seeds) in STUDIES.items()
    }


def prepare_data(source: Path, folder: Path) -> None:
    """Copy the data set twice, the second time with noise, unless it is there, and write what runs are evaluated on."""
    data = yaml.safe_load(source.read_text(encoding="utf-8"))
    data.pop("path", None)  # the copies are to be read, not the original
    for copy in (folder / "clean", folder / "jitter30"):
        if not (copy / "data.yaml").exists():
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(source.parent / "images", copy / "images")
            shutil.copytree(source.parent / "labels", copy / "labels", ignore=shutil.ignore_patterns("*.cache"))
            if copy.name == "jitter30":
                spoil(copy / data["train"].replace("images", "labels"), copy / "noise.csv", noise=0.4, jitter=0.3)
            (copy / "data.yaml").write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    eval_data = {**data, "val": [data["val"], data["test"]]}
    (folder / "clean" / "judge.yaml").write_text(yaml.safe_dump(eval_data, sort_keys=False), encoding="utf-8")


def spoil(labels: Path, record: Path, **noise: float) -> None:
    """Change boxes of a folder of label files in place, as `add_noise` does; `record` tells which."""
    files = sorted(labels.glob("*.txt"))
    rows = {file.stem: [[float(word) for word in line.split()] for line in file.open()] for file in files}
    add_noise(record, rows, np.random.default_rng(0), **noise)
    for file in files:
        file.write_text("".join(f"{int(row[0])} {' '.join(decimals(row[1:]))}\n" for row in rows[file.stem]))


def main(*argv: str) -> None:
    """Train what is missing, study by study, and report."""
    request = parse(argv, {"BCCD": SOURCE}, "runs/study_bccd", studies)
    prepare_data(request.sources[0] / SOURCE, request.out / "data")
    sys.exit(run_studies(request))


if __name__ == "__main__":
    main(*sys.argv[1:])
