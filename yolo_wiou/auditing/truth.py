"""Label errors that are known, since they were planted or rendered: how many of them an audit finds."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from yolo_wiou.auditing.report import Report
from yolo_wiou.compare.report.text import count
from yolo_wiou.data.noise import NOISE
from yolo_wiou.data.planting import PLANTED


def of_the_known(report: Report) -> str:
    """Say how many of the labels that are known to be wrong are found; empty where none is known.

    What `yolo-wiou plant` planted is known, and which boxes of the demo's are loose. Labels that were dropped or
    doubled are not ranked, and do not count.
    """
    file, wrong = known_errors(Path(report.description["yaml_file"]).parent.resolve(), report.split)
    unusual = [(label.image, label.line) in wrong for label in report.labels]
    if not any(unusual):
        return ""
    total, flagged = sum(unusual), report.flagged
    right = sum((label.image, label.line) in wrong for label in flagged)
    return (
        f"Known to be wrong ({file.name}): {count(total, 'label')}. Of them, {sum(unusual[:total])} are among the "
        f"first {total} of audit.csv, and {right} among the {len(flagged)} that are flagged."
    )


def known_errors(folder: Path, split: str) -> tuple[Path, set[tuple[str, int]]]:
    """Return the file that lists a data set's errors, and of each label that is wrong the image and the line."""
    if (planted := folder / PLANTED).is_file():
        rows = [row for row in read(planted) if row["line"] and row["kind"] != "duplicate"]
        return planted, {(str(folder / row["image"]), int(row["line"])) for row in rows}
    if split == "train" and (noise := folder / NOISE).is_file():
        return noise, {(str(folder / "images" / "train" / row["image"]), int(row["row"]) + 1) for row in read(noise)}
    return planted, set()


def read(file: Path) -> list[dict[str, Any]]:
    """Read a CSV file."""
    with file.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
        return list(csv.DictReader(stream))
