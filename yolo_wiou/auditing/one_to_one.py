"""Where labels and objects are not one to one: objects without a label, and labels that are of one object."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from yolo_wiou.auditing.evidence import HIT, Evidence, Indices, Seen, by_image
from yolo_wiou.auditing.findings import DuplicateLabels, MissingLabel
from yolo_wiou.auditing.labels import Labels
from yolo_wiou.auditing.overlap import Floats, centre, iou, plain

SAME_OBJECT = 0.55
"""IoU of two labels of a class that seem to be of one object."""
UNLABELLED, CONFIDENT = 0.3, 0.7
"""Most IoU of a missing object with any label, and least confidence over the typical one."""
DISTINCT = 0.3
"""Confidence over the typical one from which two detections show that two labels are of two objects."""


def missing(
    labels: Labels, seen: Seen, explained: Indices, typical: Floats, names: Mapping[int, str]
) -> list[MissingLabel]:
    """Return confident detections that no label is about, the surest first, of the classes that were asked for."""
    overlap = np.zeros(len(seen.cls))
    images, boxes = labels.with_unasked()
    for of, found in by_image(images, seen.image):
        overlap[found] = iou(boxes[of], seen.box[found]).max(0)
    certainty = seen.confidence / typical[seen.cls]
    middle = centre(seen.box)
    is_inside = ((middle >= 0) & (middle <= labels.sizes[seen.image])).all(1)
    is_free = (overlap < UNLABELLED) & (certainty >= CONFIDENT) & is_inside
    is_free[explained[explained >= 0]] = False
    rows: list[MissingLabel] = []
    taken: dict[int, list[int]] = {}
    for index in sorted(np.flatnonzero(is_free).tolist(), key=lambda index: -certainty[index]):
        others = taken.setdefault(int(seen.image[index]), [])
        if iou(seen.box[[index]], seen.box[others]).max(initial=0) > HIT:
            continue  # the same object, of another class
        others.append(index)
        cls = int(seen.cls[index])
        if labels.asked is not None and cls not in labels.asked:
            continue
        rows.append(
            MissingLabel(
                image=str(labels.files[seen.image[index]]),
                cls=cls,
                name=names.get(cls, str(cls)),
                box=plain(seen.box[index]),
                confidence=round(float(seen.confidence[index]), 3),
                certainty=round(float(certainty[index]), 3),
            )
        )
    return rows


def duplicates(
    labels: Labels, seen: Seen, evidence: Evidence, typical: Floats, names: Mapping[int, str]
) -> list[DuplicateLabels]:
    """Return pairs of labels that seem to be of one object, the most alike first."""
    rows = []
    starts = np.searchsorted(labels.image, np.arange(len(labels.files) + 1))
    seen_starts = np.searchsorted(seen.image, np.arange(len(labels.files) + 1))
    pairs = zip(labels.image.tolist(), labels.line.tolist(), strict=True)
    where = {pair: index for index, pair in enumerate(pairs)}

    def row(first: int, second_line: int, second_box: NDArray[np.float64], alike: float) -> DuplicateLabels:
        cls = int(labels.cls[first])
        return DuplicateLabels(
            image=str(labels.files[labels.image[first]]),
            line=int(labels.line[first]),
            duplicate=second_line,
            cls=cls,
            name=names.get(cls, str(cls)),
            box=plain(labels.box[first]),
            duplicate_box=plain(second_box),
            iou=round(alike, 3),
        )

    for image, copy, first_line in labels.repeated:
        first = where[image, first_line]
        rows.append(row(first, copy, labels.box[first], 1.0))
    for image in range(len(labels.files)):
        of = np.arange(starts[image], starts[image + 1])
        found = np.arange(seen_starts[image], seen_starts[image + 1])
        alike = np.triu(iou(labels.box[of], labels.box[of]), 1)
        for pair in of[np.argwhere((alike > SAME_OBJECT) & (labels.cls[of, None] == labels.cls[of]))]:
            if shows_two(labels, seen, pair, found, typical):
                continue
            first, second = sorted(pair.tolist(), key=lambda index: evidence.loc[index])
            both = iou(labels.box[[first]], labels.box[[second]])[0, 0]
            rows.append(row(first, int(labels.line[second]), labels.box[second], float(both)))
    return sorted(rows, key=lambda row: -row.iou)


def shows_two(labels: Labels, seen: Seen, pair: Indices, found: Indices, typical: Floats) -> bool:
    """Whether the detector has found an object for each of two labels."""
    cls = labels.cls[pair[0]]
    of_class = found[(seen.cls[found] == cls) & (seen.confidence[found] >= DISTINCT * typical[cls])]
    shares = iou(labels.box[pair], seen.box[of_class])
    shares = shares[:, shares.max(0) >= HIT]
    return bool((shares[0] > shares[1]).any() and (shares[1] > shares[0]).any())
