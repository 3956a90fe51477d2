"""Images that two losses see differently, side by side: a small JPEG under boxes that are drawn as SVG."""

import base64
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from yolo_wiou.compare.average_precision import CONFIDENCE
from yolo_wiou.compare.coco import CocoImage, Truth, class_names, read_detections
from yolo_wiou.compare.findings import Comparison
from yolo_wiou.compare.rotated import rotated_iou
from yolo_wiou.compare.run import Record

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
        angle: in degrees, by which it is turned about its centre.
    """

    x: float
    y: float
    w: float
    h: float
    kind: str
    text: str
    angle: float = 0.0


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


def draw_images(records: Mapping[tuple[str, int], Record], comparison: Comparison, baseline: str) -> list[Picture]:
    """Draw the images that an analysis chose for a comparison; those whose files are gone are left out.

    Args:
        records: of the data set's runs, by loss and seed.
        comparison: which says what to draw.
        baseline: the loss that it is a comparison with.
    """
    pictures = []
    for choice in comparison.images:
        both = [records[loss, choice.seed] for loss in (baseline, comparison.loss)]
        truth = both[0].truth
        image = truth["images"][choice.image]
        jpeg = _jpeg(Path(image["file_name"]))
        if jpeg:
            sides = [
                Side(record.run.loss, quality, _boxes(truth, image, record))
                for quality, record in zip(choice.quality, both, strict=True)
            ]
            title = f"{Path(image['file_name']).name}, seed {choice.seed}"
            pictures.append(Picture(title, jpeg, image["width"], image["height"], choice.mean, sides))
    return pictures


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


def _boxes(truth: Truth, image: CocoImage, record: Record) -> list[Box]:
    """The objects of an image, and above them what a run's last epoch detects with confidence."""
    names = class_names(truth["categories"])
    objects = [
        (a["category_id"], [*a["bbox"], a.get("angle", 0.0)])
        for a in truth["annotations"]
        if a["image_id"] == image["id"]
    ]
    boxes = [_box(shape, "truth", names[category]) for category, shape in objects]
    rows = read_detections(record.folder, "last")
    rows = rows[(rows[:, 0] == image["id"]) & (rows[:, 5] >= CONFIDENCE)]
    for _, x, y, w, h, score, category, *angle in rows.tolist():
        shape = [x, y, w, h, *(angle or [0.0])]
        same_class = [held for held_category, held in objects if held_category == category]
        best = float(rotated_iou([shape], same_class).max(initial=0))
        kind = "close" if best >= 0.75 else "near" if best >= 0.5 else "off"
        boxes.append(_box(shape, kind, f"{names[int(category)]} {score:.2f}, IoU {best:.2f}"))
    return boxes


def _box(shape: list[float], kind: str, text: str) -> Box:
    x, y, w, h, angle = shape
    return Box(x, y, w, h, kind, text, math.degrees(angle))


def why_no_images(comparison: Comparison, on_same_images: bool) -> str:
    """Say why `draw_images` has drawn none."""
    if comparison.images:
        return "their files are no longer where they were."
    if not on_same_images:
        return "the runs were not evaluated on the same images."
    return (
        f"no image differs in what is detected with a confidence of {CONFIDENCE} or more, which is what would be "
        "shown. After a longer training some may."
    )
