"""What a data set's boxes are like: sizes in pixels of the network's input, shapes, crowds. No image is decoded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from yolo_wiou.data.iou import iou
from yolo_wiou.data.yolo_format import Label, label_file, parse, read_lines

TINY, SMALL, LARGE = 16, 32, 96
"""Sides √(w·h) in pixels: an object is tiny or small below, and large from there on; COCO's, but for the first."""
LONG = 3.0
"""Long over short side from which on an object is elongated."""
CROWDED = 0.3
"""IoU with another object of its image from which on an object stands in a crowd."""
BEYOND = 0.01
"""How far outside of the image a coordinate may lie: Ultralytics leaves out an image with one further away."""
UNREADABLE = (OSError, ValueError, Image.DecompressionBombError, ImportError)
"""What reading an image or its labels raises; the last where Ultralytics' own Image.open would have to install more."""
Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Profile:
    """The boxes of a split, in pixels of the network's input.

    Attributes:
        imgsz: the longer side of the network's input, to which Ultralytics fits an image.
        counts: (images,) objects of each image that could be read.
        sides: (N,) √(w·h).
        elongations: (N,) long side over short side.
        crowding: (N,) the largest IoU with another object of the image; upright boxes, rotated objects too.
        unread: images and label files that Ultralytics would leave out of a training; they are in nothing else.
        outlines: how many of the objects are given by the points of an outline.
    """

    imgsz: int
    counts: NDArray[np.int64]
    sides: Floats
    elongations: Floats
    crowding: Floats
    unread: tuple[Path, ...]
    outlines: int = 0

    @property
    def mean_side(self) -> float:
        """Mean of √(w·h) in pixels: what NWD calls its constant."""
        return float(self.sides.mean())

    @property
    def tiny(self) -> float:
        """Share of the objects with a side below TINY."""
        return share(self.sides < TINY)

    @property
    def small(self) -> float:
        """Share of the objects with a side below SMALL."""
        return share(self.sides < SMALL)

    @property
    def large(self) -> float:
        """Share of the objects with a side of LARGE and more."""
        return share(self.sides >= LARGE)

    @property
    def elongated(self) -> float:
        """Share of the objects that are LONG times as long as wide, and more."""
        return share(self.elongations >= LONG)

    @property
    def crowded(self) -> float:
        """Share of the objects that overlap another one by CROWDED and more."""
        return share(self.crowding >= CROWDED)

    def __str__(self) -> str:
        """Four lines for a reader."""
        low, high = np.percentile(self.sides, (25, 75))
        return (
            f"{len(self.counts):,} images, {len(self.sides):,} objects, at imgsz={self.imgsz}\n"
            f"  size √(w·h)  mean {self.mean_side:.3g} px, half of them {low:.3g} to {high:.3g}; {self.tiny:.0%} below "
            f"{TINY}, {self.small:.0%} below {SMALL} (small), {self.large:.0%} from {LARGE} on (large)\n"
            f"  shape        long over short side: median {np.median(self.elongations):.2f}, "
            f"{self.elongated:.0%} at {LONG:g} and more\n"
            f"  crowding     {self.counts.mean():.1f} objects an image, {self.counts.max()} at most; "
            f"{self.crowded:.0%} overlap another by IoU {CROWDED} and more"
        )


def share(of: NDArray[np.bool_]) -> float:
    """How many are true, as a share of all."""
    return float(of.mean())


def profile(images: Iterable[Path], task: str, imgsz: int) -> Profile:
    """Read the label files and the headers of images.

    Args:
        images: the images of a split.
        task: detect, segment, pose or obb, which says what the numbers of a label are.
        imgsz: the longer side of the network's input in pixels.

    Returns:
        The profile; without any object its arrays are empty, and its means are NaN.
    """
    counts, unread, outlines = [], [], 0
    sizes: list[Floats] = [np.zeros((0, 2))]
    crowding: list[Floats] = [np.zeros(0)]
    for image in images:
        file = label_file(image)
        try:
            size = image_size(image)
            labels = read_labels(file, task)
        except UNREADABLE:
            unread.append(file if image.is_file() and file.is_file() else image)
            continue
        scale = size * (imgsz / size.max())
        corners = np.array([box_of(label, task) * np.tile(scale, 2) for label in labels]).reshape(-1, 4)
        sized = np.array([size_of(label, task, scale) for label in labels]).reshape(-1, 2)
        kept = (sized > 0).all(1)
        counts.append(int(kept.sum()))
        outlines += sum(is_outline(label, task) for label in labels)
        sizes.append(sized[kept])
        crowding.append(largest_iou(corners[kept]))
    all_sizes = np.concatenate(sizes)
    return Profile(
        imgsz=imgsz,
        counts=np.array(counts, dtype=np.int64),
        sides=np.sqrt(all_sizes.prod(1)),
        elongations=all_sizes.max(1) / all_sizes.min(1),
        crowding=np.concatenate(crowding),
        unread=tuple(unread),
        outlines=outlines,
    )


def read_labels(file: Path, task: str) -> list[Label]:
    """Read a label file.

    Raises:
        ValueError: a line holds what is no number, too few numbers, or a place outside of the image.
    """
    labels = parse(read_lines(file))
    for label in labels:
        places = label.values if is_outline(label, task) else label.values[:4]
        if len(places) < 4 or not all(-BEYOND <= place <= 1 + BEYOND for place in places):  # NaN is nowhere
            raise ValueError(f"{file}, line {label.line}: {label.text}")
    return labels


def image_size(image: Path) -> Floats:
    """Return (2,) width and height, turned as the camera says (EXIF), from the header alone."""
    with Image.open(image) as opened:
        size = opened.size[::-1] if opened.getexif().get(274) in {5, 6, 7, 8} else opened.size
    return np.array(size, dtype=float)


def points_of(label: Label) -> Floats:
    """Return (P, 2) x and y of an outline's points."""
    return np.array(label.values[: len(label.values) // 2 * 2]).reshape(-1, 2)


def is_outline(label: Label, task: str) -> bool:
    """Whether a label's numbers are the points of an outline; those of a pose are a box and key points."""
    return task != "pose" and len(label.values) >= 6


def box_of(label: Label, task: str) -> Floats:
    """Return (4,) the upright box, xyxy, as shares of the image."""
    if is_outline(label, task):
        points = points_of(label)
        return np.concatenate((points.min(0), points.max(0)))
    x, y, w, h = label.values[:4]
    return np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2])


def size_of(label: Label, task: str, scale: Floats) -> Floats:
    """Return (2,) width and height in pixels; of a rotated box along its own sides."""
    if task == "obb" and len(label.values) == 8:
        points = points_of(label) * scale
        sides: Floats = np.linalg.norm(points[[1, 2]] - points[[0, 1]], axis=1)
        return sides
    left, top, right, bottom = box_of(label, task)
    return np.array([right - left, bottom - top]) * scale


def largest_iou(boxes: Floats) -> Floats:
    """Return for each box its largest IoU with another, (N, 4) xyxy -> (N,), 0 where it is alone."""
    shares = iou(boxes[:, None], boxes)
    np.fill_diagonal(shares, 0)
    largest: Floats = shares.max(1, initial=0)
    return largest
