"""A planted copy of a data set, as the model sees it that was trained on it, beside the truth; and how rankings do."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import rankdata

from yolo_wiou.auditing.evidence import Seen
from yolo_wiou.auditing.labels import Labels
from yolo_wiou.auditing.overlap import Boxes, Floats

WRONG = ("loose", "shifted", "wrong", "spurious")
"""Kinds that a ranking of labels is to put first; duplicates and missing labels have lists of their own."""


class Case(NamedTuple):
    """A planted copy, seen by the model that was trained on it; all (N,) or (N, 4), a row a label.

    Attributes:
        name: set and seed.
        labels: of the copy.
        seen: what the model detects.
        kind: what was planted; empty of a right label.
        cls: true class; -1 of a spurious label.
        box: true box in pixels.
    """

    name: str
    labels: Labels
    seen: Seen
    kind: np.ndarray[Any, Any]
    cls: np.ndarray[Any, Any]
    box: Boxes


def with_truth(name: str, labels: Labels, seen: Seen, planted: Path) -> Case:
    """Put the truth beside labels."""
    names = [labels.files[image].name for image in labels.image]
    place = {where: index for index, where in enumerate(zip(names, labels.line.tolist(), strict=True))}
    kind, cls, box = np.full(len(labels), "", object), labels.cls.copy(), labels.box.copy()
    rows = list(csv.DictReader(planted.open(encoding="utf-8"))) if planted.is_file() else []
    for row in rows:
        index = place.get((Path(row["image"]).name, int(row["line"] or 0)))
        if index is None:
            continue
        kind[index], cls[index] = row["kind"], int(row["class"] or -1)
        if row["cx"]:
            cx, cy, w, h = np.array([float(row[side]) for side in ("cx", "cy", "w", "h")])
            box[index] = np.array([cx - w / 2, cy - h / 2, w, h]) * np.tile(labels.sizes[labels.image[index]], 2)
    return Case(name, labels, seen, kind, cls, box)


def ranking(case: Case, score: Floats) -> dict[str, float]:
    """How well a score puts wrong labels first: AUROC, AP, and precision in the first tenth; without duplicates."""
    kept = case.kind != "duplicate"
    wrong, score = np.isin(case.kind, WRONG)[kept], score[kept]
    order = np.argsort(-score, kind="stable")
    positives, places = wrong.sum(), rankdata(score)
    auroc = (places[wrong].sum() - positives * (positives + 1) / 2) / (positives * (~wrong).sum())
    hits = wrong[order].cumsum()
    precision = hits / np.arange(1, len(hits) + 1)
    return {
        "AUROC": float(auroc),
        "AP": float(precision[wrong[order]].mean()),
        "first tenth": float(wrong[order[: round(0.1 * len(order))]].mean()),
    }
