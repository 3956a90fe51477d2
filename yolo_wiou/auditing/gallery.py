"""What was found, as cards: a small JPEG of the place, with the boxes to draw on it."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageOps

from yolo_wiou.auditing.findings import AuditedLabel, Box, DuplicateLabels, MissingLabel
from yolo_wiou.auditing.overlap import corners
from yolo_wiou.auditing.report import Report

Finding: TypeAlias = AuditedLabel | MissingLabel | DuplicateLabels
MOST = 500
"""Cards of a page; the surest of the missing objects and duplicates have a fifth of them each, the labels the rest."""
SIDE, JPEG_QUALITY = 300, 72
"""Longer side of a JPEG, in pixels."""
MARGIN, LEAST = 0.5, 32
"""What is shown around boxes, in their longer sides, and the least of it in pixels."""


@dataclass(frozen=True)
class Outline:
    """A box to draw: what it is (label, proposal or neighbour), and its corners as SVG has them."""

    kind: str
    points: str


@dataclass(frozen=True)
class Card:
    """A finding, and the place where it is.

    Attributes:
        table: labels, missing or duplicates.
        reason: what is wrong, in a word.
        name: of the class.
        title: of the card.
        text: what else is to be said.
        obstacle: why it cannot be accepted; empty where it can.
        jpeg: base64; empty where the image cannot be read.
        view: left, top, width and height of the place, in pixels of the image.
        outlines: what to draw.
        finding: as audit.json has it.
    """

    table: str
    reason: str
    name: str
    title: str
    text: str
    obstacle: str
    jpeg: str
    view: tuple[float, float, float, float]
    outlines: list[Outline]
    finding: dict[str, Any]


def cards(report: Report) -> Iterator[Card]:
    """Yield the worst findings of each kind."""
    missing, duplicates = report.missing[: MOST // 5], report.duplicates[: MOST // 5]
    labels = report.flagged[: MOST - len(missing) - len(duplicates)]
    neighbours: dict[str, list[AuditedLabel]] = {}
    for label in report.labels:
        neighbours.setdefault(label.image, []).append(label)
    findings: list[Finding] = [*labels, *missing, *duplicates]
    for finding in findings:
        size, near = report.sizes[finding.image], neighbours.get(finding.image, [])
        yield card(finding, size, near, report.obstacle(finding))


def card(finding: Finding, size: tuple[int, int], labels: list[AuditedLabel], obstacle: str) -> Card:
    """Return the card of a finding.

    Args:
        finding: any.
        size: width and height of its image.
        labels: all of that image.
        obstacle: why it cannot be put right here.
    """
    table, reason, text = describe(finding)
    own = [("label", finding.box)] if not isinstance(finding, MissingLabel) else [("proposal", finding.box)]
    if isinstance(finding, DuplicateLabels):
        own.append(("label", finding.duplicate_box))
    elif isinstance(finding, AuditedLabel) and finding.proposed_box:
        own.append(("proposal", finding.proposed_box))
    view = place([box for _, box in own], size)
    drawn = {box for _, box in own}
    others = [("neighbour", label.box) for label in labels if label.box not in drawn]
    near = [(kind, box) for kind, box in others if touches(box, view)]
    return Card(
        table=table,
        reason=reason,
        name=finding.name,
        title=f"{Path(finding.image).name}{where(finding)}",
        text=text,
        obstacle=obstacle,
        jpeg=crop(Path(finding.image), view, size),
        view=view,
        outlines=[Outline(kind, points(box)) for kind, box in (*near, *own)],
        finding=asdict(finding),
    )


def describe(finding: Finding) -> tuple[str, str, str]:
    """Return the table that a finding stands in, its reason, and what is to be said of it."""
    if isinstance(finding, MissingLabel):
        return "missing", "missing", f"{finding.name}, confidence {finding.confidence:.2f}"
    if isinstance(finding, DuplicateLabels):
        return "duplicates", "duplicate", f"{finding.name} twice, IoU {finding.iou:.2f}"
    text = f"{finding.name}, score {finding.score:.1f}"
    if finding.reason == "class":
        text = f"{finding.name} → {finding.proposed_name}, score {finding.score:.1f}"
    elif finding.iou is not None:
        text += f", IoU {finding.iou:.2f} with the better box"
    return "labels", finding.reason, text


def where(finding: Finding) -> str:
    """Return the lines of a finding, as a title has them."""
    if isinstance(finding, DuplicateLabels):
        return f", lines {finding.line} and {finding.duplicate}"
    return f", line {finding.line}" if isinstance(finding, AuditedLabel) else ""


def points(box: Box) -> str:
    """Corners of a box as SVG has them."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in corners(box))


def place(boxes: list[Box], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return a square around boxes, as far as it is within the image: left, top, width, height."""
    all_corners = np.concatenate([corners(box) for box in boxes])
    low, high = all_corners.min(0), all_corners.max(0)
    middle = (low + high) / 2
    extent = float((high - low).max())
    half = extent / 2 + max(MARGIN * extent, LEAST)
    left, top = np.floor((middle - half).clip(0, np.maximum(np.array(size) - 1, 0)))
    right, bottom = np.ceil((middle + half).clip(1, size))
    return float(left), float(top), max(float(right - left), 1.0), max(float(bottom - top), 1.0)


def touches(box: Box, view: tuple[float, float, float, float]) -> bool:
    """Whether a box reaches into a place."""
    low, high = corners(box).min(0), corners(box).max(0)
    return bool((low < np.add(view[:2], view[2:])).all() and (high > view[:2]).all())


def crop(file: Path, view: tuple[float, float, float, float], size: tuple[int, int]) -> str:
    """Return a small JPEG of a place in an image as it is shown, in base64; empty where it cannot be read."""
    left, top, width, height = view
    try:
        with Image.open(file) as image:
            upright = ImageOps.exif_transpose(image)
            scale = upright.width / size[0]
            edges = [round(scale * side) for side in (left, top, left + width, top + height)]
            small = upright.crop((edges[0], edges[1], edges[2], edges[3])).convert("RGB")
    except (OSError, ValueError):
        return ""
    larger = SIDE / max(small.size)
    small = small.resize([max(round(side * larger), 1) for side in small.size])
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return base64.b64encode(buffer.getvalue()).decode()
