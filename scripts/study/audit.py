"""How many planted label errors the audit finds, and how many others do, on the same detections.

    python scripts/study/audit.py BCCD [OUT] [jobs=1] [seeds=3]

BCCD is github.com/Shenggan/BCCD_Dataset in YOLO's layout (the folder of bccd.yaml); the other set is rendered. In both
15 % of the training labels are planted loose, 5 % shifted, 5 % of a wrong class, 5 % dropped, 3 % spurious and 2 %
twice, under every seed. A small model is trained from scratch on each of these copies, and on the rendered labels as
they are. Then each method ranks the labels of the copy that its model was trained on, by what that model detects there:

    audit        one pass, and with what the training saw of every label (audit=true)
    FiftyOne     mistakenness as its documentation describes it: the larger of the two for class and for place, of the
                 detection that a label is matched with at IoU 0.5; labels without one have none, so they come
                 first, or last
    ObjectLab    cleanlab's own code: the smaller of its two scores of a label, for place and for class; as it is, and
                 with the thresholds that, knowing the truth, are best (pip install cleanlab)

OUT (default runs/study_audit) holds everything; a training that is finished is not done again. The table is printed,
and written to OUT/audit.json.
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from yolo_wiou.auditing.audit import look
from yolo_wiou.auditing.evidence import Seen, by_image
from yolo_wiou.auditing.findings import AuditedLabel
from yolo_wiou.auditing.history import Past, recall
from yolo_wiou.auditing.judge import judge
from yolo_wiou.auditing.labels import Labels
from yolo_wiou.auditing.overlap import Boxes, Floats, iou
from yolo_wiou.cli.arguments import parse_options
from yolo_wiou.compare.run import Run
from yolo_wiou.compare.runner import LocalJob, train
from yolo_wiou.data.planting import PLANTED, PlantConfig, plant
from yolo_wiou.data.shapes import ShapesConfig, render_dataset
from yolo_wiou.errors import ConfigError
from yolo_wiou.losses import load_config
from yolo_wiou.losses.presets import as_plain
from yolo_wiou.training.model import YOLO
from yolo_wiou.training.preflight import describe, images_of

TRAINING: dict[str, Any] = {
    "model": "yolo11n.yaml",
    "batch": 16,
    "nbs": 16,
    "optimizer": "AdamW",
    "lr0": 0.002,
    "cache": "ram",
    "workers": 0,
    "val": False,
    "audit": True,
}
SETS: dict[str, dict[str, Any]] = {"shapes": {"imgsz": 96, "epochs": 40}, "bccd": {"imgsz": 160, "epochs": 60}}
WRONG = ("loose", "shifted", "wrong", "spurious")
"""Kinds that a ranking of labels is to put first; duplicates and missing labels have lists of their own."""
MATCHED = 0.5
"""IoU at which FiftyOne matches."""


class Case(NamedTuple):
    """A planted copy, seen by the model that was trained on it; all (N,) or (N, 4), a row a label.

    Attributes:
        name: set and seed.
        labels: of the copy.
        seen: what the model detects.
        kind: what was planted; empty of a right label.
        cls: true class; -1 of a spurious label.
        box: true box in pixels.
        run: folder of the training.
    """

    name: str
    labels: Labels
    seen: Seen
    kind: np.ndarray[Any, Any]
    cls: np.ndarray[Any, Any]
    box: Boxes
    run: Path


def main(argv: list[str]) -> int:
    """Train what is missing, rank, print the table."""
    try:
        options = parse_options([word for word in argv if "=" in word], {"jobs": 1, "seeds": 3})
        folders = [Path(word).resolve() for word in argv if "=" not in word] or [Path()]
        if not (folders[0] / "bccd.yaml").is_file() or len(folders) > 2:
            raise ConfigError("BCCD [OUT] [jobs=1] [seeds=3], where BCCD is the folder of bccd.yaml")
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    out = folders[1] if len(folders) > 1 else Path("runs/study_audit").resolve()
    data = prepare(folders[0], out, options["seeds"])
    runs = {name: a_run(name, file) for name, file in data.items()}
    for run in train(runs.values(), out, LocalJob, options["jobs"]):
        print(f"{run.data}: {'done' if run.is_finished(out) else 'failed'}", flush=True)
    results = [result for name, run in runs.items() if run.is_finished(out) for result in measure(name, run, out)]
    (out / "audit.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(*table(results), sep="\n")
    return 0


def prepare(bccd: Path, out: Path, seeds: int) -> dict[str, Path]:
    """Make the data sets, unless they are there; returns data.yaml by name."""
    sources = {"shapes": render_dataset(out / "data" / "shapes", ShapesConfig(train=600, val=200))}
    copy = out / "data" / "bccd"
    if not copy.exists():
        shutil.copytree(bccd, copy, ignore=shutil.ignore_patterns("*.cache"))
    sources["bccd"] = copy / "bccd.yaml"
    made = {}
    for seed in range(seeds):
        for name, source in sources.items():
            folder = out / "planted" / f"{name}-{seed}"
            if not (folder / PLANTED).is_file():
                description = describe(source)
                plant(folder, description, images_of(description, "train"), config=PlantConfig(seed=seed))
            made[folder.name] = folder / "data.yaml"
    return {**made, "shapes-clean": sources["shapes"]}


def a_run(name: str, data: Path) -> Run:
    """Return the training on a copy."""
    arguments = {**TRAINING, **SETS[name.partition("-")[0]], "data": str(data)}
    spec = as_plain(load_config("ciou"))
    return Run(data=name, loss="ciou", seed=0, spec=spec, arguments=arguments, checkpoints=("last",))


def measure(name: str, run: Run, out: Path) -> Iterator[dict[str, Any]]:
    """Rank the labels of a copy by every method; returns what came of it, a mapping a method."""
    data, folder = Path(run.arguments["data"]), run.folder(out) / "train"
    weights = folder / "weights" / "last.pt"
    labels, seen, _ = look(YOLO(str(weights)), data, "train", imgsz=run.arguments["imgsz"], batch=16, workers=0)
    case = with_truth(name, labels, seen, data.parent / PLANTED, folder)
    past = recall(folder, labels)
    yield {**audited(case, None), "method": "audit"}
    yield {**audited(case, past), "method": "audit, with the run"}
    if name.endswith("clean"):
        return
    methods: dict[str, Callable[[Case], Floats]] = {
        "FiftyOne, unmatched first": mistakenness,
        "FiftyOne, unmatched last": lambda case: np.where((score := mistakenness(case)) > 1, 0, score),
        "ObjectLab": objectlab,
        "ObjectLab, tuned with the truth": tuned_objectlab,
    }
    for method, score in methods.items():
        yield {"case": name, "method": method, **ranking(case, score(case))}


def with_truth(name: str, labels: Labels, seen: Seen, planted: Path, run: Path) -> Case:
    """Put the truth beside labels."""
    place = {
        (file.name, line): index
        for index, (file, line) in enumerate(
            zip([labels.files[i] for i in labels.image], labels.line.tolist(), strict=True)
        )
    }
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
    return Case(name, labels, seen, kind, cls, box, run)


def audited(case: Case, past: Past | None) -> dict[str, Any]:
    """The audit itself: its ranking, what it flags, and what it would change unasked."""
    found = judge(case.labels, case.seen, dict(enumerate("abcde")), 2.0, past)
    place = {
        (str(case.labels.files[image]), line): index
        for index, (image, line) in enumerate(zip(case.labels.image.tolist(), case.labels.line.tolist(), strict=True))
    }
    rows: list[AuditedLabel] = [None] * len(case.labels)  # type: ignore[list-item]
    for row in found.labels:
        rows[place[row.image, row.line]] = row
    is_wrong = np.isin(case.kind, WRONG)
    flagged = np.array([row.is_flagged for row in rows])
    moved = np.array([row.is_sure and row.reason != "class" for row in rows])
    renamed = np.array([row.is_sure and row.reason == "class" for row in rows])
    boxed = moved & np.isin(case.kind, ("loose", "shifted"))
    before, after = (
        np.array([one(getattr(rows[i], side), case.box[i]) for i in np.flatnonzero(boxed)])
        for side in ("box", "proposed_box")
    )
    right = np.array([rows[i].proposed_cls == case.cls[i] for i in np.flatnonzero(renamed & (case.kind == "wrong"))])
    return {
        "case": case.name,
        **(ranking(case, np.array([row.score for row in rows])) if is_wrong.any() else {}),
        "labels": len(rows),
        "wrong": int(is_wrong.sum()),
        "threshold": found.threshold,
        "flagged": int(flagged.sum()),
        "flagged_wrong": int((flagged & is_wrong).sum()),
        "right_flagged": share(flagged, ~is_wrong),
        "moved": int(moved.sum()),
        "moved_better": float((after > before).mean()) if boxed.any() else None,
        "iou_before": float(before.mean()) if boxed.any() else None,
        "iou_after": float(after.mean()) if boxed.any() else None,
        "right_moved": share(moved, ~is_wrong),
        "renamed": int(renamed.sum()),
        "renamed_right": int(right.sum()),
    }


def share(chosen: Any, among: Any) -> float:
    """How many of some are chosen."""
    return float(chosen[among].mean())


def one(box: Any, other: Any) -> float:
    """IoU of two boxes."""
    return float(iou(np.array([box]), np.array([other]))[0, 0])


def ranking(case: Case, score: Floats) -> dict[str, float]:
    """How well a score puts wrong labels first: AUROC, AP, and precision in the first tenth; without duplicates."""
    kept = case.kind != "duplicate"
    wrong, score = np.isin(case.kind, WRONG)[kept], score[kept]
    order = np.argsort(-score, kind="stable")
    places = np.empty(len(score))
    for value in np.unique(score):
        where = score == value
        places[where] = (score < value).sum() + (where.sum() + 1) / 2
    positives = wrong.sum()
    auroc = (places[wrong].sum() - positives * (positives + 1) / 2) / (positives * (~wrong).sum())
    hits = wrong[order].cumsum()
    precision = hits / np.arange(1, len(hits) + 1)
    return {
        "AUROC": float(auroc),
        "AP": float(precision[wrong[order]].mean()),
        "first tenth": float(wrong[order[: round(0.1 * len(order))]].mean()),
    }


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


def table(results: list[dict[str, Any]]) -> Iterator[str]:
    """The rows of the table, in Markdown; means over the seeds."""
    yield "| set | method | AUROC | AP | precision in the first tenth |"
    yield "| --- | --- | --- | --- | --- |"
    for name in SETS:
        methods = dict.fromkeys(row["method"] for row in results if row["case"].startswith(name) and "AP" in row)
        for method in methods:
            rows = [row for row in results if row["case"].startswith(name) and row["method"] == method and "AP" in row]
            means = (np.mean([row[key] for row in rows]) for key in ("AUROC", "AP", "first tenth"))
            yield f"| {name} | {method} | {' | '.join(f'{mean:.3f}' for mean in means)} |"
    yield ""
    heads = "case", "labels", "wrong", "flagged", "of them wrong", "right flagged", "moved", "better", "right moved"
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for row in results:
        if row["method"] == "audit":
            better = "" if row["moved_better"] is None else f"{row['moved_better']:.1%}"
            yield (
                f"| {row['case']} | {row['labels']} | {row['wrong']} | {row['flagged']} | {row['flagged_wrong']} | "
                f"{row['right_flagged']:.2%} | {row['moved']} | {better} | {row['right_moved']:.2%} |"
            )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
