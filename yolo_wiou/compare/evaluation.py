"""A run's detections by COCO's rules (faster-coco-eval), class by class: metrics, and what became of each detection.

What faster-coco-eval keeps of every class in every image would not fit into memory for a thousand classes.
"""

import contextlib
import functools
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolo_wiou.compare.average_precision import ClassMatches, Floats, average_precision, quality, redraw
from yolo_wiou.compare.coco import CocoAnnotation, CocoCategory, class_names, read_detections, read_truth
from yolo_wiou.compare.findings import Metrics
from yolo_wiou.compare.rotated import rotated_iou
from yolo_wiou.compare.run import Record, Result

QUOTED = "last"
"""The checkpoint that verdicts rest on: the best one on the validation images favours the noisier curve."""
DRAWS = 1000
"""Redraws of the images."""
THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""COCO's, of IoU."""
COCO_LIMIT = 100
"""Detections of a class in an image that count, by COCO's rules."""


@dataclass(frozen=True)
class Evaluation:
    """What a checkpoint detects, by COCO's rules.

    Attributes:
        classes: (K,) their names.
        precision: (T, R, K, A) by IoU threshold, recall, class, and size (all, small, medium, large); NaN where there
            is no object.
        matches: (K,) what became of the detections.
    """

    classes: list[str]
    precision: Floats
    matches: list[ClassMatches]


@dataclass(frozen=True)
class EvaluatedRun:
    """A finished run, evaluated.

    Attributes:
        record: the run.
        result: what it says of itself.
        metrics: by checkpoint.
        redrawn: (DRAWS,) AP of the quoted checkpoint on redrawn images; empty where runs have other images.
        quality: (I,) how well that checkpoint sees each image; empty too.
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


def evaluate_run(record: Record, result: Result, same_images: bool) -> EvaluatedRun:
    """Evaluate all checkpoints of a finished run; image by image where all runs are evaluated on the same images."""
    metrics, redrawn, by_image = {}, np.zeros(0), np.zeros(0)
    for checkpoint in record.run.checkpoints:
        evaluation = evaluate(record.folder, checkpoint)
        metrics[checkpoint] = metrics_of(evaluation)
        if checkpoint == QUOTED and same_images:
            by_image = quality(evaluation.matches)
            redrawn = average_precision(evaluation.matches, redraw(len(by_image), DRAWS)).mean(1)
    return EvaluatedRun(record, result, metrics, redrawn, by_image)


def evaluate(folder: Path, checkpoint: str) -> Evaluation:
    """Evaluate a finished run's checkpoint by COCO's rules, of which a crowd and rotated boxes change one each.

    Where an image holds more than 100 objects of a class, all detections of the class count, since 100 of them could
    not find more than 100 objects. The IoU of rotated boxes is their own.
    """
    truth, found = read_truth(folder), read_detections(folder, checkpoint)
    number = {key: index for index, key in enumerate(sorted(image["id"] for image in truth["images"]))}
    objects: dict[int, list[CocoAnnotation]] = defaultdict(list)
    for annotation in truth["annotations"]:
        objects[annotation["category_id"]].append(annotation)
    found = found[np.argsort(found[:, 6], kind="stable")]
    categories = sorted(truth["categories"], key=lambda category: category["id"])
    start, end = (np.searchsorted(found[:, 6], [c["id"] for c in categories], side) for side in ("left", "right"))
    evaluations = [
        _evaluate_class(category, objects[category["id"]], found[first:last].astype(np.float64), number)
        for category, first, last in zip(categories, start, end, strict=True)
    ]
    return Evaluation(
        classes=list(class_names(categories).values()),
        precision=np.stack([precision for precision, _ in evaluations], 2),
        matches=[matches for _, matches in evaluations],
    )


def _evaluate_class(
    category: CocoCategory, objects: list[CocoAnnotation], found: Floats, number: Mapping[int, int]
) -> tuple[Floats, ClassMatches]:
    """Evaluate one class on the images that have something of it; `number` is an image's place among all.

    Returns:
        Precision, (T, R, A), NaN where there is no object; and what became of the detections.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    images = sorted({*(annotation["image_id"] for annotation in objects), *found[:, 0].astype(int).tolist()})
    of_class = {"images": [{"id": key} for key in images], "annotations": objects, "categories": [category]}
    truth = COCO({"info": {}, **of_class})
    evaluation = COCOeval_faster(truth, truth.loadRes(found[:, :7]), iouType="bbox", print_function=lambda *_: None)
    if largest_crowd(objects) > COCO_LIMIT:
        evaluation.params.maxDets = [1, 10, max(len(found), COCO_LIMIT)]
    if found.shape[1] > 7:
        evaluation.computeIoU = functools.partial(_rotated_ious, found, objects, evaluation.params.maxDets[-1])
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
    precision = np.asarray(evaluation.eval["precision"], float)[:, :, 0, :, -1]
    return np.where(precision < 0, np.nan, precision), _match(evaluation, found, objects, number)


def largest_crowd(objects: Iterable[CocoAnnotation]) -> int:
    """How many objects of one class an image holds at most."""
    return max(Counter((a["image_id"], a["category_id"]) for a in objects).values(), default=0)


def _rotated_ious(found: Floats, objects: list[CocoAnnotation], most: int, image: int, _: int) -> Floats:
    """IoU of an image's `most` best detections, in order, with its objects: `COCOeval_faster.computeIoU`."""
    rows = found[found[:, 0] == image]
    rows = rows[np.argsort(-rows[:, 5], kind="stable")][:most]
    return rotated_iou(rows[:, [1, 2, 3, 4, 7]], [[*a["bbox"], a["angle"]] for a in objects if a["image_id"] == image])


def _match(evaluation: Any, found: Floats, objects: list[CocoAnnotation], number: Mapping[int, int]) -> ClassMatches:
    """Match the detections of a class, of an evaluated `COCOeval_faster`; all objects count, none is a crowd."""
    most, thresholds = evaluation.params.maxDets[-1], evaluation.params.iouThrs
    count = np.bincount([number[annotation["image_id"]] for annotation in objects], minlength=len(number))
    found = found[np.lexsort((-found[:, 5], found[:, 0]))]
    keys, start, size = np.unique(found[:, 0].astype(int), return_index=True, return_counts=True)
    rank = np.arange(len(found)) - start.repeat(size)
    hit = np.zeros((len(thresholds), len(found)), bool)
    for key, first in zip(keys.tolist(), start.tolist(), strict=True):
        if len(ious := evaluation.ious[key, evaluation.params.catIds[0]]):
            hit[:, first : first + len(ious)] = assign(np.asarray(ious), thresholds)
    image = np.array([number[key] for key in keys.tolist()], int).repeat(size)
    order = np.argsort(-found[:, 5], kind="stable")
    order = order[rank[order] < most]
    return ClassMatches(image[order], found[order, 5], hit[:, order], count)


def metrics_of(evaluation: Evaluation) -> Metrics:
    """Return the metrics of an evaluation."""
    precision = evaluation.precision
    by_threshold = {f"{t:.2f}": _mean(of_all[..., 0]) for t, of_all in zip(THRESHOLDS, precision, strict=True)}
    return Metrics(
        AP=_mean(precision[..., 0]),
        **{f"AP{level}": by_threshold[f"0.{level}"] for level in (50, 75, 80, 90)},
        **{f"AP_{size}": _mean(precision[..., i]) for i, size in enumerate(("small", "medium", "large"), 1)},
        by_threshold=by_threshold,
        by_class={name: _mean(precision[:, :, i, 0]) for i, name in enumerate(evaluation.classes)},
    )


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


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
