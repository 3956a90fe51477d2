"""Boxes, upright ones or rotated ones: their intersection over union, their centres, and how they are written down."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from yolo_wiou.auditing.findings import Box
from yolo_wiou.compare.rotated import corners_of, rotated_iou
from yolo_wiou.data.iou import iou as upright

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
    return upright(xyxy(boxes)[:, None], xyxy(others))


def iou_of_pairs(boxes: Boxes, others: Boxes) -> Floats:
    """IoU of every box with the other one in its place, (N,)."""
    if boxes.shape[1] == 5:
        pairs = zip(boxes, others, strict=True)
        return np.array([rotated_iou(box[None], other[None]).item() for box, other in pairs])
    return upright(xyxy(boxes), xyxy(others))


def xyxy(boxes: Boxes) -> Boxes:
    """Corners of upright boxes, (N, 4)."""
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def corners(box: Box) -> Floats:
    """Corners of a box, upright or rotated, in order around it: (4, 2)."""
    return np.asarray(corners_of(np.array([[*box, 0.0][:5]]))[0])


def centre(boxes: Boxes) -> Floats:
    """Centres, (N, 2)."""
    return boxes[:, :2] + boxes[:, 2:4] / 2


def plain(box: NDArray[np.float64]) -> Box:
    """A box as a tuple, in hundredths of a pixel; an angle in 1/10,000 of a radian."""
    return (*(round(value, 2) for value in box[:4].tolist()), *(round(value, 4) for value in box[4:].tolist()))
