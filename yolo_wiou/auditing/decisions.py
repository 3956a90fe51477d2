"""What a person decided about an audit's findings, and which of the findings it is about."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from yolo_wiou.auditing.evidence import HIT
from yolo_wiou.auditing.findings import AuditedLabel, DuplicateLabels, MissingLabel
from yolo_wiou.auditing.overlap import iou
from yolo_wiou.errors import ConfigError

Placed = TypeVar("Placed", AuditedLabel, MissingLabel)


class Findings(BaseModel):
    """Some of what an audit found, as audit.json has it."""

    model_config = ConfigDict(extra="forbid")

    labels: list[AuditedLabel] = Field(default_factory=list)
    missing: list[MissingLabel] = Field(default_factory=list)
    duplicates: list[DuplicateLabels] = Field(default_factory=list)


class Decisions(BaseModel):
    """What a person decided; what is in neither is left to the rules."""

    model_config = ConfigDict(extra="forbid")

    accepted: Findings = Field(default_factory=Findings)
    rejected: Findings = Field(default_factory=Findings)

    @classmethod
    def read(cls, file: Path | str) -> Decisions:
        """Read decisions.json.

        Raises:
            ConfigError: there is none, or it is something else.
        """
        try:
            return cls.model_validate_json(Path(file).read_bytes())
        except OSError as error:
            raise ConfigError(f"cannot read decisions={file}: {error.strerror}.") from error
        except ValidationError as error:
            raise ConfigError(f"decisions={file} is no decisions.json of an audit's report.") from error

    def check(self, found: Findings, images: Container[str]) -> None:
        """See that decisions are about these labels, which may have changed since.

        Args:
            found: all labels, and what else was found.
            images: all that were audited.

        Raises:
            ConfigError: one is not.
        """
        known = {(label.image, label.line): (label.cls, label.box) for label in found.labels}
        for pair in found.duplicates:  # of lines that are equal letter for letter one is a label
            known.setdefault((pair.image, pair.duplicate), (pair.cls, pair.duplicate_box))
        for choice in (self.accepted, self.rejected):
            lines = [(label.image, label.line, label.cls, label.box) for label in choice.labels]
            for pair in choice.duplicates:
                lines.append((pair.image, pair.line, pair.cls, pair.box))
                lines.append((pair.image, pair.duplicate, pair.cls, pair.duplicate_box))
            for image, line, *label in lines:
                if known.get((image, line)) != tuple(label):
                    raise ConfigError(
                        f"the decisions are about other labels: line {line} of the labels of '{image}' is not what it "
                        "was. Audit again, and decide again."
                    )
            for entry in choice.missing:
                if entry.image not in images:
                    raise ConfigError(f"the decisions are about other images: '{entry.image}' is not audited.")

    @property
    def lines(self) -> set[tuple[str, frozenset[int]]]:
        """The labels, or pairs of them, that were decided about."""
        both = (self.accepted, self.rejected)
        labels = {lines_of(label) for choice in both for label in choice.labels}
        return labels | {lines_of(pair) for choice in both for pair in choice.duplicates}


def lines_of(finding: AuditedLabel | DuplicateLabels) -> tuple[str, frozenset[int]]:
    """Return what tells a finding about labels from others; which of two is the better one may change."""
    if isinstance(finding, DuplicateLabels):
        return finding.image, frozenset({finding.line, finding.duplicate})
    return finding.image, frozenset({finding.line})


def unmatched(entries: Iterable[Placed], others: Sequence[AuditedLabel | MissingLabel]) -> list[Placed]:
    """Return the entries that are of no object of others: of one class and image, at an IoU above 0.5, one to one.

    A detector's boxes are never quite the same twice.
    """
    groups: dict[tuple[str, int], tuple[list[Placed], list[AuditedLabel | MissingLabel]]] = {}
    for entry in entries:
        groups.setdefault((entry.image, entry.cls), ([], []))[0].append(entry)
    for other in others:
        if (other.image, other.cls) in groups:
            groups[other.image, other.cls][1].append(other)
    return [entry for of in groups.values() for entry in without_matches(*of)]


def without_matches(entries: list[Placed], others: list[AuditedLabel | MissingLabel]) -> list[Placed]:
    """Return the entries that are left when the nearest pairs are taken away, one after the other."""
    if not others:
        return entries
    overlap = iou(np.array([entry.box for entry in entries]), np.array([other.box for other in others]))
    free = np.ones(len(entries), bool)
    while overlap.max() > HIT:
        entry, other = np.unravel_index(overlap.argmax(), overlap.shape)
        free[entry], overlap[entry], overlap[:, other] = False, 0, 0
    return [entry for entry, is_free in zip(entries, free, strict=True) if is_free]
