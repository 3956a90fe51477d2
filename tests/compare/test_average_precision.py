"""AP from matches kept by image against faster-coco-eval, on every image and on images that are really repeated."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.synthetic import detect, ground_truth
from hypothesis import given, settings
from hypothesis import strategies as some

from yolo_wiou.compare import average_precision as average_precision_module
from yolo_wiou.compare.average_precision import ClassMatches, average_precision, quality, redraw
from yolo_wiou.compare.evaluation import evaluate, metrics_of


def evaluated(folder: Path, truth: dict[str, Any], found: Any) -> Any:
    (folder / "truth.json").write_text(json.dumps(truth))
    np.savez(folder / "detections-last.npz", detections=found)
    return evaluate(folder, "last")


def case(seed: int, looseness: float, images: int = 6, steps: int = 10) -> tuple[dict[str, Any], Any]:
    """Ground truth without pictures, and detections with many equal scores."""
    rng = np.random.default_rng(seed)
    truth = ground_truth(None, images, rng)
    found = detect(truth, looseness, rng)
    found[:, 5] = np.round(found[:, 5] * steps) / steps
    return truth, found


def by_threshold(evaluation: Any) -> list[Any]:
    return list(metrics_of(evaluation).by_threshold.values())


@given(seed=some.integers(0, 10_000), looseness=some.floats(0.01, 0.3), steps=some.sampled_from([1, 4, 1000]))
@settings(max_examples=25, deadline=None)
def test_ap_of_every_image_once_is_faster_coco_evals(
    tmp_path_factory: pytest.TempPathFactory, seed: int, looseness: float, steps: int
) -> None:
    evaluation = evaluated(tmp_path_factory.mktemp("run"), *case(seed, looseness, steps=steps))
    own = average_precision(evaluation.matches, np.ones((1, 6)))[0]
    np.testing.assert_allclose(own, by_threshold(evaluation), atol=1e-9)


def test_ap_of_a_redraw_is_that_of_images_which_are_really_repeated(tmp_path: Path) -> None:
    truth, found = case(7, 0.1, steps=100_000)
    classes = evaluated(tmp_path, truth, found).matches
    for weights in redraw(6, 5, seed=1):
        drawn = np.repeat(np.arange(6), weights)
        images = [{**truth["images"][i], "id": new} for new, i in enumerate(drawn)]
        copies = [(new, box) for new, i in enumerate(drawn) for box in truth["annotations"] if box["image_id"] == i]
        boxes = [{**box, "image_id": new, "id": number} for number, (new, box) in enumerate(copies, 1)]
        rows = [[new, *row[1:]] for new, i in enumerate(drawn) for row in found[found[:, 0] == i]]
        repeated = evaluated(tmp_path, {**truth, "images": images, "annotations": boxes}, np.array(rows, np.float32))
        own = average_precision(classes, weights[None])[0]
        # Repeated detections share a score; COCO counts them one by one, which moves its 101 points a little.
        np.testing.assert_allclose(own, by_threshold(repeated), atol=0.02)
        assert own.mean() == pytest.approx(np.mean(by_threshold(repeated)), abs=0.01)


def test_a_class_and_an_image_without_objects(tmp_path: Path) -> None:
    truth, found = case(3, 0.05)
    truth["annotations"] = [box for box in truth["annotations"] if box["category_id"] == 0 and box["image_id"] != 2]
    evaluation = evaluated(tmp_path, truth, found)
    classes = evaluation.matches
    own = average_precision(classes, np.ones((1, 6)))[0]
    np.testing.assert_allclose(own, by_threshold(evaluation), atol=1e-9)
    only_empty = np.eye(6)[[2]]
    assert np.isnan(average_precision(classes, only_empty)).all()


def test_no_detection_at_all(tmp_path: Path) -> None:
    truth, _ = case(3, 0.05)
    classes = evaluated(tmp_path, truth, np.zeros((0, 7), np.float32)).matches
    assert (average_precision(classes, np.ones((2, 6))) == 0).all()
    assert (quality(classes) == 0).all()


def test_a_hundred_detections_per_image_and_class_count(tmp_path: Path) -> None:
    truth, found = case(5, 0.05, images=1)
    false = np.tile([[0, 1, 1, 5, 5, 0.995, 0]], (120, 1))
    evaluation = evaluated(tmp_path, truth, np.concatenate((false, found)).astype(np.float32))
    own = average_precision(evaluation.matches, np.ones((1, 1)))[0]
    np.testing.assert_allclose(own, by_threshold(evaluation), atol=1e-9)


@pytest.mark.parametrize("columns", [7, 8])
@pytest.mark.parametrize("objects", [100, 101, 300])
def test_no_crowd_is_too_large_to_be_found(objects: int, columns: int, tmp_path: Path) -> None:
    """By COCO's 100 detections AP could not exceed 100 of so many objects, about."""
    truth, _ = case(0, 0.1, images=2)
    box = {"image_id": 0, "category_id": 0, "area": 4.0, "iscrowd": 0, "angle": 0.0}
    truth["annotations"] = [{**box, "id": i, "bbox": [3.0 * i, 0.0, 2.0, 2.0]} for i in range(1, objects + 1)]
    found = np.array([[0, *a["bbox"], 0.9 - a["id"] / 1000, 0, 0][:columns] for a in truth["annotations"]], np.float32)
    evaluation = evaluated(tmp_path, truth, found)
    assert pytest.approx(1) == metrics_of(evaluation).AP
    assert average_precision(evaluation.matches, np.ones((1, 2)))[0] == pytest.approx(by_threshold(evaluation))


