"""What the curves and the regression experiments share: tables of dataclass rows, and the look of their pictures."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from matplotlib.axes import Axes

from yolo_wiou.files import as_text
from yolo_wiou.palette import BLACK, COLOURS, GREY

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

RowT = TypeVar("RowT")
KeyT = TypeVar("KeyT")

LINE_COLOURS = (*COLOURS, BLACK, GREY)


def write_csv(rows: Sequence[DataclassInstance], path: Path) -> None:
    """Write dataclass rows, a column per field; floats with the seven digits that float32 has, None as nothing."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(field.name for field in fields(rows[0]))
        for row in rows:
            writer.writerow(f"{value:.7g}" if isinstance(value, float) else as_text(value) for value in astuple(row))


def grouped(rows: Iterable[RowT], key: Callable[[RowT], KeyT]) -> dict[KeyT, list[RowT]]:
    """Group rows by a key, in the order in which the keys appear.

    >>> grouped(["wiou1", "ciou", "wiou3"], lambda name: name[0])
    {'w': ['wiou1', 'wiou3'], 'c': ['ciou']}
    """
    groups: dict[KeyT, list[RowT]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def line_style(index: int, count: int) -> dict[str, Any]:
    """Return colour and width of a loss's lines: the first are the widest, so that coinciding lines can all be seen.

    >>> line_style(0, 2), line_style(1, 2)
    ({'color': '#0072B2', 'linewidth': 1.8...}, {'color': '#D55E00', 'linewidth': 1.4})
    """
    width = 1.4 + 1.8 * (count - 1 - index) / max(count, 4)
    return {"color": LINE_COLOURS[index % len(LINE_COLOURS)], "linewidth": width}


def tidy(panel: Axes) -> None:
    """Give a panel the grid and the open frame that all pictures share."""
    panel.grid(color="0.88", linewidth=0.7)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
