"""Planted errors: exact in number, of the kind that was ordered, written down so that they can be undone."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.labels import contents

from yolo_wiou import ConfigError
from yolo_wiou.data.iou import iou
from yolo_wiou.data.planting import PLANTED, PlantConfig, Planted, edges, plant, plant_errors
from yolo_wiou.data.shapes import ShapesConfig, render_dataset
from yolo_wiou.data.yolo_format import label_file, parse, read_lines
from yolo_wiou.training.preflight import check_split, describe, images_of

MANY = PlantConfig(loose=0.2, shifted=0.1, wrong=0.1, dropped=0.1, spurious=0.1, duplicate=0.1, seed=3)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The label files of forty rendered images; one begins with a blank line."""
    config = ShapesConfig(train=40, val=2, imgsz=32, sizes=(0.15, 0.35))
    file = render_dataset(tmp_path_factory.mktemp("clean") / "shapes", config)
    lines = {path.stem: read_lines(path) for path in sorted((file.parent / "labels" / "train").iterdir())}
    return {name: ["", *text] if name == "000002" else text for name, text in lines.items()}


@pytest.fixture(scope="module")
def planted(clean: dict[str, list[str]]) -> tuple[dict[str, list[str]], list[Planted]]:
    return plant_errors(clean, 5, MANY)


def test_errors_are_exact_in_number_and_can_be_undone(
    clean: dict[str, list[str]], planted: tuple[dict[str, list[str]], list[Planted]]
) -> None:
    new, errors = planted
    count = sum(len(parse(text)) for text in clean.values())
    shares = {kind: getattr(MANY, kind) for kind in ("loose", "shifted", "wrong", "dropped", "spurious", "duplicate")}
    assert Counter(error.kind for error in errors) == {kind: round(share * count) for kind, share in shares.items()}
    touched = [(error.image, error.line) for error in errors if error.line]
    assert len(set(touched)) == len(touched)
    for image, text in clean.items():
        of_image = [error for error in errors if error.image == image]
        labels = {label.line: (label.cls, *label.values) for label in parse(new[image])}
        for error in of_image:
            if error.line:
                labels.pop(error.line, None)
        true = [(error.cls, *error.box) for error in of_image if error.kind not in {"spurious", "duplicate"}]
        restored = sorted([*labels.values(), *true])
        expected = sorted((label.cls, *label.values) for label in parse(text))
        np.testing.assert_allclose(np.array(restored), np.array(expected), rtol=0, atol=2e-6)


def test_errors_are_of_their_kind(planted: tuple[dict[str, list[str]], list[Planted]]) -> None:
    new, errors = planted
    for error in errors:
        labels = {label.line: label for label in parse(new[error.image])}
        if error.kind == "dropped":
            continue
        assert error.line is not None
        label = labels.pop(error.line)
        box = edges(label.values, 0)
        assert box.min() >= -1e-6
        assert box.max() <= 1 + 1e-6
        assert (box[1] > box[0]).all()
        if error.kind == "spurious":
            others = np.array([edges(other.values, 0) for other in labels.values()]).reshape(-1, 4)
            assert iou(box.reshape(4), others).max(initial=0) < 0.15  # what came later may lie a little over it
            continue
        true = edges(error.box, 0)
        overlap = iou(true.reshape(4), box.reshape(4)).item()
        assert (label.cls != error.cls) == (error.kind == "wrong")
        low, high = {"loose": (0.03, 0.76), "shifted": (0.03, 0.7), "wrong": (0.99, 1), "duplicate": (0.7, 1)}[
            error.kind
        ]
        assert low < overlap <= high + 1e-6
        if error.kind == "loose":
            reach = np.abs(box - true) / (true[1] - true[0])
            assert (reach < 0.4 + 1e-3).all()
            assert ((reach > 0.2 - 1e-3) | (box < 1e-5) | (box > 1 - 1e-5)).all()


def test_a_seed_is_the_same_errors_and_another_one_others(
    clean: dict[str, list[str]], planted: tuple[dict[str, list[str]], list[Planted]]
) -> None:
    assert plant_errors(clean, 5, MANY) == planted
    assert plant_errors(clean, 5, MANY.model_copy(update={"seed": 4})) != planted
    nothing = PlantConfig(loose=0, shifted=0, wrong=0, dropped=0, spurious=0, duplicate=0)
    assert plant_errors(clean, 5, nothing) == (clean, [])


