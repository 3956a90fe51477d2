"""Small files, written at once: a reader sees the old one or the new one, whatever kills the writer; and tables."""

from __future__ import annotations

import csv
import math
import os
from pathlib import Path

STUDY = "study.json"
"""What makes a folder that of a study of `yolo-wiou compare`."""


def write_whole(file: Path, text: str) -> None:
    """Write a file at once."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, file)


def read_table(file: Path) -> list[dict[str, float]]:
    """Read a table of numbers, a mapping a row; NaN is what is none.

    Ultralytics padded results.csv with blanks once.
    """
    with file.open(newline="", encoding="utf-8") as stream:
        rows = csv.DictReader(stream, skipinitialspace=True)
        return [{name.strip(): number(row[name]) for name in rows.fieldnames or ()} for row in rows]


def number(text: str | None) -> float:
    """Read a number; NaN where there is none."""
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
