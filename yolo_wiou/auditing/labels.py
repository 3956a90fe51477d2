"""The labels that are audited, as Ultralytics reads them, each with the line of the file that it stands in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolo_wiou.auditing.overlap import Boxes
from yolo_wiou.compare.detections import rotated_box
from yolo_wiou.data import yolo_format
from yolo_wiou.data.yolo_format import label_file, parse, read_lines

SAME = 1e-5
"""Two normalised coordinates that differ by less are one: Ultralytics computes in float32."""


@dataclass(frozen=True)
class Labels:
    """The labels of a split, in the order of its images.

    Attributes:
        files: the images.
        sizes: (I, 2) width and height of each image in pixels.
        image: (N,) which image a label belongs to.
        line: (N,) its line in the image's label file, from 1.
        cls: (N,) index of its class.
        box: (N, 4) or (N, 5), in pixels.
        repeated: image, line, and line of the first, of labels that stand twice in their file, letter for letter:
            Ultralytics reads one of them.
    """

    files: tuple[Path, ...]
    sizes: NDArray[np.int64]
    image: NDArray[np.int64]
    line: NDArray[np.int64]
    cls: NDArray[np.int64]
    box: Boxes
    repeated: tuple[tuple[int, int, int], ...] = ()

    def __len__(self) -> int:
        """How many there are."""
        return len(self.cls)


def collect(found: Sequence[dict[str, Any]], task: str, is_single: bool = False) -> Labels:
    """Return the labels that a data set of Ultralytics has read.

    Args:
        found: of the data set: `im_file`, `shape` (height, width), `cls` (n, 1), `bboxes` (n, 4) xywh in shares of the
            image; for task obb also `segments`, the corners.
        task: detect, segment, pose or obb.
        is_single: whether all classes were read as one.
    """
    image, line, box, repeated = [], [], [], []  # type: list[int], list[int], list[Any], list[tuple[int, int, int]]
    for number, label in enumerate(found):
        height, width = label["shape"]
        rows = np.column_stack([label["cls"].reshape(-1), label["bboxes"].reshape(-1, 4)]).astype(np.float64)
        stored = parse(read_lines(label_file(Path(label["im_file"]))))
        keys = np.array([_row(one, task) for one in stored]).reshape(-1, 5)
        if is_single:
            keys[:, 0] = 0
        places, extra = match(rows, keys)
        image += [number] * len(rows)
        line += [stored[place].line for place in places]
        repeated += [(number, stored[copy].line, stored[first].line) for copy, first in extra]
        if task == "obb":
            box += [rotated_box(np.asarray(corners, np.float64) * (width, height)) for corners in label["segments"]]
        else:
            x, y, w, h = (rows[:, 1:] * (width, height, width, height)).T
            box += np.stack([x - w / 2, y - h / 2, w, h], 1).tolist()
    return Labels(
        files=tuple(Path(label["im_file"]) for label in found),
        sizes=np.array([label["shape"][::-1] for label in found], np.int64).reshape(-1, 2),
        image=np.array(image, np.int64),
        line=np.array(line, np.int64),
        cls=np.concatenate([np.zeros(0), *(label["cls"].reshape(-1) for label in found)]).astype(np.int64),
        box=np.array(box, np.float64).reshape(-1, 5 if task == "obb" else 4),
        repeated=tuple(repeated),
    )


def match(rows: NDArray[np.float64], keys: NDArray[np.float64]) -> tuple[list[int], list[tuple[int, int]]]:
    """Find the label in a file that each row which Ultralytics has read comes from.

    Its order is the file's, unless it leaves some out: copies, and what `classes=` does not ask for.

    Args:
        rows: (n, 5) class and box.
        keys: (m, 5) likewise, of the file.

    Returns:
        The place of each row in the file, and (copy, first) of what stands twice there and was read once.
    """
    if len(rows) == len(keys):
        return list(range(len(rows))), []
    places: list[int] = []
    free = np.ones(len(keys), bool)
    for row in rows:
        distance = np.where(free, np.abs(keys - row).max(1), np.inf)
        places.append(int(distance.argmin()))
        free[places[-1]] = False
    extra = []
    for copy in np.flatnonzero(free).tolist():
        firsts = [place for place in places if np.abs(keys[place] - keys[copy]).max() < SAME]
        extra += [(copy, firsts[0])] if firsts else []
    return places, extra


def _row(label: yolo_format.Label, task: str) -> list[float]:
    """Class and box of a label, of an outline the box about it."""
    values = label.values[:4] if task == "pose" else label.values
    if len(values) > 4:
        (left, right), (top, bottom) = ((min(part), max(part)) for part in (values[::2], values[1::2]))
        values = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
    return [label.cls, *values]
