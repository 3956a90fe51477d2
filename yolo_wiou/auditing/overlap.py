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
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, :2] + boxes[:, None, 2:], others[None, :, :2] + others[None, :, 2:])
    overlap = (high - low).clip(0).prod(2)
    union = boxes[:, 2:].prod(1)[:, None] + others[:, 2:].prod(1) - overlap
    shares: Floats = np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)
    return shares
