"""An offline demo data set: coloured shapes on textured backgrounds, in YOLO layout.

Every shape is a polygon of floats, and both the picture and the label are derived from it, so the labels are exact.
Coordinates are normalised to the (square) image: x to the right and y down, both from 0 to 1.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from yolo_wiou.data import painting, polygons
from yolo_wiou.data.noise import NOISE, Row, add_noise, box_of, decimals
from yolo_wiou.data.painting import Plane
from yolo_wiou.data.polygons import Points

SPLITS = ("train", "val")
FINGERPRINT = "shapes.json"
FORMAT = 1  # raise it when the same configuration renders other files, so that older sets are not reused

MIN_INSIDE = 0.4  # share of a shape's area that must lie inside the image
MIN_VISIBLE = 0.3  # share of the part inside that shapes in front must leave visible
MAX_ASPECT = 2.0
FLIP_IDX = [0, 3, 2, 1]  # a mirrored shape swaps its right and left keypoint


def _unit(*points: tuple[float, float]) -> Points:
    """Stretch a polygon drawn on any grid to fill the square from -1 to 1, its tip at the top."""
    array = np.array(points, dtype=np.float64)
    low, high = array.min(axis=0), array.max(axis=0)
    unit: Points = 2 * (array - low) / (high - low) - 1
    return unit


def _circle(count: int, *radii: float) -> Points:
    """Put points on circles around the centre, clockwise from the top, with the radii in turn."""
    angles = np.arange(count) * 2 * np.pi / count
    rays = np.stack([np.sin(angles), -np.cos(angles)], axis=1) * np.resize(radii, count)[:, None]
    return _unit(*rays)


# Shapes that a rotation or a stretch would turn into one another (X and cross, N and Z) are left out.
SHAPES: dict[str, Points] = {
    "disc": _circle(96, 1.0),
    "box": _unit((0, 0), (1, 0), (1, 1), (0, 1)),
    "triangle": _unit((1, 0), (2, 2), (0, 2)),
    "star": _circle(10, 1.0, 0.42),
    "cross": _unit((1, 0), (2, 0), (2, 1), (3, 1), (3, 2), (2, 2), (2, 3), (1, 3), (1, 2), (0, 2), (0, 1), (1, 1)),
    "arrow": _unit((3, 0), (6, 3), (4, 3), (4, 6), (2, 6), (2, 3), (0, 3)),
    "T": _unit((0, 0), (3, 0), (3, 1), (2, 1), (2, 3), (1, 3), (1, 1), (0, 1)),
    "L": _unit((0, 0), (1, 0), (1, 2), (3, 2), (3, 3), (0, 3)),
    "H": _unit((0, 0), (1, 0), (1, 1), (2, 1), (2, 0), (3, 0), (3, 3), (2, 3), (2, 2), (1, 2), (1, 3), (0, 3)),
    "E": _unit((0, 0), (3, 0), (3, 1), (1, 1), (1, 2), (3, 2), (3, 3), (1, 3), (1, 4), (3, 4), (3, 5), (0, 5)),
}


class ShapesConfig(BaseModel):
    """What to render. Equal configurations give byte-identical data sets.

    Image ``i`` of a split depends on the seed, the split, ``i`` and the fields that describe a picture (task, imgsz,
    classes, objects, sizes, rotation). So raising ``train`` or ``val`` only adds images, and label noise (of the
    training labels, for task detect) changes no image and no other label.

    Raises:
        pydantic.ValidationError: (a ValueError) for a field out of its range, an unknown class or field, and for
            label noise with a task other than detect.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Literal["detect", "segment", "pose", "obb"] = "detect"
    train: int = Field(default=800, ge=1, description="training images")
    val: int = Field(default=200, ge=1, description="validation images")
    imgsz: int = Field(default=96, ge=32, le=2048, description="image side in pixels")
    classes: tuple[str, ...] = Field(default=("disc", "box", "triangle", "star", "T"), min_length=1)
    objects: tuple[int, int] = Field(default=(2, 5), description="fewest and most shapes per image")
    sizes: tuple[float, float] = Field(default=(0.2, 0.6), description="longer side of a shape, in image sides")
    rotation: float = Field(default=30.0, ge=0, le=180, description="most that a shape is rotated, in degrees")
    noise: float = Field(default=0.0, ge=0, le=1, description="share of the training boxes to jitter")
    jitter: float = Field(default=0.3, gt=0, lt=0.5, description="most that a jittered edge moves, in box sides")
    outliers: float = Field(default=0.0, ge=0, le=1, description="share of the training boxes to move a whole box")
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _consistent(self) -> ShapesConfig:
        if not set(self.classes) <= set(SHAPES) or len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes must be different ones of {list(SHAPES)}, not {list(self.classes)}")
        if not 1 <= self.objects[0] <= self.objects[1] <= 100:
            raise ValueError(f"objects must be 1 <= fewest <= most <= 100, not {self.objects}")
        if not 0.02 <= self.sizes[0] <= self.sizes[1] <= 0.7:
            raise ValueError(f"sizes must be 0.02 <= smallest <= largest <= 0.7, not {self.sizes}")
        if self.noise + self.outliers > 1:
            raise ValueError(f"noise + outliers must not exceed 1, not {self.noise} + {self.outliers}")
        if self.task != "detect" and (self.noise or self.outliers):
            raise ValueError(f"label noise supports task 'detect' only, not {self.task!r}")
        return self


