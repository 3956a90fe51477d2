"""Ground truth and detections in COCO's form."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from helpers.running import ROOT
from helpers.studies import a_study
from PIL import Image
from ultralytics import YOLO
from ultralytics.utils.patches import imread

from yolo_wiou.compare.coco import read_detections, read_truth, write_detections
from yolo_wiou.compare.detections import DetectionRecorder, compact, detect, detections, record, truth
from yolo_wiou.compare.evaluation import evaluate, metrics_of
from yolo_wiou.files import write_json


def photograph(file: Path, orientation: int) -> None:
    """A picture of 40 x 30 pixels, which its EXIF data may turn; half of it is one object."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (40, 30)).save(file, exif=exif)


def test_an_image_has_the_size_in_which_ultralytics_reads_it(tmp_path: Path) -> None:
    """Whatever its format, its EXIF data, and who turns it: Pillow turns a TIFF by itself."""
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for kind in ("jpg", "png", "tiff"):
        for orientation in (1, 3, 6, 8):
            photograph(tmp_path / "images" / f"{kind}{orientation}.{kind}", orientation)
            (tmp_path / "labels" / f"{kind}{orientation}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    data = {"path": str(tmp_path), "train": "images", "val": "images", "names": ["disc"]}
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(data))
    YOLO("yolo11n.yaml").save(tmp_path / "last.pt")
    args = SimpleNamespace(data=str(tmp_path / "data.yaml"), imgsz=32, batch=4, workers=0, device="cpu", task="detect")
    detect(tmp_path / "last.pt", "last", a_study().runs()[0], args, tmp_path)
    found = read_truth(tmp_path)
    assert len(found["images"]) == 12
    for image, box in zip(found["images"], found["annotations"], strict=True):
        height, width, _ = imread(image["file_name"]).shape
        assert (image["width"], image["height"]) == (width, height)
        assert box["bbox"] == pytest.approx([width / 4, height / 4, width / 2, height / 2])


def test_a_model_can_be_recorded_again(shapes: Path, tmp_path: Path) -> None:
    model = YOLO(ROOT / "tests" / "fixtures" / "tiny.yaml")
    small: dict[str, Any] = {"data": str(shapes), "imgsz": 64, "batch": 4, "workers": 0, "conf": 1e-6}
    small |= {"verbose": True, "plots": True, "save_json": False, "project": "x", "name": "y"}  # decided by `record`
    recorders = [record(model, tmp_path / "val", **small)[0] for _ in range(2)]
    first, again = (detections(recorder.found, recorder.labels()) for recorder in recorders)
    assert len(first) > 0
    assert again.tolist() == first.tolist()
    assert recorders[1].validator.jdict == []  # a row of it takes a kilobyte
    assert list(tmp_path.iterdir()) == []


def test_boxes_are_shares_of_the_size_that_the_image_was_read_in() -> None:
    label = {"im_file": "a.jpg", "shape": (40, 30), "cls": np.array([[1]]), "bboxes": np.array([[0.5, 0.5, 0.2, 0.1]])}
    coco = truth([label], {0: "disc", 1: "box"})
    assert (coco["images"][0]["width"], coco["images"][0]["height"]) == (30, 40)
    assert coco["annotations"][0]["bbox"] == pytest.approx([12, 18, 6, 4])
    assert coco["annotations"][0]["area"] == pytest.approx(24)
    assert coco["categories"] == [{"id": 0, "name": "disc"}, {"id": 1, "name": "box"}]


@pytest.mark.parametrize(("is_limited", "objects", "most"), [(False, 400, 400), (False, 9, 300), (True, 400, 300)])
def test_as_many_detections_are_kept_as_there_are_objects(is_limited: bool, objects: int, most: int) -> None:
    labels = [{"cls": np.zeros((n, 1))} for n in (objects, 0, 5)]
    loader = SimpleNamespace(dataset=SimpleNamespace(labels=labels))
    validator = SimpleNamespace(
        args=SimpleNamespace(max_det=300), dataloader=loader, pred_to_json=None, preprocess=None
    )
    DetectionRecorder(is_limited).watch(validator)
    assert validator.args.max_det == most


def test_detections_name_their_image_and_class_by_number() -> None:
    row = {"bbox": [1.0, 2.0, 3.0, 4.0], "score": 0.5, "category_id": 18}
    labels = [{"im_file": "a.jpg"}, {"im_file": "b.jpg"}]
    table = detections([("b.jpg", compact([row], [1, 18])), ("a.jpg", compact([], [1, 18]))], labels)
    assert table.dtype == np.float32  # half of what many detections take otherwise
    assert table.tolist() == [[1, 1, 2, 3, 4, 0.5, 1]]
    assert detections([], labels).shape == (0, 7)


def test_every_copy_of_an_image_has_its_own_detections(tmp_path: Path) -> None:
    """Ultralytics' own figure counts an image as often as a list names it; AP stays 1 where everything is found."""
    box = np.array([[0.5, 0.5, 0.2, 0.4]])
    files = ["a.jpg", "b.jpg", "a.jpg", "a.jpg"]
    labels = [{"im_file": file, "shape": (100, 100), "cls": np.zeros((1, 1)), "bboxes": box} for file in files]
    found = [(file, np.array([[40, 30, 20, 40, 0.9, 0]], np.float32)) for file in files]
    table = detections(found, labels)
    assert table[:, 0].tolist() == [0, 1, 2, 3]
    assert detections(found, labels[:2])[:, 0].tolist() == [0, 1]
    write_detections(tmp_path, "last", table)
    write_json(tmp_path / "truth.json", truth(labels, {0: "disc"}))
    assert pytest.approx(1) == metrics_of(evaluate(tmp_path, "last")).AP


def test_what_is_detected_of_other_classes_is_left_out_as_their_labels_are(shapes: Path, tmp_path: Path) -> None:
    """As false detections they would count in what is said of an image."""
    YOLO(ROOT / "tests" / "fixtures" / "tiny.yaml").save(tmp_path / "last.pt")
    args = SimpleNamespace(data=str(shapes), imgsz=64, batch=4, workers=0, device="cpu", task="detect")
    run = a_study(arguments={"conf": 1e-6, "classes": [1]}).runs()[0]
    detect(tmp_path / "last.pt", "last", run, args, tmp_path)
    assert set(read_detections(tmp_path, "last")[:, 6].tolist()) == {1.0}
    assert {box["category_id"] for box in read_truth(tmp_path)["annotations"]} == {1}
