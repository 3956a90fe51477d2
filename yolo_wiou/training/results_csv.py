"""results.csv of a run that goes on: what is good in it stays, whatever has happened to the file."""

import os
from pathlib import Path

from ultralytics.utils import LOGGER

from yolo_wiou.files import write_whole

DAMAGED = "results.damaged.csv"
"""Beside results.csv: what it was, where more than the end of it had to be dropped."""


def drop_rows_after(csv: Path, epochs: int) -> None:
    """Drop the rows of epochs that will be run again, and what a kill or a damage has left; each epoch stands once.

    A last row that was cut off is a killed process's, and its epoch is run again. Anything else that is no row of the
    table is damage: the file as it was is kept aside, and the log says so.
    """
    if not csv.exists():
        return
    header, *rows = csv.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True) or [""]
    if rows and not rows[-1].endswith("\n"):
        rows.pop()
    if header.split(",")[0].strip() != "epoch" or not header.endswith("\n") or "\ufffd" in header:
        os.replace(csv, csv.with_name(DAMAGED))
        LOGGER.warning(f"yolo-wiou: '{csv}' has lost its header; it is kept as {DAMAGED}, and begins anew.")
        return
    good = [row for row in rows if is_row(row, header.count(","))]
    if len(good) < len(rows):
        os.replace(csv, csv.with_name(DAMAGED))
        lost = f"{len(rows) - len(good)} of {len(rows)} rows"
        LOGGER.warning(f"yolo-wiou: {lost} of '{csv}' are damaged and dropped; the file is kept as {DAMAGED}.")
    table = {epoch_of(row): row for row in good if epoch_of(row) <= epochs}
    write_whole(csv, "".join([header, *table.values()]))


def header(csv: Path) -> list[str]:
    """Return the names of the columns."""
    with csv.open(encoding="utf-8") as lines:
        return [name.strip() for name in next(lines, "").split(",")]


def is_row(row: str, commas: int) -> bool:
    """Whether a line is a row of numbers, as many as the table has columns.

    >>> is_row("1,0.5,nan", 2), is_row("1,0.5", 2), is_row("1,,0.5", 2)
    (True, False, False)
    """
    try:
        return len([float(cell) for cell in row.split(",")]) == commas + 1
    except ValueError:
        return False


def epoch_of(row: str) -> float:
    """Return the first number of a row."""
    return float(row.split(",")[0])
