"""Average precision by COCO's rules (faster-coco-eval), of a run and of any redrawn set of images.

What became of every detection is kept by image, so that AP of a redraw costs little.
"""

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from yolo_wiou.compare.findings import Metrics
from yolo_wiou.compare.run import TRUTH, Record, Result
from yolo_wiou.files import read_json

QUOTED = "last"
"""The checkpoint that verdicts rest on: the best one on the validation images favours the noisier curve."""
DRAWS = 1000
"""Redraws of the images."""
CONFIDENCE = 0.25
"""Below this score a person does not see a detection: Ultralytics' own choice for `predict`."""
BLOCK = 50
"""Draws at a time: all of them by all detections would not fit into memory."""
RECALLS = np.linspace(0, 1, 101)

Floats: TypeAlias = NDArray[np.float64]
Evaluation: TypeAlias = Any
"""An evaluated and accumulated `COCOeval_faster`, which has no types."""


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


@dataclass(frozen=True)
class EvaluatedRun:
    """A finished run, evaluated.

    Attributes:
        record: the run.
        result: what it says of itself.
        metrics: by checkpoint.
        redrawn: (DRAWS,) AP of the quoted checkpoint on redrawn images.
        quality: (I,) how well that checkpoint sees each image.
    """

    record: Record
    result: Result
    metrics: dict[str, Metrics]
    redrawn: Floats
    quality: Floats

    @property
    def quoted(self) -> Metrics:
        """Metrics of the checkpoint that verdicts rest on."""
        return self.metrics[QUOTED]


def evaluate_run(record: Record, result: Result) -> EvaluatedRun:
    """Evaluate all checkpoints of a finished run."""
    evaluations = {checkpoint: evaluate(record.folder, checkpoint) for checkpoint in record.run.checkpoints}
    classes = match(evaluations[QUOTED])
    redrawn = average_precision(classes, redraw(len(classes[0].objects), DRAWS)).mean(1)
    metrics = {checkpoint: metrics_of(evaluation) for checkpoint, evaluation in evaluations.items()}
    return EvaluatedRun(record, result, metrics, redrawn, quality(classes))


def load_detections(folder: Path, checkpoint: str) -> Floats:
    """Read what a run's checkpoint detects, (D, 7)."""
    with np.load(folder / f"detections-{checkpoint}.npz") as file:
        return np.asarray(file["detections"], np.float64)


def evaluate(folder: Path, checkpoint: str) -> Evaluation:
    """Evaluate a finished run's checkpoint."""
    from faster_coco_eval import COCO, COCOeval_faster

    truth = COCO(read_json(folder / TRUTH))
    detections = truth.loadRes(load_detections(folder, checkpoint))
    evaluation = COCOeval_faster(truth, detections, iouType="bbox", print_function=lambda *_: None)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def metrics_of(evaluation: Evaluation) -> Metrics:
    """Read the metrics of an evaluation."""
    precision = evaluation.eval["precision"][..., -1]  # (thresholds, recalls, classes, sizes)
    precision = np.where(precision < 0, np.nan, precision)
    thresholds = np.round(evaluation.params.iouThrs, 2)
    by_threshold = {f"{t:.2f}": _mean(precision[i, :, :, 0]) for i, t in enumerate(thresholds)}
    names = {category["id"]: category["name"] for category in evaluation.cocoGt.dataset["categories"]}
    return Metrics(
        AP=_mean(precision[..., 0]),
        **{f"AP{level}": by_threshold[f"0.{level}"] for level in (50, 75, 80, 90)},
        **{f"AP_{size}": _mean(precision[..., i]) for i, size in enumerate(("small", "medium", "large"), 1)},
        by_threshold=by_threshold,
        by_class={names[c]: _mean(precision[:, :, i, 0]) for i, c in enumerate(evaluation.params.catIds)},
    )


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def match(evaluation: Evaluation) -> list[ClassMatches]:
    """Match detections and objects, class by class; all objects count, none is a crowd."""
    parameters = evaluation.params
    most = parameters.maxDets[-1]
    classes = []
    for category in parameters.catIds:
        image, score, hit, objects = [], [], [], []
        for number, key in enumerate(parameters.imgIds):
            found = evaluation.cocoDt.loadAnns(evaluation.cocoDt.getAnnIds(imgIds=[key], catIds=[category]))
            scores = np.array([detection["score"] for detection in found])
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


def assign(ious: Floats, thresholds: Floats) -> NDArray[np.bool_]:
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


def average_precision(classes: list[ClassMatches], weights: ArrayLike) -> Floats:
    """AP by IoU threshold, mean over the classes that have objects, 101 recall points.

    Args:
        classes: of one run.
        weights: (B, I) how often each image counts.

    Returns:
        (B, T); NaN for a draw without any object. With weights of 1 this is COCO's AP.
    """
    weights = np.asarray(weights, float)
    blocks = [weights[start : start + BLOCK] for start in range(0, len(weights), BLOCK)]
    by_class = np.concatenate([np.stack([_of_class(c, block) for c in classes]) for block in blocks], 1)
    is_known = ~np.isnan(by_class)
    count = is_known.sum(0)
    return np.where(count > 0, np.where(is_known, by_class, 0).sum(0) / np.maximum(count, 1), np.nan)


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
