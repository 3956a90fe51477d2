"""BCCD and its second annotation: the data sets that are made of both, and how a pretrained network is trained on them.

    python scripts/study/bccd_txl.py BCCD_TXL     prints how many boxes each annotation has and how many both have, and
                                                  how far these lie apart

BCCD is github.com/Shenggan/BCCD_Dataset (MIT licence) in YOLO's layout, the folder of bccd.yaml. BCCD_TXL has the
second annotation of 221 of its images, from github.com/lugan113/TXL-PBC_Dataset (MIT licence): train.txt and val.txt
name the 150 to train on and the 71 to judge on, a stem per line. Below labels/ is a folder for each kind of labels, a
file per stem: bccd and txl are the two annotations, matched-bccd and matched-txl the boxes that both have, one to one
(IoU 0.5 or more).
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from command_line import read
from numpy.typing import NDArray

from yolo_wiou.auditing.overlap import iou_of_pairs

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

SPLITS = ("train", "val")


def stems(txl: Path, split: str) -> list[str]:
    """Return the names of a split's images."""
    return (txl / f"{split}.txt").read_text(encoding="utf-8").split()


def counts(txl: Path) -> dict[str, list[int]]:
    """Return how many boxes each annotation has in each split."""
    return {
        folder.name: [
            sum(len((folder / f"{stem}.txt").read_text(encoding="utf-8").splitlines()) for stem in stems(txl, split))
            for split in SPLITS
        ]
        for folder in sorted((txl / "labels").iterdir())
    }


def apart(txl: Path, split: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how far the boxes that both annotations have lie apart, as shares of the image.

    Returns:
        Their IoU, (N,), and how far the edges of the first annotation lie outside of the second's, as shares of its
        sides, (N, 4): left, top, right, bottom.
    """
    both = [
        np.concatenate([np.loadtxt(txl / "labels" / name / f"{stem}.txt", ndmin=2) for stem in stems(txl, split)])
        for name in ("matched-bccd", "matched-txl")
    ]
    first, second = (np.hstack((boxes[:, 1:3] - boxes[:, 3:] / 2, boxes[:, 3:])) for boxes in both)
    left_top, right_bottom = second[:, :2] - first[:, :2], (first - second)[:, :2] + (first - second)[:, 2:]
    return iou_of_pairs(first, second), np.hstack((left_top, right_bottom)) / np.tile(second[:, 2:], 2)


def write_data(bccd: Path, txl: Path, root: Path, train: str, val: str) -> Path:
    """Write a data set; returns its data.yaml.

    Args:
        bccd: the folder of bccd.yaml.
        txl: the folder of the second annotation.
        root: where to; what is there is removed.
        train: whose boxes the training images have, a folder of `txl`/labels.
        val: likewise, those that judge.
    """
    shutil.rmtree(root, ignore_errors=True)
    images = {file.stem: file for file in (bccd / "images").rglob("*.jpg")}
    for split, drawn in {"train": train, "val": val}.items():
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for stem in stems(txl, split):
            shutil.copy(images[stem], root / "images" / split)
            shutil.copy(txl / "labels" / drawn / f"{stem}.txt", root / "labels" / split)
    names = yaml.safe_load((bccd / "bccd.yaml").read_text(encoding="utf-8"))["names"]
    data = {"train": "images/train", "val": "images/val", "names": names}
    (root / "data.yaml").write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return root / "data.yaml"


def main(argv: list[str]) -> None:
    """Print both."""
    (txl,), *_ = read(argv, {"BCCD_TXL": "labels/txl"}, "")
    for name, boxes in counts(txl).items():
        print(name, *(f"{split}: {count}" for split, count in zip(SPLITS, boxes, strict=True)), sep="  ")
    overlap, edges = apart(txl, "train")
    below = f"below 0.7 {np.mean(overlap < 0.7):.0%}"
    print(f"IoU of the training boxes that both have: median {np.median(overlap):.2f}, {below}")
    print(f"edges, of the box's side: mean {edges.mean():+.3f}, standard deviation {edges.std():.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
