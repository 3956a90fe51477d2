"""IoU of rotated boxes by hand and against OpenCV's, and AP by it against COCO's of upright boxes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.synthetic import detect, ground_truth
from hypothesis import given, settings
from hypothesis import strategies as some

from yolo_wiou.compare import rotated
from yolo_wiou.compare.detections import compact, detections, truth
from yolo_wiou.compare.evaluation import evaluate, metrics_of
from yolo_wiou.compare.rotated import rotated_iou
from yolo_wiou.files import write_json

RIGHT, EIGHTH = math.pi / 2, math.pi / 4


@pytest.mark.parametrize(
    ("box", "others", "ious"),
    [
        ([0, 0, 2, 2, 0], [[1, 0, 2, 2, 0], [5, 5, 1, 1, 0], [0.5, 0.5, 1, 1, 0]], [1 / 3, 0, 1 / 4]),
        ([0, 0, 4, 2, RIGHT], [[1, -1, 2, 4, 0], [0, 0, 4, 2, -RIGHT], [0, 0, 4, 2, 0]], [1, 1, 1 / 3]),
        ([-1, -1, 2, 2, EIGHTH], [[-1, -1, 2, 2, 0], [1.42, -1, 2, 2, 0]], [2**0.5 / 2, 0]),  # an octagon; beside it
        ([-5, -0.5, 10, 1, EIGHTH], [[-5, -0.5, 10, 1, -EIGHTH]], [1 / 19]),  # a cross: 1 of 10 + 10 - 1
        ([0, 0, 0, 0, 1], [[0, 0, 0, 0, 0], [0, 0, 3, 3, 1]], [0, 0]),
    ],
)
def test_iou_by_hand(box: list[float], others: list[list[float]], ious: list[float]) -> None:
    np.testing.assert_allclose(rotated_iou([box], others)[0], ious, atol=1e-12)
    np.testing.assert_allclose(rotated_iou(others, [box])[:, 0], ious, atol=1e-12)
    moved = np.add([box, *others], [1000, 3000, 0, 0, 0])
    np.testing.assert_allclose(rotated_iou(moved[:1], moved[1:])[0], ious, atol=1e-9)


def test_nothing_has_no_iou() -> None:
    assert rotated_iou([], []).shape == (0, 0)
    assert rotated_iou([[0, 0, 1, 1, 0]], []).shape == (1, 0)


def test_the_fewer_boxes_are_taken_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a detector's hundreds and a person's few, whichever comes first."""
    counts = []
    area = rotated._area_within

    def counted(corners: Any, *half: float) -> Any:
        counts.append(len(corners))
        return area(corners, *half)

    monkeypatch.setattr(rotated, "_area_within", counted)
    few, many = [[0, 0, 4, 2, 0.5]], [[i, 0, 4, 2, 0.1] for i in range(9)]
    assert rotated_iou(few, many) == pytest.approx(rotated_iou(many, few).T)
    assert counts == [9, 9]


number = some.floats(0, 30)
boxes = some.lists(some.tuples(number, number, some.floats(1, 30), some.floats(1, 30), some.floats(-4, 4)), min_size=1)


@given(boxes, boxes)
@settings(max_examples=60, deadline=None)
def test_iou_is_opencvs(first: list[Any], second: list[Any]) -> None:
    found = rotated_iou(first, second)
    for i, box in enumerate(first):
        for j, other in enumerate(second):
            (x, y, w, h, a), (X, Y, W, H, A) = box, other
            about = ((x + w / 2, y + h / 2), (w, h), math.degrees(a)), ((X + W / 2, Y + H / 2), (W, H), math.degrees(A))
            kind, corners = cv2.rotatedRectangleIntersection(*about)
            overlap = cv2.contourArea(cv2.convexHull(corners)) if kind else 0
            assert found[i, j] == pytest.approx(overlap / (w * h + W * H - overlap), abs=5e-3)  # float32, by its points


def evaluated(folder: Path, held: dict[str, Any], found: Any) -> Any:
    folder.mkdir(exist_ok=True)
    write_json(folder / "truth.json", held)
    np.savez(folder / "detections-last.npz", detections=found)
    return metrics_of(evaluate(folder, "last"))


def turned(held: dict[str, Any], found: Any, angle: float) -> tuple[dict[str, Any], Any]:
    """The same boxes, turned about (0, 0), which no IoU notices."""

    def turn(x: float, y: float, w: float, h: float) -> list[float]:
        cos, sin, cx, cy = math.cos(angle), math.sin(angle), x + w / 2, y + h / 2
        return [cx * cos - cy * sin - w / 2, cx * sin + cy * cos - h / 2, w, h]

    annotations = [{**a, "bbox": turn(*a["bbox"]), "angle": angle} for a in held["annotations"]]
    rows = [[row[0], *turn(*row[1:5]), *row[5:], angle] for row in found.astype(float).tolist()]
    return {**held, "annotations": annotations}, np.array(rows).reshape(-1, 8)


@pytest.mark.parametrize("seed", range(4))
def test_upright_boxes_have_the_ap_of_the_detect_path(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    held = ground_truth(None, 6, rng)
    found = detect(held, 0.1, rng)
    upright = evaluated(tmp_path / "upright", held, found)
    assert upright.AP is not None
    assert 0.1 < upright.AP < 0.9
    assert evaluated(tmp_path / "turned", *turned(held, found, 0.0)) == upright
    false = np.tile(np.array([[0, 1, 1, 5, 5, 0.995, 0]], np.float32), (120, 1))  # a hundred of them count
    many = np.concatenate((false, found))
    assert evaluated(tmp_path / "turned", *turned(held, many, 0.0)) == evaluated(tmp_path / "upright", held, many)
    by_turn = evaluated(tmp_path / "turned", *turned(held, found, 0.7))
    assert by_turn.by_threshold == pytest.approx(upright.by_threshold)
    assert by_turn.by_class == pytest.approx(upright.by_class)


def test_an_angle_that_is_wrong_costs_ap(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    held = ground_truth(None, 3, rng)
    held["annotations"] = [{**a, "bbox": [*a["bbox"][:2], 40, 10]} for a in held["annotations"]]
    held, found = turned(held, detect(held, 0.0, rng), 0.5)
    assert evaluated(tmp_path, held, found).AP > 0.8
    found[:, 7] += RIGHT
    assert evaluated(tmp_path, held, found).AP == 0


def test_corners_of_labels_and_of_predictions_are_one_box(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    cv2.imwrite(str(picture), np.zeros((100, 200, 3), np.uint8))
    corners = cv2.boxPoints(((90, 50), (60, 20), 30.0))
    label = {"im_file": str(picture), "shape": (100, 200), "cls": np.array([[1]]), "segments": [corners / (200, 100)]}
    held = truth([label], {0: "disc", 1: "box"}, is_rotated=True)
    (annotation,) = held["annotations"]
    assert annotation["area"] == pytest.approx(1200, abs=1e-2)
    row = {"rbox": [], "poly": np.roll(corners, 1, 0).ravel().tolist(), "score": 0.5, "category_id": 2}
    table = detections([(str(picture), compact([row], [1, 2]))], [label], is_rotated=True)
    assert table[0, [0, 5, 6]].tolist() == [0, 0.5, 1]
    expected = [90 - 30, 50 - 10, 60, 20, math.radians(30)]
    for box in (table[0, [1, 2, 3, 4, 7]], [*annotation["bbox"], annotation["angle"]]):
        assert rotated_iou(np.asarray(box)[None], [expected])[0, 0] == pytest.approx(1, abs=1e-4)
    assert detections([], [label], is_rotated=True).shape == (0, 8)
