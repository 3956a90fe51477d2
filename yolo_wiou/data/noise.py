"""Label noise of a known kind: boxes with jittered edges, and boxes that lie somewhere else.

Boxes are cx, cy, w, h, normalised to their image.
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np

from yolo_wiou.data.polygons import Points

NOISE = "noise.csv"
"""The truth of the demo's noise, beside its data.yaml."""
Row: TypeAlias = list[float]  # one label: class index, then the coordinates of the task


def add_noise(
    record: Path,
    images: Mapping[str, list[Row]],
    rng: np.random.Generator,
    noise: float = 0.0,
    jitter: float = 0.3,
    outliers: float = 0.0,
) -> None:
    """Change randomly chosen boxes in place.

    Args:
        record: CSV file to write, with the columns image, row (from 0), kind (jitter or outlier) and the clean cx, cy,
            w, h of every changed box.
        images: the labels of every image, by the image's name: class index and box.
        rng: the source of randomness.
        noise: share of all boxes whose edges are jittered.
        jitter: most that a jittered edge moves, in widths or heights of its box.
        outliers: share of all boxes that are moved by a whole box.
    """
    boxes = [(image, number) for image, rows in images.items() for number in range(len(rows))]
    jittered = round(noise * len(boxes))
    chosen = rng.permutation(len(boxes))[: jittered + round(outliers * len(boxes))]
    with record.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["image", "row", "kind", "cx", "cy", "w", "h"])
        for rank, index in enumerate(chosen):
            image, number = boxes[index]
            row = images[image][number]
            kind = "jitter" if rank < jittered else "outlier"
            writer.writerow([image, number, kind, *decimals(row[1:])])
            row[1:] = _jitter(rng, row[1:], jitter) if kind == "jitter" else _displace(rng, row[1:])


def box_of(low: Points, high: Points) -> Row:
    """Return the box (cx, cy, w, h) between two corners.

    >>> box_of(np.array([0.0, 0.25]), np.array([0.5, 0.75]))
    [0.25, 0.5, 0.5, 0.5]
    """
    return [*((low + high) / 2).tolist(), *(high - low).tolist()]


def decimals(values: Row) -> list[str]:
    """Write coordinates as label files have them.

    >>> decimals([0.5, 1 / 3])
    ['0.500000', '0.333333']
    """
    return [f"{value:.6f}" for value in values]


def _jitter(rng: np.random.Generator, box: Row, most: float) -> Row:
    """Move each edge by up to ``most`` times the side of the box across it."""
    centre, size = np.array(box).reshape(2, 2)
    low, high = (centre + (np.array([[-0.5], [0.5]]) + rng.uniform(-most, most, size=(2, 2))) * size).clip(0, 1)
    return box_of(low, high)


def _displace(rng: np.random.Generator, box: Row) -> Row:
    """Move a box by its own size, in the first of some random directions that keeps most of it in the image."""
    centre, size = np.array(box).reshape(2, 2)
    angles = rng.uniform(0, 2 * np.pi, size=32)
    centres = centre + np.stack([np.cos(angles), np.sin(angles)], axis=1) * size
    low, high = (centres - size / 2).clip(0, 1), (centres + size / 2).clip(0, 1)
    best = (high - low).prod(axis=1).round(9).argmax()
    return box_of(low[best], high[best])
