"""A corrected copy of the labels, and a list of what was changed."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from yolo_wiou.auditing.decisions import Decisions, Findings, lines_of, unmatched
from yolo_wiou.auditing.findings import AuditedLabel, Box, DuplicateLabels, MissingLabel
from yolo_wiou.auditing.overlap import Floats, corners
from yolo_wiou.data.noise import box_of, decimals
from yolo_wiou.data.polygons import clip, rotated_box
from yolo_wiou.data.relabelled import write_relabelled
from yolo_wiou.data.yolo_format import label_file, parse, read_lines
from yolo_wiou.errors import ConfigError
from yolo_wiou.files import as_text
from yolo_wiou.training.preflight import images_of

LOG = logging.getLogger(__name__)
MORE = {"segment": "an outline", "pose": "key points"}
"""Tasks whose labels are more than a box, and what else they are."""

Change: TypeAlias = Literal["moved", "class", "removed"]


@dataclass(frozen=True)
class Edit:
    """A change of one line: what it is, the class where it is another one, and the box where it is."""

    image: str
    line: int
    change: Change
    cls: int | None = None
    box: Box = ()


@dataclass(frozen=True)
class Edits:
    """All changes of a label file, which several images may have: of lines, by number, and what is added to it."""

    lines: dict[int, Edit] = field(default_factory=dict)
    added: list[MissingLabel] = field(default_factory=list)


def choose(
    found: Findings, decisions: Decisions, task: str, *, remove: bool, add: bool, no_addition: str = ""
) -> dict[Path, Edits]:
    """Choose what to change: what was accepted, and of what was not decided what is sure.

    Args:
        found: everything.
        decisions: a person's, about these labels.
        task: detect, segment, pose or obb.
        remove: spurious labels and duplicates too.
        add: missing ones too.
        no_addition: why a label cannot be added, if it cannot.

    Returns:
        The changes of each label file.

    Raises:
        ConfigError: something is to be added that a box alone does not make.
    """
    if add:
        check_addition(no_addition)
    accepted, rejected = decisions.accepted, decisions.rejected
    warn_of_obstacles(accepted, task, no_addition)
    additions = [] if no_addition else unmatched(accepted.missing, found.labels)  # some may have got a label since
    if add:
        additions += unmatched(found.missing, [*accepted.missing, *rejected.missing])
    findings: list[AuditedLabel | DuplicateLabels] = [*accepted.duplicates, *accepted.labels]
    others: list[AuditedLabel | DuplicateLabels] = [*found.duplicates, *found.labels]
    decided = decisions.lines
    findings += [other for other in others if lines_of(other) not in decided and is_sure(other, remove)]
    edits: dict[Path, Edits] = {}
    for finding in findings:
        if edit := edit_of(finding, task):
            edits.setdefault(label_file(Path(edit.image)), Edits()).lines.setdefault(edit.line, edit)
    for entry in additions:
        added = edits.setdefault(label_file(Path(entry.image)), Edits()).added
        if not added or added[0].image == entry.image:  # images that share a file show the same
            added.append(entry)
    return edits


def is_sure(finding: AuditedLabel | DuplicateLabels, remove: bool) -> bool:
    """Whether a label is changed without being told to: `remove` allows to take it out."""
    if isinstance(finding, DuplicateLabels):
        return remove and is_of_one_class(finding)
    return remove if finding.reason == "spurious" else finding.is_sure


def is_of_one_class(pair: DuplicateLabels) -> bool:
    """Whether both labels are of one class in their file too, where all may have been read as one (`single_cls`)."""
    classes = {label.line: label.cls for label in parse(read_lines(label_file(Path(pair.image))))}
    return classes.get(pair.line) == classes.get(pair.duplicate)


def edit_of(finding: AuditedLabel | DuplicateLabels, task: str) -> Edit | None:
    """Return how a finding would change a line; nothing where it has no better label, or cannot."""
    if isinstance(finding, DuplicateLabels):
        return Edit(finding.image, finding.duplicate, "removed")
    if finding.reason == "spurious":
        return Edit(finding.image, finding.line, "removed")
    if finding.proposed_cls is None or obstacle(finding, task):
        return None
    cls = finding.proposed_cls if finding.proposed_cls != finding.cls else None
    if finding.reason == "class":
        return Edit(finding.image, finding.line, "class", cls)
    return Edit(finding.image, finding.line, "moved", cls, finding.proposed_box)


def obstacle(finding: AuditedLabel | MissingLabel | DuplicateLabels, task: str, no_addition: str = "") -> str:
    """Say why a finding cannot be put right here; empty where it can."""
    if isinstance(finding, MissingLabel):
        return no_addition
    if isinstance(finding, AuditedLabel) and finding.reason in {"loose", "shifted"} and task == "segment":
        return "a box does not move an outline"
    return ""


def why_no_addition(task: str, description: Mapping[str, Any] | None = None, is_single: bool = False) -> str:
    """Say why a box cannot become a label; empty where it can.

    Args:
        task: detect, segment, pose or obb.
        description: Ultralytics' of the data set.
        is_single: whether all classes were read as one.
    """
    description = description or {}
    if task in MORE:
        return f"a label of task {task} is {MORE[task]}, not a box alone"
    if "kpt_shape" in description:
        return f"a label of this data set is {MORE['pose']} too, not a box alone"
    if is_single and len(description.get("names", ())) > 1:
        return "with single_cls it is not known of which class it is"
    return ""


def check_addition(no_addition: str) -> None:
    """Refuse to add labels where that cannot be.

    Raises:
        ConfigError: says why.
    """
    if no_addition:
        raise ConfigError(f"a missing object cannot be added: {no_addition}.")


def warn_of_obstacles(accepted: Findings, task: str, no_addition: str) -> None:
    """Say how many decisions cannot be carried out, if any."""
    findings: list[AuditedLabel | MissingLabel] = [*accepted.labels, *accepted.missing]
    if reasons := [why for finding in findings if (why := obstacle(finding, task, no_addition))]:
        why = "; ".join(dict.fromkeys(reasons))
        LOG.warning(f"yolo-wiou: {len(reasons)} of the accepted changes cannot be made: {why}.")


def write_fixed(
    folder: Path,
    description: Mapping[str, Any],
    split: str,
    edits: Mapping[Path, Edits],
    sizes: Mapping[str, tuple[int, int]],
) -> Path:
    """Write the corrected copy, and fix.csv in it: image, line, change, and the line before and after.

    Args:
        folder: to be made, or made by us before.
        description: Ultralytics' of the data set.
        split: whose labels these are.
        edits: what to change in each label file.
        sizes: width and height of each image in pixels.

    Returns:
        The copy's data.yaml.

    Raises:
        ConfigError: something else lies in the folder.
    """
    images = images_of(dict(description), split)
    files = (label_file(Path(image)) for image in sizes)
    typical = next(filter(None, map(read_lines, files)), [])  # as which a file without labels is
    changed: dict[Path, list[str]] = {}
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["image", "line", "change", "before", "after"])
    for file, of in sorted(edits.items()):
        lines = read_lines(file)
        is_outlined = has_outlines(lines or typical, description)
        after = {number: rewritten(lines[number - 1], edit, sizes, is_outlined) for number, edit in of.lines.items()}
        added = [line_of(str(entry.cls), entry.box, sizes[entry.image], is_outlined) for entry in of.added]
        for number, edit in sorted(of.lines.items()):
            writer.writerow([as_text(edit.image), number, edit.change, lines[number - 1], after[number]])
        for entry, line in zip(of.added, added, strict=True):
            writer.writerow([as_text(entry.image), "", "added", "", line])
        kept = [after.get(number, line) for number, line in enumerate(lines, start=1)]
        changed[file] = [*filter(None, kept), *added]
    return write_relabelled(folder, description, split, images, changed, **{"fix.csv": stream.getvalue()})


def has_outlines(lines: Sequence[str], description: Mapping[str, Any]) -> bool:
    """Whether labels are outlines: Ultralytics reads no file that has boxes too."""
    return "kpt_shape" not in description and any(len(line.split()) > 6 for line in lines)


def rewritten(line: str, edit: Edit, sizes: Mapping[str, tuple[int, int]], is_outlined: bool) -> str:
    """Return a line after a change; empty where it is removed."""
    if edit.change == "removed":
        return ""
    word, *values = line.split()
    word = word if edit.cls is None else str(edit.cls)
    if edit.change == "class":
        return " ".join([word, *values])
    points = [] if is_outlined else values[4:]  # key points stay
    return " ".join([line_of(word, edit.box, sizes[edit.image], is_outlined), *points])


def line_of(word: str, box: Box, size: Iterable[int], is_outlined: bool) -> str:
    """Return the line of a box, within its image: class, and the corners, or the centre and the sides."""
    points = within_image(box, np.array([*size], np.float64))
    is_box = len(box) == 4 and not is_outlined
    values = box_of(points.min(0), points.max(0)) if is_box else points.ravel().tolist()
    return " ".join([word, *decimals(values)])


def within_image(box: Box, size: Floats) -> Floats:
    """Return the corners of a box in shares of the image, (4, 2).

    An upright box is cut at the border. A rotated one keeps its corners outside, which Ultralytics takes as long as the
    upright box about them has its centre in the image and is no larger than that; else it is the least about the part
    in the image.
    """
    points = corners(box) / size
    if len(box) == 4:
        return points.clip(0, 1)
    low, high = points.min(0), points.max(0)
    values = np.concatenate([(low + high) / 2, high - low])
    if ((values >= 0) & (values <= 1)).all():
        return points
    return (rotated_box(clip(points) * size) / size).clip(0, 1)
