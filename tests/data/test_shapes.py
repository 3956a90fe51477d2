"""The demo data set: exact labels, determinism, and the files around it."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from helpers.labels import contents, edges, flat, rows
from pydantic import ValidationError

from yolo_wiou.data import painting, polygons, shapes
from yolo_wiou.data.shapes import SHAPES, ShapesConfig, render_dataset

ALL = tuple(SHAPES)
SMALL = {"train": 12, "val": 3, "imgsz": 64, "classes": ALL}


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One small set per task, of the same seed."""
    folder = tmp_path_factory.mktemp("tasks")
    return {
        task: render_dataset(folder / task, ShapesConfig(task=task, **SMALL)).parent
        for task in ("detect", "segment", "pose", "obb")
    }


def test_equal_configurations_give_identical_files(tmp_path: Path, sets: dict[str, Path]) -> None:
    again = render_dataset(tmp_path / "again", ShapesConfig(**SMALL)).parent
    reseeded = render_dataset(tmp_path / "reseeded", ShapesConfig(**SMALL, seed=1)).parent
    assert contents(again) == contents(sets["detect"])
    assert contents(reseeded)["images/train/000000.png"] != contents(again)["images/train/000000.png"]


def test_more_images_extend_a_set(tmp_path: Path, sets: dict[str, Path]) -> None:
    longer = contents(render_dataset(tmp_path / "longer", ShapesConfig(**SMALL | {"train": 14, "val": 4})).parent)
    before = contents(sets["detect"])
    assert set(longer) - set(before) == {
        f"{kind}/{name}.{suffix}"
        for kind, suffix in (("images", "png"), ("labels", "txt"))
        for name in ("train/000012", "train/000013", "val/000003")
    }
    assert all(longer[name] == data for name, data in before.items() if name != shapes.FINGERPRINT)


@pytest.mark.parametrize("name", ALL)
def test_boxes_match_the_drawn_pixels(name: str) -> None:
    config = ShapesConfig(classes=(name,), objects=(1, 1), imgsz=128, rotation=180)
    for i in range(8):
        rng = shapes._random(config, 0, i)
        [(row, alpha)] = shapes._scene(rng, config)
        canvas = np.zeros((128, 128, 3), dtype=np.float32)
        painting.paint(rng, canvas, alpha)
        y, x = np.nonzero(canvas.max(axis=2))
        drawn = [x.min(), y.min(), x.max() + 1, y.max() + 1]
        tolerance = 1 + 0.5 / painting.SUPERSAMPLING  # a pixel, and half a sub-pixel that the polygon filling adds
        np.testing.assert_allclose(edges(np.array(row[1:])) * 128, drawn, rtol=0, atol=tolerance)


def test_labels_on_disk_are_those_of_the_scene(sets: dict[str, Path]) -> None:
    config = ShapesConfig(**SMALL)
    for i, image in enumerate(rows(sets["detect"], "val")):
        scene = [row for row, _ in shapes._scene(shapes._random(config, 1, i), config)]
        np.testing.assert_allclose(image, scene, rtol=0, atol=6e-7)


def test_enough_of_every_shape_is_visible() -> None:
    config = ShapesConfig(objects=(8, 8), sizes=(0.3, 0.7), imgsz=64)
    hidden = 0.0
    for i in range(10):
        alphas = [alpha for _, alpha in shapes._scene(shapes._random(config, 0, i), config)]
        for place, alpha in enumerate(alphas):
            front = np.max([np.zeros_like(alpha), *alphas[place + 1 :]], axis=0)
            share = float((alpha * front).sum() / alpha.sum())
            assert share <= 0.7 + 1e-5
            hidden = max(hidden, share)
    assert hidden > 0.3  # the rule was put to use


def test_classes_and_boxes_are_in_range(sets: dict[str, Path]) -> None:
    labels = np.array(flat(sets["detect"]))
    assert labels.shape[1] == 5
    assert set(labels[:, 0]) <= set(range(len(ALL)))
    assert len(set(labels[:, 0])) > 5
    assert (labels[:, 3:] > 0.01).all()
    assert edges(labels[:, 1:]).min() >= -1e-6
    assert edges(labels[:, 1:]).max() <= 1 + 1e-6
    assert all(2 <= len(image) <= 5 for image in rows(sets["detect"]))


def test_polygons_span_the_boxes(sets: dict[str, Path]) -> None:
    for box, row in zip(flat(sets["detect"]), flat(sets["segment"]), strict=True):
        polygon = row[1:].reshape(-1, 2)
        assert row[0] == box[0]
        assert len(polygon) >= 3
        np.testing.assert_allclose(np.r_[polygon.min(axis=0), polygon.max(axis=0)], edges(box[1:]), rtol=0, atol=2e-6)
        assert 0 < polygons.area(polygon) <= box[3] * box[4] + 1e-5