def test_two_classes_of_one_name_are_two(tmp_path: Path) -> None:
    truth, found = case(0, 0.05)
    apart = metrics_of(evaluated(tmp_path, truth, found)).by_class
    truth["categories"] = [{"id": i, "name": "cell"} for i in range(2)]
    together = metrics_of(evaluated(tmp_path, truth, found)).by_class
    assert together == {"0: cell": apart["disc"], "1: cell": apart["box"]}


def test_quality_by_hand(tmp_path: Path) -> None:
    truth, _ = case(0, 0.1, images=2)
    box = {"category_id": 0, "bbox": [10.0, 10.0, 40.0, 40.0], "area": 1600.0, "iscrowd": 0}
    truth["annotations"] = [{**box, "id": 1, "image_id": 0}, {**box, "id": 2, "image_id": 1}]
    close = [0, 10, 10, 40, 40 * 0.72, 0.9, 0]  # IoU 0.72: five of the ten thresholds
    false, faint = [0, 90, 90, 10, 10, 0.9, 0], [1, 10, 10, 40, 40, 0.2, 0]
    classes = evaluated(tmp_path, truth, np.array([close, false, faint], np.float32)).matches
    np.testing.assert_allclose(quality(classes), [0.5 * 2 / 3, 0])  # F1 of 1 hit, 2 detections, 1 object; not seen


def test_many_detections_of_a_class_are_redrawn_in_smaller_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would not fit into memory otherwise, and make no difference."""
    rng, images, detections = np.random.default_rng(0), 50, 60_000
    score, hit = np.sort(rng.random(detections))[::-1], rng.random((10, detections)) < 0.01
    objects = np.full(images, 20)
    found = [ClassMatches(rng.integers(0, images, detections), score, hit, objects)]
    weights = redraw(images, 60)

    def peak(most: int) -> tuple[Any, int]:
        monkeypatch.setattr(average_precision_module, "MOST", most)
        tracemalloc.start()
        ap = average_precision(found, weights)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return ap, size

    default = average_precision_module.MOST
    (at_once, much), (in_steps, little), (one_by_one, _) = (peak(most) for most in (10**9, default, 1))
    assert (in_steps == at_once).all()
    assert (one_by_one == at_once).all()
    assert little < 0.7 * much
    assert little < 30 * default  # bytes


def test_many_classes_need_no_memory_for_each_in_every_image(tmp_path: Path) -> None:
    """A thousand classes in 5,000 images are five million pairs."""
    images, classes = 600, 100
    boxes = [[10.0, 10.0, 20.0 + i % 7, 20.0] for i in range(images)]
    entries = [{"id": i, "file_name": f"{i}.jpg", "width": 64, "height": 64} for i in range(images)]

    def peak(classes: int) -> int:
        annotation = {"area": 400.0, "iscrowd": 0}
        objects = [
            {"id": i + 1, "image_id": i, "category_id": i % classes, "bbox": box, **annotation}
            for i, box in enumerate(boxes)
        ]
        categories = [{"id": i, "name": str(i)} for i in range(classes)]
        truth = {"info": {}, "images": entries, "annotations": objects, "categories": categories}
        found = np.array([[i, *box, 0.9, i % classes] for i, box in enumerate(boxes)], np.float32)
        tracemalloc.start()
        evaluation = evaluated(tmp_path, truth, found)
        assert pytest.approx(1) == metrics_of(evaluation).AP
        average_precision(evaluation.matches, redraw(images, 2))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    few = peak(2)
    assert (peak(classes) - few) / (images * classes) < 250  # bytes
