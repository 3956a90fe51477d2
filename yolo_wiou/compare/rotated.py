"""Intersection over union of rotated boxes, exact."""

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]


def rotated_iou(boxes: ArrayLike, objects: ArrayLike) -> Floats:
    """IoU of every box with every object.

    Args:
        boxes: (D, 5) corner x and y, width and height of a box, in any unit, and the angle in radians by which it is
            then turned about its centre, from x towards y; 0 is an upright box.
        objects: (G, 5), likewise.

    Returns:
        (D, G) float64.
    """
    found, held = (np.asarray(rows, np.float64).reshape(-1, 5) for rows in (boxes, objects))
    if len(found) < len(held):  # one after the other are taken of those that are fewer
        return rotated_iou(held, found).T
    corners = corners_of(found)
    overlap = np.empty((len(found), len(held)))
    for column, (x, y, w, h, angle) in enumerate(held):
        about_centre = corners - (x + w / 2, y + h / 2)
        cos, sin = np.cos(angle), np.sin(angle)
        overlap[:, column] = _area_within(about_centre @ [[cos, -sin], [sin, cos]], w / 2, h / 2)
    area = found[:, 2:3] * found[:, 3:4] + held[:, 2] * held[:, 3] - overlap
    return np.divide(overlap, area, out=np.zeros_like(overlap), where=area > 0)


def corners_of(boxes: Floats) -> Floats:
    """Corners of boxes (N, 5), in order around each: (N, 4, 2)."""
    x, y, w, h, angle = boxes.T
    cos, sin = np.cos(angle), np.sin(angle)
    along, across = np.stack([w * cos, w * sin], 1) / 2, np.stack([-h * sin, h * cos], 1) / 2
    centre = np.stack([x + w / 2, y + h / 2], 1)
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return np.stack([centre + a * along + b * across for a, b in signs], 1)


def _area_within(corners: Floats, half_width: float, half_height: float) -> Floats:
    """Area of convex polygons (N, K, 2) inside the upright box of that size about the origin, (N,).

    It is the integral over x, from side to side of the box, of the polygon's upper edge minus its lower one, both held
    within the box: along every edge a sum of at most three trapezoids.
    """
    (x, y), (dx, dy) = np.moveaxis(corners, 2, 0), np.moveaxis(np.roll(corners, -1, 1) - corners, 2, 0)
    enter, leave = _inside(x, dx, half_width)
    width, y, dy = (leave - enter) * dx, y + enter * dy, (leave - enter) * dy
    shares = np.stack([np.zeros_like(x), *_inside(y, dy, half_height), np.ones_like(x)])
    heights = np.clip(y + shares * dy, -half_height, half_height)
    trapezoids = np.diff(shares, axis=0) * (heights[1:] + heights[:-1]) / 2
    area: Floats = np.abs((width * trapezoids.sum(0)).sum(1))
    return area


def _inside(start: Floats, step: Floats, half: float) -> tuple[Floats, Floats]:
    """From which share of its way to which one a coordinate that goes from `start` by `step` is within ±half."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        shares = np.stack([(-half - start) / step, (half - start) / step])
    first, last = np.sort(np.nan_to_num(shares, nan=0, posinf=np.inf, neginf=-np.inf).clip(0, 1), axis=0)
    return first, last