def test_keypoints(sets: dict[str, Path]) -> None:
    data = yaml.safe_load((sets["pose"] / "data.yaml").read_text())
    assert (data["kpt_shape"], data["flip_idx"]) == ([4, 3], [0, 3, 2, 1])
    labels, boxes = np.array(flat(sets["pose"])), np.array(flat(sets["detect"]))
    np.testing.assert_array_equal(labels[:, :5], boxes)
    points = labels[:, 5:].reshape(-1, 4, 3)
    assert set(points[..., 2].ravel()) == {0, 1, 2}
    assert (points[points[..., 2] == 0] == 0).all()
    low, high = np.split(edges(boxes[:, 1:])[:, None], 2, axis=-1)
    inside = np.all((points[..., :2] >= low - 2e-6) & (points[..., :2] <= high + 2e-6), axis=-1)
    assert inside[points[..., 2] > 0].all()


def test_keypoints_of_an_upright_shape_lie_on_the_sides_of_its_box(tmp_path: Path) -> None:
    config = ShapesConfig(task="pose", rotation=0, **SMALL)
    for row in flat(render_dataset(tmp_path / "set", config).parent):
        points = row[5:].reshape(4, 3)
        left, top, right, bottom = edges(row[1:5])
        for (x, y, flag), (axis, side) in zip(points, [(1, top), (0, right), (1, bottom), (0, left)], strict=True):
            assert flag == 0 or (x, y)[axis] == pytest.approx(side, abs=2e-6)


def test_rotated_boxes_are_rectangles_inside_the_image(sets: dict[str, Path]) -> None:
    for row in flat(sets["obb"]):
        corners = row[1:].reshape(4, 2)
        sides = np.roll(corners, -1, axis=0) - corners
        assert corners.min() >= 0
        assert corners.max() <= 1
        np.testing.assert_allclose((sides * np.roll(sides, -1, axis=0)).sum(axis=1), 0, atol=1e-5)


def test_the_folder_can_be_moved(sets: dict[str, Path]) -> None:
    data = yaml.safe_load((sets["detect"] / "data.yaml").read_text())
    assert data == {"train": "images/train", "val": "images/val", "names": dict(enumerate(ALL))}
    images = {file.stem for file in (sets["detect"] / data["train"]).iterdir()}
    assert images == {file.stem for file in (sets["detect"] / "labels/train").iterdir()}
    assert len(images) == 12
    first = cv2.imread(str(sets["detect"] / "images/train/000000.png"))
    assert first is not None
    assert first.shape == (64, 64, 3)


def test_a_set_is_reused_untouched_and_never_overwritten(tmp_path: Path) -> None:
    config = ShapesConfig(train=1, val=1, imgsz=32)
    root = tmp_path / "new" / "set"
    assert render_dataset(root, config) == root / "data.yaml"
    (root / "labels" / "train.cache").write_text("written by a training")
    before = contents(root)
    assert render_dataset(root, config) == root / "data.yaml"
    with pytest.raises(FileExistsError, match="another data set"):
        render_dataset(root, ShapesConfig(train=2, val=1, imgsz=32))
    assert contents(root) == before
    (tmp_path / "mine").mkdir()
    assert render_dataset(tmp_path / "mine", config).is_file()  # an empty folder is no obstacle
    with pytest.raises(FileExistsError, match="no data set of shapes"):
        render_dataset(tmp_path / "new", config)


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(shapes, "add_noise", fail)  # late, when the images are there already
    with pytest.raises(OSError, match="disk full"):
        render_dataset(tmp_path / "set", ShapesConfig(**SMALL, noise=0.3))
    assert list(tmp_path.iterdir()) == []


def test_the_yaml_file_documents_every_default() -> None:
    text = (Path(__file__).parents[2] / "cfg" / "shapes.yaml").read_text()
    demo = yaml.safe_load(text)
    assert set(demo) == {"data", "train"}
    assert set(demo["data"]) == set(ShapesConfig.model_fields)
    assert ShapesConfig(**demo["data"]) == ShapesConfig()
    assert demo["train"]["imgsz"] == demo["data"]["imgsz"]
    assert all("#" in line for line in text.splitlines() if line.strip())


@pytest.mark.parametrize(
    "fields",
    [
        {"task": "classify"},
        {"train": 0},
        {"val": 0},
        {"imgsz": 16},
        {"classes": ()},
        {"classes": ("disc", "cat")},
        {"classes": ("disc", "disc")},
        {"objects": (0, 3)},
        {"objects": (4, 3)},
        {"sizes": (0.2, 0.8)},
        {"sizes": (0.4, 0.3)},
        {"rotation": 200},
        {"noise": 1.1},
        {"noise": 0.6, "outliers": 0.5},
        {"jitter": 0.5},
        {"outliers": -0.1},
        {"seed": -1},
        {"typo": 1},
        {"task": "obb", "noise": 0.1},
    ],
    ids=str,
)
def test_values_out_of_range_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(fields))):
        ShapesConfig(**fields)
