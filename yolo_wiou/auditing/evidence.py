"""What a detector says of every label: which of its detections is about the label, and how the two agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolo_wiou.auditing.labels import Labels
from yolo_wiou.auditing.overlap import Boxes, Floats, iou
from yolo_wiou.compare.coco import Detections

Indices = NDArray[np.int64]
HIT = 0.5
"""IoU from which a detection has found a label's object, as everywhere."""
LEAST_WEIGHT = 0.01
"""Added to confidence times IoU before a logarithm: the least confidence that is looked at."""
FEW = 5
"""Hits of a class below which its typical confidence is that of all classes."""


@dataclass(frozen=True)
class Seen:
    """Detections, in the order of the images.

    Attributes:
        image: (D,) which image.
        box: (D, 4) or (D, 5), as the labels'.
        confidence: (D,).
        cls: (D,) index of the class.
    """

    image: Indices
    box: Boxes
    confidence: Floats
    cls: Indices

    @classmethod
    def of(cls, table: Detections) -> Seen:
        """Return the detections of a table."""
        table = table[np.argsort(table[:, 0], kind="stable")]
        boxes = np.delete(table[:, 1:], (4, 5), axis=1).astype(np.float64)
        image, confidence, number = table[:, [0, 5, 6]].T
        return cls(image.astype(np.int64), boxes, confidence.astype(np.float64), number.astype(np.int64))

    def of_classes(self, classes: Sequence[int] | None) -> Seen:
        """Return the detections of some classes, or of all."""
        kept = np.isin(self.cls, self.cls if classes is None else classes)
        return Seen(self.image[kept], self.box[kept], self.confidence[kept], self.cls[kept])


@dataclass(frozen=True)
class Evidence:
    """What speaks for and against each label.

    Attributes:
        loc: (N,) 1 - the best IoU with any detection, whatever its class.
        same: (N,) the best confidence times IoU of a detection of its class.
        other: (N,) likewise, of another class.
        nearest: (N,) the detection that is most about the label, by confidence times IoU, among those that overlap no
            other label more; -1 where there is none.
        overlap: (N,) its IoU with the label; 0 where there is none.
        rival: (N,) the detection of another class that has the best confidence times IoU; -1 where there is none.
        hit: (N,) the best detection of the label's own class, where it has found the object; -1 where there is none.
        size: (N,) side of a square of the object's area, in longer sides of its image: of the nearest detection, as a
            wrong label has another size than its object; the label's own where there is none.
    """

    loc: Floats
    same: Floats
    other: Floats
    nearest: Indices
    overlap: Floats
    rival: Indices
    hit: Indices
    size: Floats

    @property
    def odds(self) -> Floats:
        """Logarithm of how many times more speaks for another class than for the label's own, (N,)."""
        return np.log((self.other + LEAST_WEIGHT) / (self.same + LEAST_WEIGHT))


def weigh(labels: Labels, seen: Seen) -> Evidence:
    """Compare every label with what was detected on its image."""
    count = len(labels)
    loc, same, other, overlap = np.ones(count), *np.zeros((3, count))
    nearest, rival, hit = (np.full(count, -1) for _ in range(3))
    for of, found in by_image(labels.image, seen.image):
        shares = iou(labels.box[of], seen.box[found])
        loc[of] = 1 - shares.max(1)
        weights = shares * seen.confidence[found]
        is_same = labels.cls[of, None] == seen.cls[found]
        of_same, of_other = np.where(is_same, weights, 0.0), np.where(is_same, 0.0, weights)
        same[of], other[of] = of_same.max(1), of_other.max(1)
        first = found[0]
        rival[of] = _best(of_other, first)
        hit[of] = np.where(_at_best(shares, of_same) >= HIT, _best(of_same, first), -1)
        own = np.where(shares >= shares.max(0), weights, 0.0)
        nearest[of] = _best(own, first)
        overlap[of] = np.where(own.max(1) > 0, _at_best(shares, own), 0.0)
    area = np.where(nearest >= 0, np.append(_area(seen.box), 0.0)[nearest], _area(labels.box))
    size = np.sqrt(area) / labels.sizes.max(1)[labels.image]
    return Evidence(loc, same, other, nearest, overlap, rival, hit, size)


def typical_confidence(labels: Labels, seen: Seen, evidence: Evidence, classes: int) -> Floats:
    """How confident the detector is of objects of each class that it has found, (classes,): the median.

    Infinite where it has found nothing at all, so that nothing that it says counts.
    """
    found = evidence.hit >= 0
    confidence, cls = seen.confidence[evidence.hit[found]], labels.cls[found]
    overall = float(np.median(confidence)) if len(confidence) else np.inf
    of_class = [confidence[cls == number] for number in range(classes)]
    return np.array([np.median(values) if len(values) >= FEW else overall for values in of_class])


def by_image(first: Indices, second: Indices) -> Iterator[tuple[Indices, Indices]]:
    """Where the entries of each image are that both have, given the image of each entry, in order."""
    for image in np.intersect1d(first, second):
        yield tuple(  # type: ignore[misc]
            np.arange(*np.searchsorted(images, (image, image + 1))) for images in (first, second)
        )


def _area(boxes: Boxes) -> Floats:
    """Areas of boxes, (N,)."""
    area: Floats = boxes[:, 2] * boxes[:, 3]
    return area


def _best(weights: Floats, first: int) -> Indices:
    """The column with the largest weight of each row, counted from `first`; -1 where all are 0."""
    return np.where(weights.max(1) > 0, weights.argmax(1) + first, -1)


def _at_best(values: Floats, weights: Floats) -> Floats:
    """The value of each row where its weight is the largest."""
    return np.take_along_axis(values, weights.argmax(1)[:, None], 1)[:, 0]
