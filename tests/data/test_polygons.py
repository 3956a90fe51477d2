"""The geometry behind the labels: clipping, and the smallest rotated box."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from yolo_wiou.data import polygons
from yolo_wiou.data.shapes import SHAPES


def test_clipping_keeps_the_part_inside() -> None:
    square = np.array([(-0.25, 0.5), (0.25, 0.5), (0.25, 1.5), (-0.25, 1.5)])
    clipped = polygons.clip(square)
    assert polygons.area(clipped) == pytest.approx(0.125)
    np.testing.assert_allclose([clipped.min(axis=0), clipped.max(axis=0)], [(0, 0.5), (0.25, 1)])
    assert polygons.area(polygons.clip(square + 5)) == 0


@pytest.mark.parametrize("name", SHAPES)
def test_rotated_boxes_enclose_with_the_least_area(name: str) -> None:
    turns = np.radians(np.arange(0, 90, 0.5))
    axes = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    polygon = SHAPES[name] @ np.array([(0.2, 0.05), (-0.04, 0.1)]) + 0.5
    corners = polygons.rotated_box(polygon)
    hull = corners.astype(np.float32)
    assert all(cv2.pointPolygonTest(hull, point.tolist(), True) > -1e-6 for point in polygon)
    extents = np.ptp(polygon @ axes.T, axis=0) * np.ptp(polygon @ (axes @ [(0, 1), (-1, 0)]).T, axis=0)
    assert polygons.area(corners) <= extents.min() + 1e-6
