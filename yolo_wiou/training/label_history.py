"""What a training with `audit=true` saw of every label, epoch by epoch: two files in the run's folder.

`labels.csv` says which labels there are, a row each: the image's path as Ultralytics reads it, the line of its label
file (from 1), the class that was trained, and the box cx, cy, w, h as shares of the image. A label's number is its
row's, from 0.

`label_history.bin` has the epochs one after the other, each a record of 8 bytes for every label in that order:

    numpy.fromfile("label_history.bin", dtype=RECORD).reshape(-1, number_of_labels)

    iou     float16  mean plain IoU of its positives (ProbIoU of rotated boxes)
    beta    float16  mean outlier degree β of its positives: 1 - IoU over the running mean of that step
    margin  float16  class margin: the best score of its class among its positives, minus the best score of another
                     class among them; mean over the times that it was seen, -1 to 1. With one class the score itself
    boxes   uint16   how many positives it had

A label that an epoch did not show, or that had no positive in it, has boxes 0 and NaN.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolo_wiou.errors import ConfigError

LABELS, HISTORY = "labels.csv", "label_history.bin"
RECORD = np.dtype([("iou", "<f2"), ("beta", "<f2"), ("margin", "<f2"), ("boxes", "<u2")])


@dataclass(frozen=True)
class LabelHistory:
    """What a training saw of its L labels in its E epochs.

    Attributes:
        image: (L,) path of each label's image.
        line: (L,) int64, its line in the label file, from 1.
        cls: (L,) int64, the class that was trained.
        box: (L, 4) float64, cx, cy, w, h as shares of the image.
        iou: (E, L) float32, mean IoU of its positives; NaN where it had none.
        beta: (E, L) float32, mean outlier degree; likewise.
        margin: (E, L) float32, class margin; likewise.
        boxes: (E, L) int64, the number of its positives.
    """

    image: NDArray[np.str_]
    line: NDArray[np.int64]
    cls: NDArray[np.int64]
    box: NDArray[np.float64]
    iou: NDArray[np.float32]
    beta: NDArray[np.float32]
    margin: NDArray[np.float32]
    boxes: NDArray[np.int64]


def load_history(run: Path | str) -> LabelHistory:
    """Read what a run recorded of its labels.

    Args:
        run: its folder.

    Raises:
        ConfigError: it recorded nothing.
    """
    folder = Path(run)
    if not (folder / LABELS).is_file() or not (folder / HISTORY).is_file():
        raise ConfigError(f"'{folder}' is no run that recorded its labels: train with audit=true.")
    with (folder / LABELS).open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
        rows = list(csv.DictReader(stream))
    records = read_epochs(folder / HISTORY, len(rows))

    def column(name: str, kind: Any) -> Any:
        return np.array([row[name] for row in rows]).astype(kind)

    return LabelHistory(
        image=np.array([row["image"] for row in rows]),
        line=column("line", np.int64),
        cls=column("class", np.int64),
        box=np.stack([column(name, np.float64) for name in ("cx", "cy", "w", "h")], axis=1),
        iou=records["iou"].astype(np.float32),
        beta=records["beta"].astype(np.float32),
        margin=records["margin"].astype(np.float32),
        boxes=records["boxes"].astype(np.int64),
    )


def read_epochs(file: Path, labels: int) -> NDArray[Any]:
    """Return the records of all whole epochs, (E, labels); what a killed process left of another is none."""
    records = np.fromfile(file, dtype=np.uint8)
    size = labels * RECORD.itemsize
    whole = len(records) // size if size else 0
    return records[: whole * size].view(RECORD).reshape(whole, labels)
