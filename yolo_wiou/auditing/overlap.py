"""Intersection over union of boxes, upright ones or rotated ones."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from yolo_wiou.compare.rotated import rotated_iou

Floats: TypeAlias = NDArray[np.float64]
Boxes: TypeAlias = NDArray[np.float64]
"""(N, 4): corner x and y, width, height, in pixels; of rotated boxes (N, 5), with the angle in radians."""


def iou(boxes: Boxes, others: Boxes) -> Floats:
    """IoU of every box with every other one, (N, M); 0 where neither has an area.

    >>> iou(np.array([[0.0, 0.0, 2.0, 2.0]]), np.array([[1.0, 0.0, 2.0, 2.0], [5.0, 5.0, 1.0, 1.0]])).round(2).tolist()
    [[0.33, 0.0]]
    """
    if boxes.shape[1] == 5:
        return rotated_iou(boxes, others)
    return _upright(boxes[:, None], others[None])


def iou_of_pairs(boxes: Boxes, others: Boxes) -> Floats:
    """IoU of every box with the other one in its place, (N,)."""
    if boxes.shape[1] == 5:
        pairs = zip(boxes, others, strict=True)
        return np.array([rotated_iou(box[None], other[None]).item() for box, other in pairs])
    return _upright(boxes, others)


def _upright(boxes: Boxes, others: Boxes) -> Floats:
    """IoU of upright boxes (..., 4), of which either may be repeated."""
    low = np.maximum(boxes[..., :2], others[..., :2])
    high = np.minimum(boxes[..., :2] + boxes[..., 2:], others[..., :2] + others[..., 2:])
    overlap = (high - low).clip(0).prod(-1)
    union = boxes[..., 2:].prod(-1) + others[..., 2:].prod(-1) - overlap
    shares: Floats = np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)
    return shares
