"""What became of every detection by COCO's rules, kept by image, so that AP of any redrawn set of images is cheap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

CONFIDENCE = 0.25
"""Below this score a person does not see a detection: Ultralytics' own choice for `predict`."""

BLOCK = 50
"""Draws at a time: all of them by all detections would not fit into memory."""

RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class ClassMatches:
    """One class's detections, best score first.

    Attributes:
        image: (D,) which image, counted from 0.
        score: (D,).
        hit: (T, D) bool, whether it found an object, at each IoU threshold.
        objects: (I,) how many objects each image has.
    """

    image: Any
    score: Any
    hit: Any
    objects: Any


def match(evaluation: Any) -> list[ClassMatches]:
    """Match detections and objects, class by class.

    Args:
        evaluation: an evaluated `COCOeval_faster`, whose IoU matrices it takes; all objects count, none is a crowd.
    """
    parameters = evaluation.params
    most = parameters.maxDets[-1]
    classes = []
    for category in parameters.catIds:
        image, score, hit, objects = [], [], [], []
        for number, key in enumerate(parameters.imgIds):
            found = evaluation.cocoDt.loadAnns(evaluation.cocoDt.getAnnIds(imgIds=[key], catIds=[category]))
            scores = np.array([one["score"] for one in found])
            scores = scores[np.argsort(-scores, kind="stable")][:most]
            objects.append(len(evaluation.cocoGt.getAnnIds(imgIds=[key], catIds=[category])))
            ious = np.asarray(evaluation.ious[key, category]).reshape(len(scores), objects[-1] if len(scores) else 0)
            image.append(np.full(len(scores), number))
            score.append(scores)
            hit.append(assign(ious, parameters.iouThrs))
        scores = np.concatenate(score)
        order = np.argsort(-scores, kind="stable")
        classes.append(
            ClassMatches(
                np.concatenate(image)[order], scores[order], np.concatenate(hit, 1)[:, order], np.array(objects)
            )
        )
    return classes


def assign(ious: Any, thresholds: Any) -> Any:
    """Assign by COCO's rule: in the order of their scores, each detection takes the free object with the largest IoU.

    Args:
        ious: (D, G) of detections, best score first, and objects; of one image and class.
        thresholds: (T,) least IoU.

    Returns:
        (T, D) bool, whether a detection got an object.
    """
    hit = np.zeros((len(thresholds), len(ious)), bool)
    if not ious.size:
        return hit
    least = np.minimum(thresholds, 1 - 1e-10)
    rows = np.arange(len(thresholds))
    is_free = np.ones((len(thresholds), ious.shape[1]), bool)
    for d in np.flatnonzero(ious.max(1) >= least.min()):
        candidates = np.where(is_free, ious[d], -1.0)[:, ::-1]  # of equals, COCO takes the last
        best = candidates.shape[1] - 1 - candidates.argmax(1)
        hit[:, d] = candidates.max(1) >= least
        is_free[rows[hit[:, d]], best[hit[:, d]]] = False
    return hit


def average_precision(classes: list[ClassMatches], weights: Any) -> Any:
    """AP by IoU threshold, mean over the classes that have objects, 101 recall points.

    Args:
        classes: of one run.
        weights: (B, I) how often each image counts.

    Returns:
        (B, T); NaN for a draw without any object. With weights of 1 this is COCO's AP.
    """
    weights = np.asarray(weights, float)
    blocks = [weights[start : start + BLOCK] for start in range(0, len(weights), BLOCK)]
    every = np.concatenate([np.stack([_of_class(one, block) for one in classes]) for block in blocks], 1)
    is_known = ~np.isnan(every)
    count = is_known.sum(0)
    return np.where(count > 0, np.where(is_known, every, 0).sum(0) / np.maximum(count, 1), np.nan)


def _of_class(one: ClassMatches, weights: Any) -> Any:
    """AP of a class, (B, T). Precision need be known at hits alone: between them it only falls."""
    objects = weights @ one.objects
    of_detection = weights[:, one.image]
    seen = of_detection.cumsum(1)
    precision = np.zeros((len(weights), len(one.hit)))
    for t, hit in enumerate(one.hit):
        where = np.flatnonzero(hit)
        if where.size:
            true = of_detection[:, where].cumsum(1)
            height = true / np.maximum(seen[:, where], 1)
            height = np.maximum.accumulate(height[:, ::-1], 1)[:, ::-1]
            reached = np.searchsorted(RECALLS, true / np.maximum(objects, 1)[:, None], side="right")
            precision[:, t] = (height * np.diff(reached, prepend=0, axis=1)).sum(1) / len(RECALLS)
    precision[objects == 0] = np.nan
    return precision


def quality(classes: list[ClassMatches]) -> Any:
    """How well each image is seen, (I,): F1 of its confident detections, mean over the IoU thresholds.

    NaN for an image without objects and detections.
    """
    images = len(classes[0].objects)
    objects = sum(one.objects for one in classes)
    true = np.zeros((len(classes[0].hit), images))
    found = np.zeros(images)
    for one in classes:
        is_seen = one.score >= CONFIDENCE
        found += np.bincount(one.image[is_seen], minlength=images)
        for t, hit in enumerate(one.hit):
            true[t] += np.bincount(one.image[is_seen & hit], minlength=images)
    both = objects + found
    return np.where(both > 0, (2 * true / np.maximum(both, 1)).mean(0), np.nan)


def redraw(images: int, draws: int, seed: int = 0) -> Any:
    """Resamples of images with replacement, as the number of times that each image is drawn: (draws, images)."""
    return np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), draws)
