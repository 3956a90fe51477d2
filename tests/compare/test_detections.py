"""Ground truth and detections in COCO's form."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from yolo_wiou.compare.detections import DetectionRecorder, detections, image_size, truth


def photograph(file: Path, orientation: int | None) -> Path:
    """A picture of 40 x 30 pixels, which its EXIF data may turn."""
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.new("RGB", (40, 30)).save(file, exif=exif)
    return file


@pytest.mark.parametrize("orientation", [None, 1, 2, 3, 4, 5, 6, 7, 8])
def test_an_image_has_the_size_that_it_is_shown_in(orientation, tmp_path):
    is_turned = orientation in {5, 6, 7, 8}
    file = photograph(tmp_path / "photo.jpg", orientation)
    assert image_size(str(file)) == ((30, 40) if is_turned else (40, 30))


def test_boxes_of_a_turned_image_are_shares_of_its_shown_size(tmp_path):
    file = photograph(tmp_path / "photo.jpg", 6)
    label = {"im_file": str(file), "cls": np.array([[1]]), "bboxes": np.array([[0.5, 0.5, 0.2, 0.1]])}
    coco = truth([label], {0: "disc", 1: "box"})
    assert (coco["images"][0]["width"], coco["images"][0]["height"]) == (30, 40)
    assert coco["annotations"][0]["bbox"] == pytest.approx([12, 18, 6, 4])
    assert coco["annotations"][0]["area"] == pytest.approx(24)
    assert coco["categories"] == [{"id": 0, "name": "disc"}, {"id": 1, "name": "box"}]


@pytest.mark.parametrize(("is_limited", "objects", "most"), [(False, 400, 400), (False, 9, 300), (True, 400, 300)])
def test_as_many_detections_are_kept_as_there_are_objects(is_limited, objects, most):
    labels = [{"cls": np.zeros((n, 1))} for n in (objects, 0, 5)]
    loader = SimpleNamespace(dataset=SimpleNamespace(labels=labels))
    validator = SimpleNamespace(args=SimpleNamespace(max_det=300), dataloader=loader, pred_to_json=None)
    DetectionRecorder(is_limited).watch(validator)
    assert validator.args.max_det == most


def test_detections_name_their_image_and_class_by_number():
    row = {"bbox": [1.0, 2.0, 3.0, 4.0], "score": 0.5, "category_id": 18}
    labels = [{"im_file": "a.jpg"}, {"im_file": "b.jpg"}]
    table = detections([("b.jpg", row)], labels, [1, 18])
    assert table.dtype == np.float32  # half of what many detections take otherwise
    assert table.tolist() == [[1, 1, 2, 3, 4, 0.5, 1]]
    assert detections([], labels, [1, 18]).shape == (0, 7)
