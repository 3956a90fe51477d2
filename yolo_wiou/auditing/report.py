"""An audit's report: the tables, the summary, and what is written of them."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from yolo_wiou.auditing.decisions import Decisions, Findings
from yolo_wiou.auditing.evidence import Seen
from yolo_wiou.auditing.findings import FLAGS, AuditedLabel, DuplicateLabels, MissingLabel
from yolo_wiou.auditing.fix import Edits, choose, obstacle, why_no_addition, write_fixed
from yolo_wiou.auditing.judge import false_alarms
from yolo_wiou.data.profile import LARGE, SMALL, TINY
from yolo_wiou.files import as_text, write_json, write_whole

ABOUT = ("data", "model", "split", "task", "threshold", "images", "imgsz")
BOXES = {"box": "", "proposed_box": "proposed_", "duplicate_box": "duplicate_"}
SIDES = ("x", "y", "w", "h", "angle")


@dataclass(frozen=True)
class ClassSummary:
    """A class: its labels, how many are flagged, the share whose object is found, and how sure the detector is then.

    The last is None where it has found nothing at all.
    """

    name: str
    labels: int
    flagged: int
    found: float
    confidence: float | None


@dataclass(frozen=True)
class SizeSummary:
    """Labels of one size: their sides √(w·h) in pixels of the network's input, how many, and how many are flagged."""

    name: str
    labels: int
    flagged: int