@pytest.mark.parametrize("task", ["segment", "pose", "obb"])
def test_every_task_s_labels_stay_its_labels(task: str, task_data: dict[str, Path], tmp_path: Path) -> None:
    file = task_data[task]
    before, data = contents(file.parent), describe(file)
    copy, errors = plant(tmp_path / "planted", data, images_of(data, "train"), config=MANY)
    described = describe(copy)
    check_split("train", described, task, single_cls=False, fraction=1.0)
    dims = data.get("kpt_shape", (0, 0))[1]
    for error in errors:
        if error.kind == "dropped":
            continue
        lines = read_lines(label_file(copy.parent / "images" / "train" / error.image.name))
        label = next(label for label in parse(lines) if label.line == error.line)
        assert len(label.values) % 2 == 0 or dims == 3
        if error.kind in {"loose", "shifted"}:
            assert iou(edges(label.values, dims).reshape(4), edges(error.box, dims or 1).reshape(4)) < 0.8
    assert contents(file.parent) == before


def test_the_truth_stands_beside_the_copy(shapes: Path, tmp_path: Path) -> None:
    data = describe(shapes)
    file, errors = plant(tmp_path / "planted", data, images_of(data, "train"), config=MANY)
    with (file.parent / PLANTED).open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["kind"] for row in rows] == [error.kind for error in errors]
    for row, error in zip(rows, errors, strict=True):
        assert (file.parent / row["image"]).resolve() == Path(error.image).resolve()
        assert row["line"] == ("" if error.line is None else str(error.line))
        assert [float(row[key]) for key in ("cx", "cy", "w", "h") if row[key]] == pytest.approx(error.box, abs=1e-6)


@pytest.mark.parametrize(
    ("lines", "classes", "message"),
    [
        ({"a": []}, 2, "there is no label to plant an error in"),
        ({"a": ["0 .5 .5 .1 .1"]}, 1, "with one class no label can be of a wrong one: wrong=0"),
        ({"a": ["0 .5 x .1 .1"]}, 2, "the labels of 'a' cannot be read: could not convert string to float: 'x'"),
        ({"a": ["0 .5 .5 .1"]}, 2, "the labels of 'a' cannot be read"),
    ],
)
def test_what_cannot_be_planted_in_is_named(lines: dict[str, Any], classes: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plant_errors(lines, classes, PlantConfig())


def test_no_file_has_boxes_and_outlines(clean: dict[str, list[str]]) -> None:
    """Ultralytics leaves its image out; a data set may have files of both kinds."""
    files = dict(clean)
    for name in list(files)[::2]:
        files[name] = [f"{label.cls} .1 .1 .4 .1 .4 .4 .1 .4" for label in parse(files[name])]
    new, _ = plant_errors(files, 5, MANY.model_copy(update={"spurious": 1.0}))
    kinds = [{len(label.values) for label in parse(text)} for text in new.values()]
    assert all(len(kind) <= 1 for kind in kinds)
    assert {4} in kinds
    assert {8} in kinds


def test_an_image_without_labels_gets_one_kind_and_a_file_of_both_its_own(clean: dict[str, list[str]]) -> None:
    outline = "0 .1 .1 .4 .1 .4 .4 .1 .4"
    files = {name: [outline] if index % 2 else text for index, (name, text) in enumerate(clean.items())}
    files |= {f"empty{index}": [] for index in range(40)}
    for seed in range(5):
        new, _ = plant_errors(files, 5, MANY.model_copy(update={"spurious": 1.0, "seed": seed}))
        assert all(len({len(label.values) for label in parse(text)}) <= 1 for text in new.values())
    new, _ = plant_errors({"mixed": [outline, "0 .5 .5 .1 .1"]}, 5, MANY.model_copy(update={"spurious": 1.0}))
    assert len(new["mixed"]) >= 2
    new, _ = plant_errors({"a": [outline] * 9, "empty": []}, 5, MANY.model_copy(update={"spurious": 1.0}))
    assert any(len(label.values) == 8 for label in parse(new["empty"]))


def test_what_is_no_text_stays_as_it_is_and_is_told(
    shapes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(shapes.parent, tmp_path / "set")
    data = describe(tmp_path / "set" / "data.yaml")
    first, *others = images_of(data, "train")
    label_file(first).write_bytes(content := label_file(first).read_text().encode("utf-16"))
    copy, errors = plant(tmp_path / "planted", data, [first, *others], config=MANY)
    assert (copy.parent / "labels" / "train" / label_file(first).name).read_bytes() == content
    assert {error.image for error in errors} <= {*others}
    (warning,) = caplog.messages
    assert "1 of the label files cannot be read and stay as they are; Ultralytics leaves their images out" in warning
    assert str(label_file(first)) in warning
