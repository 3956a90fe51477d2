"""What an audit says: a row for every label, missing object and duplicate.

Boxes are x and y of a corner, width and height in pixels of the image; of rotated boxes also the angle in radians by
which they are turned about their centre, from x towards y.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Box: TypeAlias = tuple[float, ...]
Reason: TypeAlias = Literal["", "loose", "shifted", "class", "spurious", "unclear"]
FLAGS: tuple[Reason, ...] = ("loose", "shifted", "class", "spurious")
"""Reasons that call a label wrong; `unclear` is unusual, but the detector is not sure enough to say how."""


@dataclass(frozen=True, slots=True)
class AuditedLabel:
    """A label, and what is to be said of it.

    Attributes:
        image: its image.
        line: its line in the image's label file, from 1.
        cls: index of its class.
        name: of its class.
        box: where it is.
        score: how unusual it is beside labels of its class and size, in robust standard deviations.
        reason: what is wrong with it, in a word; empty where nothing seems to be.
        proposed_cls: a better class; its own where that is not in doubt; None without a proposal.
        proposed_name: the name of that.
        proposed_box: a better box, likewise; empty without a proposal.
        iou: of both boxes; None without a proposal.
        is_sure: whether `fix=` changes it without being told to.
    """

    image: str
    line: int
    cls: int
    name: str
    box: Box
    score: float
    reason: Reason = ""
    proposed_cls: int | None = None
    proposed_name: str = ""
    proposed_box: Box = ()
    iou: float | None = None
    is_sure: bool = False

    @property
    def is_flagged(self) -> bool:
        """Whether it is called wrong."""
        return self.reason in FLAGS


@dataclass(frozen=True, slots=True)
class MissingLabel:
    """An object that the detector is as sure of as of those that have a label, and that has none.

    Attributes:
        image: its image.
        cls: index of its class.
        name: of its class.
        box: where it is.
        confidence: the detector's.
        certainty: that confidence over the typical one of its class.
    """

    image: str
    cls: int
    name: str
    box: Box
    confidence: float
    certainty: float


@dataclass(frozen=True, slots=True)
class DuplicateLabels:
    """Two labels of one class for what seems to be one object.

    Attributes:
        image: their image.
        line: of the one that fits better, or comes first where they are equal.
        duplicate: line of the other.
        cls: index of their class.
        name: of their class.
        box: of the first.
        duplicate_box: of the other.
        iou: of both; 1 where they are equal letter for letter, so that Ultralytics reads one of them.
    """

    image: str
    line: int
    duplicate: int
    cls: int
    name: str
    box: Box
    duplicate_box: Box
    iou: float