@dataclass(frozen=True)
class Report:
    """What an audit found.

    Attributes:
        data: the data set's YAML file.
        model: the checkpoint.
        split: which images.
        task: detect, segment, pose or obb.
        threshold: from which a label was called wrong; the one asked for, or a higher one where hardly any would be.
        images: how many were looked at.
        imgsz: the longer side of the network's input in pixels.
        labels: all labels, the most unusual first.
        missing: objects without a label.
        duplicates: pairs of labels for one object.
        classes: a summary for each class.
        warnings: what speaks against the audit itself.
        description: Ultralytics' of the data set.
        sizes: width and height of each image in pixels.
        asked: the threshold that was asked for.
        single_cls: whether all classes were read as one.
        seen: what was detected.
    """

    data: str
    model: str
    split: str
    task: str
    threshold: float
    images: int
    imgsz: int
    labels: list[AuditedLabel]
    missing: list[MissingLabel]
    duplicates: list[DuplicateLabels]
    classes: list[ClassSummary]
    warnings: list[str] = field(default_factory=list)
    description: dict[str, Any] = field(default_factory=dict, repr=False)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict, repr=False)
    asked: float = 2.0
    single_cls: bool = False
    seen: Seen = field(default_factory=lambda: Seen.of(np.zeros((0, 7), np.float32)), repr=False)

    @property
    def flagged(self) -> list[AuditedLabel]:
        """The labels that are called wrong, the most unusual first."""
        return [label for label in self.labels if label.is_flagged]

    @property
    def expected_wrong(self) -> int:
        """How many of the flagged labels are expected to be wrong, at least: all but what right labels would give."""
        return max(0, round(len(self.flagged) - false_alarms(self.asked) * len(self.labels)))

    @property
    def counts(self) -> dict[str, int]:
        """How many labels are flagged for each reason."""
        found = Counter(label.reason for label in self.labels)
        return {reason: found[reason] for reason in FLAGS}

    @property
    def by_size(self) -> list[SizeSummary]:
        """A summary for each size that there is."""
        sides = np.array([self.side(label) for label in self.labels])
        flagged = np.array([label.is_flagged for label in self.labels], bool)
        edges = (0, TINY, SMALL, LARGE, np.inf)
        names = [f"below {TINY} px", f"{TINY} to {SMALL} px", f"{SMALL} to {LARGE} px", f"{LARGE} px and more"]
        groups = [(sides >= low) & (sides < high) for low, high in pairwise(edges)]
        found = [(name, int(of.sum()), int(flagged[of].sum())) for name, of in zip(names, groups, strict=True)]
        return [SizeSummary(*entry) for entry in found if entry[1]]

    def side(self, label: AuditedLabel) -> float:
        """Side √(w·h) of a label in pixels of the network's input."""
        return math.sqrt(label.box[2] * label.box[3]) * self.imgsz / max(self.sizes[label.image])

    @property
    def sentence(self) -> str:
        """What was found, in a sentence."""
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.counts.items() if count)
        flagged = len(self.flagged)
        found = f"{flagged} of {len(self.labels)} labels are flagged{f' ({reasons})' if reasons else ''}"
        return (
            f"{found}, at least about {self.expected_wrong} of which are expected to be wrong; beside them "
            f"{len(self.missing)} objects seem to have no label and {len(self.duplicates)} to have two."
        )

    def plain(self) -> dict[str, Any]:
        """Return what audit.json holds: the summary, and whatever was found; the labels that are flagged alone."""
        return {
            **{
                name: getattr(self, name) for name in ("data", "model", "split", "task", "threshold", "images", "imgsz")
            },
            "found": self.sentence,
            "label_count": len(self.labels),
            "flagged": len(self.flagged),
            "expected_wrong": self.expected_wrong,
            "reasons": self.counts,
            "warnings": self.warnings,
            "classes": [asdict(entry) for entry in self.classes],
            "sizes": [asdict(entry) for entry in self.by_size],
            "labels": [asdict(label) for label in self.flagged],
            "missing": [asdict(entry) for entry in self.missing],
            "duplicates": [asdict(entry) for entry in self.duplicates],
        }

    def save(self, folder: Path | str) -> Path:
        """Write audit.csv with all labels, missing.csv, duplicates.csv and audit.json; returns the first."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        rotated = self.task == "obb"
        write_whole(folder / "missing.csv", table(MissingLabel, self.missing, rotated))
        write_whole(folder / "duplicates.csv", table(DuplicateLabels, self.duplicates, rotated))
        write_json(folder / "audit.json", self.plain())
        write_whole(file := folder / "audit.csv", table(AuditedLabel, self.labels, rotated))
        return file

    def fix(
        self,
        folder: Path | str,
        *,
        remove: bool = False,
        add: bool = False,
        decisions: Decisions | Path | str | None = None,
    ) -> Path:
        """Write a corrected copy of the labels, which refers to the same images; the originals stay as they are.

        Args:
            folder: to be made, or made by us before.
            remove: take out spurious labels and duplicates too.
            add: put in missing labels too.
            decisions: what was decided in the report, or the file that it was saved to.

        Returns:
            The copy's data.yaml; fix.csv beside it says what was changed.

        Raises:
            ConfigError: something else lies in the folder, the decisions are about other labels, or a missing label
                is to be put in that a box does not make.
        """
        return self.write_fixed(folder, self.edits(remove=remove, add=add, decisions=decisions))

    def edits(
        self, *, remove: bool = False, add: bool = False, decisions: Decisions | Path | str | None = None
    ) -> dict[Path, Edits]:
        """Return what `fix` changes in each label file; arguments and errors as there. Nothing is written."""
        if not isinstance(decisions, Decisions):
            decisions = Decisions.read(decisions) if decisions else Decisions()
        found = Findings.model_construct(labels=self.labels, missing=self.missing, duplicates=self.duplicates)
        decisions.check(found, self.sizes)
        return choose(found, decisions, self.task, remove=remove, add=add, no_addition=self.no_addition)

    def write_fixed(self, folder: Path | str, edits: Mapping[Path, Edits]) -> Path:
        """Write a copy of the labels that has such changes; returns its data.yaml."""
        return write_fixed(Path(folder), self.description, self.split, edits, self.sizes)

    @property
    def no_addition(self) -> str:
        """Why `fix` cannot put in what is missing; empty where it can."""
        return why_no_addition(self.task, self.description, self.single_cls)

    def obstacle(self, finding: AuditedLabel | MissingLabel | DuplicateLabels) -> str:
        """Say why `fix` cannot put a finding right; empty where it can."""
        return obstacle(finding, self.task, self.no_addition)


def table(kind: type[Any], rows: Sequence[Any], is_rotated: bool) -> str:
    """Return a CSV; of each box a column for every number."""
    sides = SIDES if is_rotated else SIDES[:4]
    names = [column for entry in fields(kind) for column in columns(entry.name, sides)]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([as_text(cell) for entry in fields(kind) for cell in cells(entry.name, row, sides)])
    return stream.getvalue()


def columns(name: str, sides: Sequence[str]) -> Iterable[str]:
    """Return the columns of a field."""
    return [f"{BOXES[name]}{side}" for side in sides] if name in BOXES else [name]


def cells(name: str, row: Any, sides: Sequence[str]) -> Iterable[Any]:
    """Return what stands in them."""
    value = getattr(row, name)
    if name in BOXES:
        return value or [""] * len(sides)
    return ["" if value is None else int(value) if isinstance(value, bool) else value]