def render_dataset(root: Path, config: ShapesConfig | None = None) -> Path:
    """Render a data set in YOLO layout, or reuse it where ``root`` already holds the same one.

    The label files give every shape in drawing order, back to front. Labels are amodal (they cover what other shapes
    hide) and belong to the part inside the image: ``cls cx cy w h`` for detect, ``cls x y x y ...`` for segment (the
    outline) and obb (4 corners; such shapes lie wholly inside), and ``cls cx cy w h`` with 4 times ``x y visibility``
    for pose: the extreme points of the upright shape, in the order top, right, bottom, left. No shape is drawn of which
    less than 40% would lie inside the image, or more than 70% of that part be hidden, or that would cross a corner.

    With label noise, ``noise.csv`` in ``root`` records each changed training box in the columns image, row (from 0),
    kind (jitter or outlier) and the clean cx, cy, w, h.

    Args:
        root: Folder of the data set; it appears only when complete. Its parents are made.
        config: What to render; by default ``ShapesConfig()``.

    Returns:
        The path of ``data.yaml``. It names no absolute path, so the folder can be moved.

    Raises:
        FileExistsError: ``root`` holds anything but this data set.
    """
    config = config or ShapesConfig()
    root = Path(root)
    if not _holds(root, config):
        root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{root.name}-", dir=root.parent) as scratch:
            folder = Path(scratch) / root.name
            _write(folder, config)
            try:
                folder.rename(root)
            except OSError:  # another process may have rendered the same set in the meantime
                if not _holds(root, config):
                    raise
    return root / "data.yaml"


def _fingerprint(config: ShapesConfig) -> str:
    return json.dumps({"format": FORMAT, **config.model_dump(mode="json")}, indent=2) + "\n"


