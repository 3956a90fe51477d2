"""Average precision of any redrawn set of images, at little cost, from what became of every detection."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.25
"""Below this score a person does not see a detection: Ultralytics' own choice for `predict`."""
MOST = 2_000_000
"""Draws at a time, by images or by detections of a class: all of them would not fit into memory."""
RECALLS = np.linspace(0, 1, 101)
"""COCO's."""

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class ClassMatches:
    """One class's detections, best score first.

    Attributes:
        image: (D,) which image, counted from 0.
        score: (D,).
        hit: (T, D) whether it found an object, at each IoU threshold.
        objects: (I,) how many objects each image has.
    """

    image: NDArray[np.int64]
    score: Floats
    hit: NDArray[np.bool_]
    objects: NDArray[np.int64]


def average_precision(classes: list[ClassMatches], weights: ArrayLike) -> Floats:
    """AP by IoU threshold, mean over the classes that have objects, 101 recall points.

    Args:
        classes: of one run.
        weights: (B, I) how often each image counts.

    Returns:
        (B, T); NaN for a draw without any object. With weights of 1 this is COCO's AP.
    """
    weights = np.asarray(weights)
    step = max(MOST // max(1, weights.shape[1], *(len(matches.score) for matches in classes)), 1)
    blocks = (weights[start : start + step].astype(float) for start in range(0, len(weights), step))
    return np.concatenate([_mean_of_classes(classes, block) for block in blocks])


def _mean_of_classes(classes: list[ClassMatches], weights: Floats) -> Floats:
    """Mean over the classes that have objects in a draw, (B, T); one class at a time, as there may be thousands."""
    total = known = np.zeros(())
    for matches in classes:
        ap = _of_class(matches, weights)
        total, known = total + np.nan_to_num(ap), known + ~np.isnan(ap)
    return np.where(known > 0, total / np.maximum(known, 1), np.nan)


def _of_class(matches: ClassMatches, weights: Floats) -> Floats:
    """AP of a class, (B, T). Precision need be known at hits alone: between them it only falls."""
    objects = weights @ matches.objects
    of_detection = weights[:, matches.image]
    seen = of_detection.cumsum(1)
    precision = np.zeros((len(weights), len(matches.hit)))
    for t, hit in enumerate(matches.hit):
        where = np.flatnonzero(hit)
        if where.size:
            true = of_detection[:, where].cumsum(1)
            height = true / np.maximum(seen[:, where], 1)
            height = np.maximum.accumulate(height[:, ::-1], 1)[:, ::-1]
            reached = np.searchsorted(RECALLS, true / np.maximum(objects, 1)[:, None], side="right")
            precision[:, t] = (height * np.diff(reached, prepend=0, axis=1)).sum(1) / len(RECALLS)
    precision[objects == 0] = np.nan
    return precision


def quality(classes: list[ClassMatches]) -> Floats:
    """How well each image is seen, (I,): F1 of its confident detections, mean over the IoU thresholds.

    NaN for an image without objects and detections.
    """
    images = len(classes[0].objects)
    objects = sum(matches.objects for matches in classes)
    true = np.zeros((len(classes[0].hit), images))
    found = np.zeros(images)
    for matches in classes:
        is_seen = matches.score >= CONFIDENCE
        found += np.bincount(matches.image[is_seen], minlength=images)
        for t, hit in enumerate(matches.hit):
            true[t] += np.bincount(matches.image[is_seen & hit], minlength=images)
    both = objects + found
    return np.where(both > 0, (2 * true / np.maximum(both, 1)).mean(0), np.nan)


def redraw(images: int, draws: int, seed: int = 0) -> NDArray[np.int64]:
    """Resamples of images with replacement, as the number of times that each image is drawn: (draws, images)."""
    return np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), draws)
