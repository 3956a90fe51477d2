"""Intersection over union of upright boxes in NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def iou(boxes: Floats, others: Floats) -> Floats:
    """IoU of boxes with others; 0 where neither has an area.

    >>> iou(np.array([0.0, 0.0, 2.0, 2.0]), np.array([[1.0, 0.0, 3.0, 2.0], [5.0, 5.0, 6.0, 6.0]])).round(2).tolist()
    [0.33, 0.0]

    Args:
        boxes: (..., 4) float64 xyxy, in any unit.
        others: likewise; either is repeated as NumPy repeats it: `iou(boxes[:, None], others)` is of all pairs.

    Returns:
        (...) float64.
    """
    low, high = np.maximum(boxes[..., :2], others[..., :2]), np.minimum(boxes[..., 2:], others[..., 2:])
    shared = (high - low).clip(0).prod(-1)
    union = area(boxes) + area(others) - shared
    shares: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return shares


def area(boxes: Floats) -> Floats:
    """Area of boxes, (..., 4) xyxy -> (...)."""
    sides: Floats = (boxes[..., 2:] - boxes[..., :2]).prod(-1)
    return sides