def _holds(root: Path, config: ShapesConfig) -> bool:
    """Return whether ``root`` holds this data set; refuse a root that holds anything else."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    file = root / FINGERPRINT
    if not file.is_file():
        raise FileExistsError(f"{root} exists and is no data set of shapes (no {FINGERPRINT}); choose another folder")
    if file.read_text() != _fingerprint(config):
        raise FileExistsError(f"{root} holds another data set (see {file}); remove it or choose another folder")
    return True


def _write(root: Path, config: ShapesConfig) -> None:
    for number, split in enumerate(SPLITS):
        images, labels = root / "images" / split, root / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        rows = [
            _write_image(images / f"{i:06d}.png", config, _random(config, number, i))
            for i in range(getattr(config, split))
        ]
        if split == "train" and (config.noise or config.outliers):
            images_rows = {f"{i:06d}.png": image_rows for i, image_rows in enumerate(rows)}
            rng = _random(config, len(SPLITS))
            add_noise(root / NOISE, images_rows, rng, config.noise, config.jitter, config.outliers)
        for i, image_rows in enumerate(rows):
            text = "".join(f"{int(row[0])} {' '.join(decimals(row[1:]))}\n" for row in image_rows)
            (labels / f"{i:06d}.txt").write_text(text)
    data: dict[str, Any] = {split: f"images/{split}" for split in SPLITS}
    data["names"] = dict(enumerate(config.classes))
    if config.task == "pose":
        data |= {"kpt_shape": [4, 3], "flip_idx": FLIP_IDX}
    (root / "data.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    (root / FINGERPRINT).write_text(_fingerprint(config))


def _random(config: ShapesConfig, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=key))


def _write_image(file: Path, config: ShapesConfig, rng: np.random.Generator) -> list[Row]:
    shapes = _scene(rng, config)
    canvas = painting.background(rng, config.imgsz)
    for _, alpha in shapes:
        painting.paint(rng, canvas, alpha)
    pixels = (canvas * 255).round().clip(0, 255).astype(np.uint8)
    file.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return [row for row, _ in shapes]


def _scene(rng: np.random.Generator, config: ShapesConfig) -> list[tuple[Row, Plane]]:
    """Place the shapes of an image; return the label and the coverage of each, back to front.

    They are chosen front to back, so that what hides a shape is known when it is accepted.
    """
    count = int(rng.integers(config.objects[0], config.objects[1], endpoint=True))
    covered = np.zeros((config.imgsz, config.imgsz), dtype=np.float32)
    shapes: list[tuple[Row, Plane]] = []
    for _ in range(30 * count):  # a crowded image may end with fewer shapes
        if shape := _candidate(rng, config, covered):
            shapes.insert(0, shape)
            covered = np.maximum(covered, shape[1])
        if len(shapes) == count:
            break
    return shapes


def _candidate(rng: np.random.Generator, config: ShapesConfig, covered: Plane) -> tuple[Row, Plane] | None:
    """Draw a random shape; None if the image border or the shapes in front leave too little of it."""
    cls = int(rng.integers(len(config.classes)))
    unit = SHAPES[config.classes[cls]]
    size = np.exp(rng.uniform(*np.log(config.sizes)))
    aspect = MAX_ASPECT ** rng.uniform(-1, 1)
    angle = np.radians(rng.uniform(-1, 1) * config.rotation)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    matrix = np.diag([min(aspect, 1), min(1 / aspect, 1)]) @ rotation * size / 2
    centre = rng.uniform(size=2)

    polygon = unit @ matrix + centre
    outline = polygons.clip(polygon)
    # Clipping may add points outside a concave shape at a corner of the image; the label would no longer be exact.
    across_corner = np.any((polygon < 0) | (polygon > 1), axis=0).all()
    if across_corner or polygons.area(outline) < MIN_INSIDE * polygons.area(polygon):
        return None
    if config.task == "obb" and not polygons.inside(polygons.rotated_box(polygon)).all():
        return None
    alpha = painting.coverage(outline, config.imgsz)
    if (alpha * (1 - covered)).sum() < MIN_VISIBLE * alpha.sum():
        return None
    row = [cls, *box_of(outline.min(axis=0), outline.max(axis=0))]
    if config.task == "segment":
        row = [cls, *outline.ravel().tolist()]
    elif config.task == "obb":
        row = [cls, *polygons.rotated_box(outline).ravel().tolist()]
    elif config.task == "pose":
        row += polygons.visibility(polygons.extremes(unit) @ matrix + centre, covered).ravel().tolist()
    return row, alpha
