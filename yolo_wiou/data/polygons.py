"""Polygons as (n, 2) normalised x and y: clipping, areas, rotated boxes, keypoints."""

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Points: TypeAlias = NDArray[np.float64]  # (n, 2) normalised x, y


def clip(polygon: Points) -> Points:
    """Cut a polygon at the borders of the image (Sutherland-Hodgman).

    >>> clip(np.array([(-1, 0.5), (0.5, 0.5), (0.5, 1), (-1, 1)])).tolist()
    [[0.0, 0.5], [0.5, 0.5], [0.5, 1.0], [0.0, 1.0]]
    """
    for axis, sign, limit in ((0, 1, 0.0), (0, -1, 1.0), (1, 1, 0.0), (1, -1, 1.0)):
        distance = sign * (polygon[:, axis] - limit)  # of each corner to the border, positive inside
        next_distance = np.roll(distance, -1)
        crosses = (distance >= 0) != (next_distance >= 0)
        step = distance / np.where(crosses, distance - next_distance, 1)
        crossing = polygon + step[:, None] * (np.roll(polygon, -1, axis=0) - polygon)
        keep = np.stack([distance >= 0, crosses], axis=1)
        polygon = np.stack([polygon, crossing], axis=1)[keep]
    return polygon.clip(0, 1)


def area(polygon: Points) -> float:
    """Return the area (the shoelace formula).

    >>> area(np.array([(0, 0), (1, 0), (0, 0.5)]))
    0.25
    """
    x, y = polygon.T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def inside(points: Points) -> NDArray[np.bool_]:
    """Return which points lie in the image, (n,)."""
    return np.asarray(np.all((points >= 0) & (points <= 1), axis=1))


def rotated_box(polygon: Points) -> Points:
    """Return the corners of the rotated box with the least area, (4, 2)."""
    return np.asarray(cv2.boxPoints(cv2.minAreaRect(polygon.astype(np.float32))), dtype=np.float64)


def extremes(unit: Points) -> Points:
    """Return the top, right, bottom and left point of a unit polygon; the mean where there are several, (4, 2)."""
    directions = np.array([(0, -1), (1, 0), (0, 1), (-1, 0)])
    return np.array([unit[unit @ direction > 1 - 1e-9].mean(axis=0) for direction in directions])


def visibility(points: Points, covered: NDArray[np.float32]) -> Points:
    """Append the visibility to points: 2, or 1 if hidden; a point outside the image is all 0, as in COCO. (n, 3)."""
    x, y = (points * len(covered)).astype(int).clip(0, len(covered) - 1).T
    flags = np.where(covered[y, x] > 0.5, 1, 2)
    return np.column_stack([points, flags]) * inside(points)[:, None]
