"""How unusual a label is, beside labels of its class, of its size, and of which the detector is as sure."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from yolo_wiou.auditing.evidence import Evidence, Indices
from yolo_wiou.auditing.history import Past
from yolo_wiou.auditing.labels import Labels
from yolo_wiou.auditing.overlap import Floats

LEAST = 20
"""Labels of a group that is measured by itself; smaller ones are measured together."""
SCALE = 1.4826
"""Standard deviations of a normal distribution in its median absolute deviation."""
FLOOR, LOG_FLOOR = 0.02, 0.1
"""Least spread of an IoU and of its logarithm: where a detector is almost exact, a difference of a digit is none."""
CLASS = 1.5
"""Standard deviations of the place that count as much as e times the evidence for another class."""
OFFSET = 0.03
"""Added before a logarithm of 1 - IoU, so that hardly any is as good as none."""


def score(labels: Labels, evidence: Evidence, past: Past | None = None) -> Floats:
    """Return how unusual each label is, in robust standard deviations, (N,).

    The larger of two: 1 - the best IoU with any detection, beside labels of the class and then of objects of the size;
    and 1.5 times the logarithm of how many times more speaks for another class than for the label's own. Each is the
    mean with what the training saw, where that is known.
    """

    def unusual(values: Floats) -> Floats:
        return robust_z(robust_z(values, labels.cls, FLOOR), quartile(evidence.size))

    loc, cls = unusual(evidence.loc), CLASS * evidence.odds
    if past and not past.is_empty:
        loc, cls = (
            np.where(np.isnan(then), now, (now + unusual(np.nan_to_num(then, nan=np.nanmedian(then)))) / 2)
            for now, then in ((loc, past.loc), (cls, past.cls))
        )
    return np.maximum(loc, cls)


def misplacement(labels: Labels, evidence: Evidence, confidence: Floats) -> Floats:
    """Return how badly each label is placed for one of which the detector is as sure, in robust standard deviations.

    1 - IoU of right labels is log-normal, and the wider the less confident the detection is. So it is the logarithm
    that is measured, by confidence, by class and by size, one after the other: of right labels 2 % are then above 2,
    about as of a normal distribution, which no score without the confidence is near.

    Args:
        labels: of a split.
        evidence: about them.
        confidence: (N,) of the detection that is most about each label, over the typical one of its class.
    """
    values = robust_z(np.log(evidence.loc + OFFSET), quartile(confidence), LOG_FLOOR)
    return robust_z(robust_z(values, labels.cls), quartile(evidence.size))


def quartile(values: Floats) -> Indices:
    """Which quarter each value is in, 0 to 3."""
    return np.searchsorted(np.quantile(values, (0.25, 0.5, 0.75)), values) if len(values) else np.zeros(0, np.int64)


def robust_z(values: ArrayLike, groups: ArrayLike, floor: float = 0.1) -> Floats:
    """Distance of values from the median of their group, in robust standard deviations of it.

    Groups of fewer than 20 are taken together; where even that is one, with all values.

    Args:
        values: (N,).
        groups: (N,) which group each belongs to.
        floor: least standard deviation.
    """
    values, groups = np.asarray(values, np.float64), np.asarray(groups)
    _, number, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    number = np.where(sizes[number] >= LEAST, number, -1)
    z = np.zeros(len(values))
    for group in np.unique(number):
        members = number == group
        like = values[members] if members.sum() >= LEAST else values
        middle = np.median(like)
        spread = SCALE * np.median(np.abs(like - middle))
        z[members] = (values[members] - middle) / max(spread, floor)
    return z
