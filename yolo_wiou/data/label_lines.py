"""Which line of its file each label is that Ultralytics has read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from yolo_wiou.data.yolo_format import Label, label_file, parse, read_lines
from yolo_wiou.errors import ConfigError

SAME = 1e-5
"""Two normalised coordinates that differ by less are one: Ultralytics computes in float32."""

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """The labels of an image, found in its file; lines count from 1.

    Attributes:
        lines: of each label that was read.
        repeated: line, and that of the first, of labels that stand twice, of which one was read.
        unread: the others: of classes that were not asked for, or left out by an older release for the box that an
            outline shares with another.
    """

    lines: list[int]
    repeated: list[tuple[int, int]]
    unread: list[Label]


def find_lines(read: Mapping[str, Any], is_single: bool) -> Found:
    """Find the labels of an image in its file.

    Args:
        read: by Ultralytics' data set: `im_file`, `cls` (N, 1), `bboxes` (N, 4) xywh in shares of the image.
        is_single: whether all classes were read as one.

    Raises:
        ConfigError: a label is not in its file.
    """
    file = label_file(Path(read["im_file"]))
    rows = np.column_stack([read["cls"].reshape(-1), read["bboxes"].reshape(-1, 4)]).astype(np.float64)
    try:
        stored = [label for label in parse(read_lines(file)) if len(label.values) >= 4]
        places = match(rows, readings(stored, is_single))
    except (LookupError, ValueError) as error:
        raise ConfigError(
            f"'{file}' does not hold the labels that were read: it has changed since, or an older Ultralytics goes by "
            "the .cache beside the folder of labels, which has to be removed. Start again."
        ) from error
    others = [stored[place] for place in sorted(set(range(len(stored))) - set(places))]
    found = Found([stored[place].line for place in places], [], [])
    for other in others:
        first = next((stored[place].line for place in places if is_copy(stored[place], other)), None)
        if first is None:
            found.unread.append(other)
        else:
            found.repeated.append((other.line, first))
    return found


def is_copy(label: Label, other: Label) -> bool:
    """Whether two labels are one, of which Ultralytics reads the first."""
    alike = label.cls == other.cls and len(label.values) == len(other.values)
    return alike and bool(np.abs(np.subtract(label.values, other.values)).max() < SAME)


def readings(stored: Sequence[Label], is_single: bool) -> Floats:
    """Return class and box of labels, (M, 2, 5): as one that begins with its box, and as the box about an outline.

    Which of them a label is, depends on the task, on the other lines and on Ultralytics' release.
    """
    rows = [
        [[0 if is_single else label.cls, *box] for box in (label.values[:4], around(label.values))] for label in stored
    ]
    return np.array(rows, np.float64).reshape(-1, 2, 5)


def match(rows: Floats, stored: Floats) -> list[int]:
    """Find the label in a file that each row which Ultralytics has read comes from.

    Its order is the file's, unless it leaves some out: copies, and what `classes=` does not ask for.

    Args:
        rows: (N, 5) class and box.
        stored: (M, 2, 5) of the file, as `readings` has them.

    Returns:
        The place of each row in the file.

    Raises:
        LookupError: a row is not there.
    """
    if len(rows) == len(stored) and (misfit(stored, rows[:, None]) < SAME).all():
        return list(range(len(rows)))
    places: list[int] = []
    free = np.ones(len(stored), bool)
    for row in rows:
        fits = np.where(free, misfit(stored, row), np.inf)
        if fits.min(initial=np.inf) >= SAME:
            raise LookupError(row)
        places.append(int(fits.argmin()))
        free[places[-1]] = False
    return places


def misfit(stored: Floats, row: Floats) -> Floats:
    """Return how far labels (..., 2, 5) are from a row, in the reading that is nearer."""
    nearest: Floats = np.abs(stored - row).max(-1).min(-1)
    return nearest


def around(outline: Sequence[float]) -> list[float]:
    """Return the box about an outline: cx, cy, w, h."""
    points = np.reshape(outline[: len(outline) // 2 * 2], (-1, 2))
    low, high = points.min(0), points.max(0)
    return [*((low + high) / 2).tolist(), *(high - low).tolist()]
