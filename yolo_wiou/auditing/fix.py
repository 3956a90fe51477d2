"""A corrected copy of the labels, and a list of what was changed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from yolo_wiou.auditing.findings import AuditedLabel, Box, DuplicateLabels, MissingLabel
from yolo_wiou.compare.rotated import corners_of
from yolo_wiou.data.noise import decimals
from yolo_wiou.data.relabelled import write_relabelled
from yolo_wiou.data.yolo_format import label_file, read_lines
from yolo_wiou.errors import ConfigError
from yolo_wiou.files import as_text
from yolo_wiou.training.preflight import images_of

MORE = {"segment": "an outline", "pose": "key points"}
"""Tasks whose labels are more than a box, and what else they are."""


class Findings(BaseModel):
    """Some of what an audit found, as audit.json has it."""

    model_config = ConfigDict(extra="forbid")

    labels: list[AuditedLabel] = Field(default_factory=list)
    missing: list[MissingLabel] = Field(default_factory=list)
    duplicates: list[DuplicateLabels] = Field(default_factory=list)

    def keys(self) -> set[Any]:
        """What tells each finding from the others."""
        return {key_of(finding) for found in (self.labels, self.missing, self.duplicates) for finding in found}


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


Change: TypeAlias = Literal["moved", "class", "removed"]


@dataclass(frozen=True)
class Edit:
    """A change of one line: what it is, and the class and the box that it gives."""

    change: Change
    cls: int
    box: Box = ()


@dataclass(frozen=True)
class Edits:
    """All changes: of lines, by image and line, and what is added to each image."""

    lines: dict[str, dict[int, Edit]]
    added: dict[str, list[MissingLabel]]


def choose(found: Findings, task: str, *, remove: bool, add: bool, decisions: Decisions) -> Edits:
    """Choose what to change: what was accepted, and of what was not decided what is sure.

    Args:
        found: everything.
        task: detect, segment, pose or obb.
        remove: spurious labels and duplicates too.
        add: missing ones too.
        decisions: a person's.

    Raises:
        ConfigError: something is to be added that a box alone does not make, or a decision is about another label.
    """
    check(found, decisions)
    accepted, rejected = decisions.accepted, decisions.rejected
    wanted, unwanted = accepted.keys(), rejected.keys()
    edits = Edits({}, {})
    open_missing = [entry for entry in found.missing if add and key_of(entry) not in wanted | unwanted]
    for entry in (*accepted.missing, *open_missing):
        check_addition(task)
        edits.added.setdefault(entry.image, []).append(entry)
    findings: list[AuditedLabel | DuplicateLabels] = [
        *accepted.duplicates,
        *accepted.labels,
        *found.duplicates,
        *found.labels,
    ]
    for finding in findings:
        line, edit = edit_of(finding, task)
        if edit and key_of(finding) not in wanted:
            by_rule = remove if edit.change == "removed" else isinstance(finding, AuditedLabel) and finding.is_sure
            edit = edit if by_rule and key_of(finding) not in unwanted else None
        if edit:
            edits.lines.setdefault(finding.image, {}).setdefault(line, edit)
    return edits


def check_addition(task: str) -> None:
    """Refuse to add labels that a box alone does not make.

    Raises:
        ConfigError: for such a task.
    """
    if task in MORE:
        raise ConfigError(f"a missing object cannot be added: a label of task {task} is {MORE[task]}, not a box alone.")


def edit_of(finding: AuditedLabel | DuplicateLabels, task: str) -> tuple[int, Edit | None]:
    """Return the line that a finding would change, and how; nothing where it has no better label."""
    if isinstance(finding, DuplicateLabels):
        return finding.duplicate, Edit("removed", finding.cls)
    if finding.reason == "spurious":
        return finding.line, Edit("removed", finding.cls)
    if finding.proposed_cls is None or (finding.reason != "class" and task == "segment"):
        return finding.line, None
    if finding.reason == "class":
        return finding.line, Edit("class", finding.proposed_cls)
    return finding.line, Edit("moved", finding.proposed_cls, finding.proposed_box)


def check(found: Findings, decisions: Decisions) -> None:
    """See that decisions are about these labels.

    Raises:
        ConfigError: one is not.
    """
    boxes = {(label.image, label.line): (label.cls, label.box) for label in found.labels}
    images = {label.image for label in found.labels}
    for choice in (decisions.accepted, decisions.rejected):
        for label in choice.labels:
            if boxes.get((label.image, label.line)) != (label.cls, label.box):
                raise ConfigError(
                    f"the decisions are about other labels: line {label.line} of the labels of '{label.image}' is "
                    "no longer what it was. Audit again, and decide again."
                )
        for pair in choice.duplicates:
            if (pair.image, pair.line) not in boxes:
                raise ConfigError(f"the decisions are about other labels: '{pair.image}' has no line {pair.line}.")
        for entry in choice.missing:
            if entry.image not in images:
                raise ConfigError(f"the decisions are about other images: '{entry.image}' is not audited.")


def write_fixed(
    folder: Path, description: Mapping[str, Any], split: str, task: str, edits: Edits, sizes: Mapping[str, Any]
) -> Path:
    """Write the corrected copy, and fix.csv in it: image, line, change, and the line before and after.

    Args:
        folder: to be made, or made by us before.
        description: Ultralytics' of the data set.
        split: whose labels these are.
        task: what they are labels of.
        edits: what to change.
        sizes: width and height of each image.

    Returns:
        The copy's data.yaml.

    Raises:
        ConfigError: something else lies in the folder.
    """
    labels: dict[Path, list[str]] = {}
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["image", "line", "change", "before", "after"])
    for image in images_of(dict(description), split):
        changes, kept = edits.lines.get(str(image), {}), []
        for number, before in enumerate(read_lines(label_file(image)), start=1):
            after = rewritten(before, changes[number], task, sizes[str(image)]) if number in changes else before
            kept += [after] if after else []
            if number in changes:
                writer.writerow([as_text(str(image)), number, changes[number].change, before, after])
        for entry in edits.added.get(str(image), []):
            kept.append(line_of(entry.cls, entry.box, task, sizes[str(image)]))
            writer.writerow([as_text(str(image)), "", "added", "", kept[-1]])
        labels[image] = kept
    return write_relabelled(folder, description, split, labels, **{"fix.csv": stream.getvalue()})


def rewritten(line: str, edit: Edit, task: str, size: tuple[int, int]) -> str:
    """Return a line after a change; empty where it is removed."""
    if edit.change == "removed":
        return ""
    _, *values = line.split()
    if edit.change == "class":
        return " ".join([str(edit.cls), *values])
    return " ".join([line_of(edit.cls, edit.box, task, size), *(values[4:] if task == "pose" else ())])


def line_of(cls: int, box: Box, task: str, size: Iterable[int]) -> str:
    """Return a box as a label file has it, within its image."""
    scale = np.array([*size], np.float64)
    if task == "obb":
        values = (corners_of(np.array([box]))[0] / scale).clip(0, 1).ravel()
    else:
        low, extent = np.array(box).reshape(2, 2) / scale
        low, high = low.clip(0, 1), (low + extent).clip(0, 1)
        values = np.concatenate([(low + high) / 2, high - low])
    return " ".join([str(cls), *decimals(values.tolist())])


def key_of(finding: Any) -> tuple[Any, ...]:
    """Return what tells a finding from the others."""
    if isinstance(finding, MissingLabel):
        return finding.image, finding.cls, finding.box
    if isinstance(finding, DuplicateLabels):
        return finding.image, finding.line, finding.duplicate
    return finding.image, finding.line
