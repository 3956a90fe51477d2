"""Images that two losses see differently, side by side: a small JPEG under boxes that are drawn as SVG."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from yolo_wiou.studies.compare.matches import CONFIDENCE
from yolo_wiou.studies.compare.run import TRUTH, Run, places, read_json

WIDTH, JPEG_QUALITY = 480, 72


@dataclass(frozen=True)
class Box:
    """A box to draw, in pixels of the image.

    Attributes:
        x: of the corner.
        y: of the corner.
        w: width.
        h: height.
        kind: truth; or how well a detection fits an object of its class: close (IoU 0.75), near (0.50) or off.
        text: what to say about it.
    """

    x: float
    y: float
    w: float
    h: float
    kind: str
    text: str


@dataclass(frozen=True)
class Side:
    """One of the two losses: its name, its quality on the image, and the boxes."""

    loss: str
    quality: float | None
    boxes: list[Box]


@dataclass(frozen=True)
class Picture:
    """An image with both losses' boxes; `jpeg` is base64, `width` and `height` are the full image's."""

    title: str
    jpeg: str
    width: int
    height: int
    mean: float
    sides: list[Side]


def pictures_of(folder: Path, data: str, comparison: dict[str, Any], baseline: str) -> list[Picture]:
    """Draw the images that an analysis chose for a comparison; those whose files are gone are left out."""
    runs = {(run.loss, run.seed): place for place in places(folder) for run in [Run.load(place)] if run.data == data}
    made = []
    for chosen in comparison.get("pictures", []):
        where = [runs[loss, chosen["seed"]] for loss in (baseline, comparison["loss"])]
        truth = read_json(where[0] / TRUTH)
        image = truth["images"][chosen["image"]]
        jpeg = _jpeg(Path(image["file_name"]))
        if jpeg:
            sides = [
                Side(loss, quality, _boxes(truth, chosen["image"], run))
                for loss, quality, run in zip((baseline, comparison["loss"]), chosen["quality"], where, strict=True)
            ]
            title = f"{Path(image['file_name']).name}, seed {chosen['seed']}"
            made.append(Picture(title, jpeg, image["width"], image["height"], chosen["mean"], sides))
    return made


def _jpeg(file: Path) -> str | None:
    """Return a small JPEG of an image as it is shown; None where there is no readable file."""
    try:
        with Image.open(file) as image:
            small = ImageOps.exif_transpose(image).convert("RGB")
    except OSError:
        return None
    small.thumbnail((WIDTH, WIDTH))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return base64.b64encode(buffer.getvalue()).decode()


def _boxes(truth: dict[str, Any], image: int, run: Path) -> list[Box]:
    """The objects of an image, and above them what a run's last epoch detects with confidence."""
    names = {category["id"]: category["name"] for category in truth["categories"]}
    objects = [one for one in truth["annotations"] if one["image_id"] == truth["images"][image]["id"]]
    boxes = []
    for one in objects:
        x, y, w, h = one["bbox"]
        boxes.append(Box(x, y, w, h, "truth", names[one["category_id"]]))
    rows = np.load(run / "detections-last.npz")["detections"].astype(float)
    rows = rows[(rows[:, 0] == truth["images"][image]["id"]) & (rows[:, 5] >= CONFIDENCE)]
    for _, x, y, w, h, score, category in rows.tolist():
        fits = [overlap((x, y, w, h), one["bbox"]) for one in objects if one["category_id"] == category]
        best = max(fits, default=0.0)
        kind = "close" if best >= 0.75 else "near" if best >= 0.5 else "off"
        boxes.append(Box(x, y, w, h, kind, f"{names[int(category)]} {score:.2f}, IoU {best:.2f}"))
    return boxes


def overlap(one: Any, other: Any) -> float:
    """IoU of two boxes, x, y, w, h each."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    both = one[2] * one[3] + other[2] * other[3] - shared
    return shared / both if both > 0 else 0.0
