"""How others rank labels, on the same detections: 0 for the least suspicious.

FiftyOne's formula is the one of its documentation, ObjectLab is cleanlab's own code (pip install cleanlab).
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

import numpy as np
from planted import Case, ranking

from yolo_wiou.auditing.evidence import by_image
from yolo_wiou.auditing.overlap import Boxes, Floats, iou

MATCHED = 0.5
"""IoU at which FiftyOne matches."""


def mistakenness(case: Case) -> Floats:
    """FiftyOne's, of every label: the larger of two, each from 0 to 1; 2 of an unmatched label.

    For the class (1 + m c) / 2, where c is the confidence of the matched detection and m is 1 where its class is
    another one, else -1. For the place (1 + c (2 i - 1)) / 2, where i is 0 at IoU 1 and 1 at IoU 0.5.
    """
    labels, seen = case.labels, case.seen
    score = np.full(len(labels), 2.0)
    for of, found in by_image(labels.image, seen.image):
        shares = iou(labels.box[of], seen.box[found])
        free = np.ones(len(of), bool)
        for detection in np.argsort(-seen.confidence[found], kind="stable"):
            fits = np.where(free, shares[:, detection], 0)
            label = int(fits.argmax())
            if fits[label] < MATCHED:
                continue
            free[label] = False
            c, i = seen.confidence[found[detection]], (1 - fits[label]) / (1 - MATCHED)
            m = 1 if seen.cls[found[detection]] != labels.cls[of[label]] else -1
            score[of[label]] = max((1 + m * c) / 2, (1 + c * (2 * i - 1)) / 2)
    return score


def objectlab(case: Case) -> Floats:
    """1 - the smaller of cleanlab's two scores of a label, with its own thresholds."""
    return 1 - np.minimum(of_cleanlab(case, "place"), of_cleanlab(case, "kind"))


def of_cleanlab(case: Case, of: str, threshold: float | None = None, alpha: float | None = None) -> Floats:
    """One of cleanlab's scores of every label: of its place or of its kind; None for what cleanlab takes itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rank: Any = import_module("cleanlab.object_detection.rank")
    labels, detections = [], []
    classes = int(max(case.labels.cls.max(), case.seen.cls.max())) + 1
    for image in range(len(case.labels.files)):
        here, found = case.labels.image == image, case.seen.image == image
        labels.append({"bboxes": corners(case.labels.box[here]), "labels": case.labels.cls[here]})
        rows = np.column_stack([corners(case.seen.box[found]), case.seen.confidence[found]])
        by_class = [rows[case.seen.cls[found] == cls] for cls in range(classes)]
        detections.append(np.array([*by_class, None], object)[:-1])  # of arrays, whatever their shapes
    both: dict[str, Any] = {"labels": labels, "predictions": detections, "alpha": alpha}
    if of == "place":
        found = rank.compute_badloc_box_scores(**both, low_probability_threshold=threshold)
    else:
        found = rank.compute_swap_box_scores(
            **both, high_probability_threshold=threshold, overlapping_label_check=False
        )
    return np.concatenate(found).astype(np.float64)


def corners(boxes: Boxes) -> Boxes:
    """Two corners of boxes, (N, 4)."""
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)


def tuned_objectlab(case: Case) -> Floats:
    """With those of some thresholds that, knowing the truth, give the best AP."""
    places = [of_cleanlab(case, "place", low, alpha) for low in (0.05, 0.1, 0.2, 0.3) for alpha in (0.9, 0.99)]
    kinds = [of_cleanlab(case, "kind", high, alpha) for high in (0.1, 0.2, 0.3, 0.5) for alpha in (0.9, 0.99)]
    tried = [1 - np.minimum(place, kind) for place in places for kind in kinds]
    return max(tried, key=lambda score: ranking(case, score)["AP"])
