"""What every format is written from: the images, each with what was found on it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from yolo_wiou.auditing.findings import AuditedLabel, DuplicateLabels, MissingLabel
from yolo_wiou.auditing.report import Report
from yolo_wiou.files import from_common_folder

Files: TypeAlias = dict[str, bytes]
"""What to write, by the file's name."""
NAME = "yolo-wiou audit"


@dataclass
class Picture:
    """An image, and what was found on it.

    Attributes:
        file: its path.
        size: width and height in pixels.
        labels: all of them, in the order of their file.
        missing: objects without a label.
        duplicates: labels that are there twice.
    """

    file: str
    size: tuple[int, int]
    labels: list[AuditedLabel] = field(default_factory=list)
    missing: list[MissingLabel] = field(default_factory=list)
    duplicates: list[DuplicateLabels] = field(default_factory=list)

    @property
    def score(self) -> float:
        """The score of its most unusual label; 0 where it has none."""
        return max((label.score for label in self.labels), default=0.0)

    @property
    def copies(self) -> set[int]:
        """Lines of labels of which another one is of the same object."""
        return {pair.duplicate for pair in self.duplicates}

    @property
    def findings(self) -> int:
        """How much is to be decided."""
        return sum(bool(self.reason(label)) for label in self.labels) + len(self.missing)

    def reason(self, label: AuditedLabel) -> str:
        """What is wrong with a label, in a word; empty where nothing seems to be."""
        return label.reason or ("duplicate" if label.line in self.copies else "")


def pictures(report: Report) -> list[Picture]:
    """Return all images of a report, in the data set's order."""
    found = {file: Picture(file, size) for file, size in report.sizes.items()}
    for label in sorted(report.labels, key=lambda label: label.line):
        found[label.image].labels.append(label)
    for entry in report.missing:
        found[entry.image].missing.append(entry)
    for pair in report.duplicates:
        found[pair.image].duplicates.append(pair)
    return list(found.values())


def class_names(report: Report) -> list[str]:
    """Names of the classes, in their order."""
    return [str(name) for _, name in sorted(report.description["names"].items())]


def relative(found: Sequence[Picture], above: int = 0) -> list[str]:
    """Paths of images from the folder that holds them all, or so many folders above it."""
    return [path.as_posix() for path in from_common_folder([Path(picture.file) for picture in found], above)]


def as_json(data: Any) -> bytes:
    """JSON in one line."""
    return json.dumps(data).encode()
