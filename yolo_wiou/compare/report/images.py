"""Images that two losses see differently, side by side: a small JPEG under boxes that are drawn as SVG."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image, ImageOps

from yolo_wiou.compare.average_precision import CONFIDENCE
from yolo_wiou.compare.coco import CocoImage, Truth, read_detections
from yolo_wiou.compare.findings import Comparison
from yolo_wiou.compare.run import Record
from yolo_wiou.losses import BoxPair

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
    names = {category["id"]: category["name"] for category in truth["categories"]}
    objects = [annotation for annotation in truth["annotations"] if annotation["image_id"] == image["id"]]
    boxes = [Box(x, y, w, h, "truth", names[a["category_id"]]) for a in objects for x, y, w, h in [a["bbox"]]]
    rows = read_detections(record.folder, "last")
    rows = rows[(rows[:, 0] == image["id"]) & (rows[:, 5] >= CONFIDENCE)]
    for _, x, y, w, h, score, category in rows.tolist():
        same_class = [annotation["bbox"] for annotation in objects if annotation["category_id"] == category]
        best = best_iou((x, y, w, h), same_class)
        kind = "close" if best >= 0.75 else "near" if best >= 0.5 else "off"
        boxes.append(Box(x, y, w, h, kind, f"{names[int(category)]} {score:.2f}, IoU {best:.2f}"))
    return boxes


def best_iou(box: Sequence[float], others: Sequence[Sequence[float]]) -> float:
    """Largest IoU of a box with any of the others, x, y, w, h each; 0 where there is none."""
    if not others:
        return 0.0
    corners = torch.tensor([box, *others], dtype=torch.float64)
    corners[:, 2:] += corners[:, :2]
    return float(BoxPair.of(corners[:1].expand(len(others), 4), corners[1:]).iou.max())
