"""Labels and detections of known kinds, and the score of every label once more, in plain Python."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ultralytics.data.utils import check_det_dataset

from yolo_wiou.auditing.evidence import Seen
from yolo_wiou.auditing.findings import AuditedLabel, DuplicateLabels, MissingLabel
from yolo_wiou.auditing.labels import Labels
from yolo_wiou.auditing.report import ClassSummary, Report
from yolo_wiou.training.preflight import images_of

WIDTH, HEIGHT, CELL = 640, 480, 160
NAMES = {0: "disc", 1: "box", 2: "star"}
SHARES = {"loose": 0.12, "shifted": 0.04, "class": 0.04, "dropped": 0.04, "duplicate": 0.02, "spurious": 0.03}


class World:
    """Objects that do not touch, a detector that sees them with some error, and labels of which some are wrong.

    The less confident a detection is, the further off it is, as of real detectors. Every object is also detected as
    another class, with a 25th of the confidence.

    Attributes:
        labels: as they would have been read.
        detections: the detector's.
        kinds: of each label: clean, loose, shifted, class, spurious, duplicate (the second of two).
        truth: class and box of each label's object; of a spurious one NaN.
        dropped: image, class and box of objects without a label.
    """

    def __init__(self, images: int = 150, seed: int = 0, wrong: bool = True) -> None:
        self.rng = np.random.default_rng(seed)
        self.kinds: list[str] = []
        self.truth: list[list[float]] = []
        self.dropped: list[list[float]] = []
        rows: list[list[float]] = []
        seen: list[list[float]] = []
        for image in range(images):
            cells = self.rng.permutation(12)
            for cell in cells[:6]:
                cls, box, confidence = self.an_object(int(cell))
                found = self.jittered(box, 0.015 / confidence)
                seen.append([image, *found, confidence, cls])
                seen.append([image, *found, confidence / 25, (cls + 1) % 3])
                kind = self.a_kind() if wrong else "clean"
                if kind == "dropped":
                    self.dropped.append([image, cls, *box])
                    continue
                rows.append([image, *self.label(kind, cls, box)])
                self.note("clean" if kind == "duplicate" else kind, cls, box)
                if kind == "duplicate":
                    rows.append([image, cls, *self.jittered(box, 0.03)])
                    self.note("duplicate", cls, box)
            if wrong and self.rng.random() < 6 * SHARES["spurious"]:
                cls, box, _ = self.an_object(int(cells[6]))
                rows.append([image, cls, *box])
                self.note("spurious", math.nan, [math.nan] * 4)
        table = np.array(rows)
        of_image = table[:, 0].astype(int)
        self.labels = Labels(
            files=tuple(Path(f"{number}.jpg") for number in range(images)),
            sizes=np.tile([WIDTH, HEIGHT], (images, 1)),
            image=of_image,
            line=np.arange(len(of_image)) - np.searchsorted(of_image, of_image) + 1,
            cls=table[:, 1].astype(int),
            box=table[:, 2:],
            bbox=in_shares(table[:, 2:], (WIDTH, HEIGHT)),
        )
        self.detections = np.array(seen, np.float32)

    def an_object(self, cell: int) -> tuple[int, list[float], float]:
        """Class, box and the detector's confidence of an object in a cell of the image."""
        w, h = self.rng.uniform(40, 110, 2)
        x, y = np.array([cell % 4, cell // 4]) * CELL + self.rng.uniform(10, 40, 2)
        return int(self.rng.integers(3)), [x, y, w, h], float(self.rng.uniform(0.4, 0.9))

    def a_kind(self) -> str:
        kinds = [kind for kind in SHARES if kind != "spurious"]
        shares = [SHARES[kind] for kind in kinds]
        return str(self.rng.choice(["clean", *kinds], p=[1 - sum(shares), *shares]))

    def label(self, kind: str, cls: int, box: list[float]) -> list[float]:
        x, y, w, h = box
        if kind == "loose":
            left, top = self.rng.uniform(0.15, 0.35, 2)
            right, bottom = self.rng.uniform(0.15, 0.35, 2)
            return [cls, x - left * w, y - top * h, w * (1 + left + right), h * (1 + top + bottom)]
        if kind == "shifted":
            return [cls, x + 0.6 * w, y + 0.3 * h, w, h]
        return [(cls + 1) % 3 if kind == "class" else cls, *box]

    def jittered(self, box: list[float], most: float) -> list[float]:
        x, y, w, h = box
        left, top, right, bottom = self.rng.normal(0, most, 4)
        return [x + left * w, y + top * h, w * (1 - left + right), h * (1 - top + bottom)]

    def note(self, kind: str, cls: float, box: list[float]) -> None:
        self.kinds.append(kind)
        self.truth.append([cls, *box])


def in_shares(boxes: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Upright boxes: corner, width and height in pixels -> cx, cy, w, h as shares of the image."""
    shares: NDArray[np.float64] = np.concatenate([boxes[:, :2] + boxes[:, 2:4] / 2, boxes[:, 2:4]], 1) / np.tile(
        size, 2
    )
    return shares


def overlap(a: Any, b: Any) -> float:
    """IoU of two boxes: corner, width, height."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return float(shared / (a[2] * a[3] + b[2] * b[3] - shared))


def oracle_scores(labels: Labels, detections: NDArray[np.float32]) -> list[float]:
    """The score of every label: a robust z by class, then by size, or 1.5 times the log-odds, whichever is larger."""
    loc, cls, sizes = [], [], []
    for image, kind, box in zip(labels.image.tolist(), labels.cls.tolist(), labels.box.tolist(), strict=True):
        rows = [row for row in detections.tolist() if row[0] == image]
        shares = [(overlap(box, row[1:5]), row[5], row[6] == kind) for row in rows]
        loc.append(1 - max((share for share, _, _ in shares), default=0))
        same = max((share * confidence for share, confidence, is_same in shares if is_same), default=0)
        other = max((share * confidence for share, confidence, is_same in shares if not is_same), default=0)
        cls.append(1.5 * math.log((other + 0.01) / (same + 0.01)))
        sizes.append(size_of_object(labels.box[labels.image == image].tolist(), box, rows))
    ordered = sorted(sizes)
    edges = []
    for quarter in (0.25, 0.5, 0.75):
        place = quarter * (len(ordered) - 1)
        low, rest = int(place), place - int(place)
        edges.append(ordered[low] + rest * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low]))
    quartiles = [sum(size > edge for edge in edges) for size in sizes]
    worse = oracle_z(oracle_z(loc, labels.cls.tolist(), 0.02), quartiles, 0.1)
    return [max(pair) for pair in zip(worse, cls, strict=True)]


def size_of_object(boxes: list[list[float]], box: list[float], rows: list[list[float]]) -> float:
    """Side of the detection that is most about a box, and about no other one of its image more; else its own."""
    own = [row for row in rows if overlap(box, row[1:5]) >= max(overlap(other, row[1:5]) for other in boxes)]
    best = max(own, key=lambda row: overlap(box, row[1:5]) * row[5], default=None)
    found = best[1:5] if best and overlap(box, best[1:5]) else box
    return math.sqrt(found[2] * found[3])


def oracle_z(values: list[float], groups: list[int], floor: float) -> list[float]:
    """Distance from the median of the group, over 1.4826 times the median distance from it."""
    middles, spreads = {}, {}
    for group in set(groups):
        members = [value for value, other in zip(values, groups, strict=True) if other == group]
        middles[group] = median(members)
        spreads[group] = max(1.4826 * median(abs(value - middles[group]) for value in members), floor)
    return [(value - middles[group]) / spreads[group] for value, group in zip(values, groups, strict=True)]


NAME = "<b>'disc' & \"box\"</b>"


def a_report(data: Path) -> Report:
    """One finding of every kind, and two loose labels; one class's name is HTML."""
    description = check_det_dataset(str(data))
    images = [str(image) for image in images_of(description, "train")]

    def label(image: int, reason: Any, score: float, **changes: Any) -> AuditedLabel:
        return AuditedLabel(images[image], 1, 0, NAME, (8.0, 8.0, 20.0, 16.0), score, reason, **changes)

    better: dict[str, Any] = {"proposed_cls": 0, "proposed_name": NAME, "proposed_box": (10.0, 8.0, 30.0, 20.0)}
    return Report(
        data=str(data),
        model="best.pt",
        split="train",
        task="detect",
        threshold=2.0,
        images=len(images),
        imgsz=64,
        labels=[
            label(0, "loose", 9.0, iou=0.5, is_sure=True, **better),
            label(1, "shifted", 8.0, iou=0.2, **better),
            label(2, "class", 7.0, iou=1.0, proposed_cls=1, proposed_name="box", proposed_box=(8.0, 8.0, 20.0, 16.0)),
            label(3, "spurious", 6.0),
            label(4, "loose", 5.0, iou=0.6, **better),
            label(5, "unclear", 4.0),
        ],
        missing=[MissingLabel(images[6], 1, "box", (1.0, 2.0, 30.0, 40.0), 0.9, 1.2)],
        duplicates=[DuplicateLabels(images[7], 1, 2, 1, "box", (4.0, 4.0, 20.0, 20.0), (5.0, 4.0, 20.0, 20.0), 0.9)],
        classes=[ClassSummary(NAME, 6, 5, 0.9, 0.7)],
        warnings=["The model <finds> little."],
        description=description,
        sizes=dict.fromkeys(images, (64, 64)),
        seen=Seen.of(np.array([[0, 10, 8, 30, 20, 0.9, 0], [6, 1, 2, 30, 40, 0.9, 1]], np.float32)),
    )
