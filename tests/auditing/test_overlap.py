"""IoU of boxes, against plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.audits import overlap

from yolo_wiou.auditing.overlap import iou, iou_of_pairs


def test_it_is_that_of_plain_arithmetic() -> None:
    rng = np.random.default_rng(0)
    boxes, others = (np.column_stack([rng.uniform(0, 50, (20, 2)), rng.uniform(1, 60, (20, 2))]) for _ in range(2))
    expected = np.array([[overlap(box, other) for other in others] for box in boxes])
    assert iou(boxes, others) == pytest.approx(expected)
    assert iou_of_pairs(boxes, others) == pytest.approx(np.diag(expected))
    upright = [np.column_stack([rows, np.zeros(20)]) for rows in (boxes, others)]
    assert iou(*upright) == pytest.approx(expected)
    assert iou_of_pairs(*upright) == pytest.approx(np.diag(expected))


def test_what_has_no_area_overlaps_nothing() -> None:
    flat = np.array([[5.0, 5, 0, 10]])
    assert iou(flat, flat).tolist() == [[0]]
    assert iou(np.zeros((0, 4)), flat).shape == (0, 1)
    assert iou_of_pairs(np.zeros((0, 5)), np.zeros((0, 5))).shape == (0,)
