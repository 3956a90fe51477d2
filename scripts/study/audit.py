"""How many planted label errors the audit finds, and how many others do, on the same detections.

    python scripts/study/audit.py BCCD [OUT] [jobs=1] [seeds=3]

BCCD is github.com/Shenggan/BCCD_Dataset in YOLO's layout (the folder of bccd.yaml); the other set is rendered. In both
15 % of the training labels are planted loose, 5 % shifted, 5 % of a wrong class, 5 % dropped, 3 % spurious and 2 %
twice, under every seed. A small model is trained from scratch on each of these copies, and on the rendered labels as
they are; and on a planted copy of only 150 images ("few"), to see what learning labels by heart does. Then each method
ranks the labels of the copy that its model was trained on, by what that model detects there:

    audit        one pass, and with what the training saw of every label (audit=true)
    FiftyOne     mistakenness as its documentation describes it: the larger of the two for class and for place, of the
                 detection that a label is matched with at IoU 0.5; labels without one have none, so they come
                 first, or last
    ObjectLab    cleanlab's own code: the smaller of its two scores of a label, for place and for class; as it is, and
                 with the thresholds that, knowing the truth, are best (pip install cleanlab)

OUT (default runs/study_audit) holds everything; a training that is finished is not done again. The tables are printed,
and what they are made of is written to OUT/audit.json.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from audit_page import changes, rankings
from audits import a_run, finish, planted_copy, save
from command_line import read
from planted import WRONG, Case, ranking, with_truth
from rivals import mistakenness, objectlab, tuned_objectlab

from yolo_wiou.auditing.audit import THRESHOLD, look
from yolo_wiou.auditing.findings import AuditedLabel
from yolo_wiou.auditing.history import Past, recall
from yolo_wiou.auditing.judge import judge
from yolo_wiou.auditing.overlap import Floats, iou_of_pairs
from yolo_wiou.compare.run import Run
from yolo_wiou.data.planting import PLANTED
from yolo_wiou.data.shapes import ShapesConfig, render_dataset
from yolo_wiou.training.model import YOLO

TRAINING: dict[str, Any] = {
    "model": "yolo11n.yaml",
    "batch": 16,
    "nbs": 16,
    "optimizer": "AdamW",
    "lr0": 0.002,
    "cache": "ram",
    "workers": 0,
    "val": False,
}
SETS: dict[str, dict[str, Any]] = {
    "shapes": {"imgsz": 96, "epochs": 40},
    "bccd": {"imgsz": 160, "epochs": 60},
    "few": {"imgsz": 96, "epochs": 60},
}


def main(argv: list[str]) -> int:
    """Train what is missing, rank, print the tables."""
    request = read(argv, {"BCCD": "bccd.yaml"}, "runs/study_audit", jobs=1, seeds=3)
    out = request.out
    data = prepare(request.sources[0], out, request.options["seeds"])
    runs = {name: a_run(name, file, 0, {**TRAINING, **SETS[name.split("-")[0]]}) for name, file in data.items()}
    finish(runs.values(), out, request.options["jobs"])
    done = {name: run for name, run in runs.items() if run.is_finished(out)}
    results = [result for name, run in done.items() for result in measure(name, run, out)]
    save(results, out / "audit.json")
    print(rankings(results), changes(results), sep="\n")
    return int(len(done) < len(runs))


def prepare(bccd: Path, out: Path, seeds: int) -> dict[str, Path]:
    """Make the data sets, unless they are there; returns data.yaml by name."""
    shapes = render_dataset(out / "data" / "shapes", ShapesConfig(train=600, val=200))
    few = render_dataset(out / "data" / "few", ShapesConfig(train=150, val=200))
    copy = out / "data" / "bccd"
    if not copy.exists():
        shutil.copytree(bccd, copy, ignore=shutil.ignore_patterns("*.cache"))
    wanted = [(name, seed) for seed in range(seeds) for name in ("shapes", "bccd")]
    sources = {"shapes": shapes, "bccd": copy / "bccd.yaml", "few": few}
    planted = {
        f"{name}-{seed}": planted_copy(sources[name], out / "planted" / f"{name}-{seed}", seed)
        for name, seed in [*wanted, ("few", 0)]
    }
    return {**planted, "shapes-clean": shapes}


def measure(name: str, run: Run, out: Path) -> Iterator[dict[str, Any]]:
    """Rank the labels of a copy by every method; returns what came of it, a mapping a method."""
    data, folder = Path(run.arguments["data"]), run.folder(out) / "train"
    weights = folder / "weights" / "last.pt"
    labels, seen, _ = look(YOLO(str(weights)), data, "train", imgsz=run.arguments["imgsz"], batch=16, workers=0)
    case = with_truth(name, labels, seen, data.parent / PLANTED)
    yield {**audited(case, None), "method": "audit"}
    yield {**audited(case, recall(folder, labels)), "method": "audit, with the run"}
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


def audited(case: Case, past: Past | None) -> dict[str, Any]:
    """The audit itself: its ranking, what it flags, and what it would change unasked."""
    found = judge(case.labels, case.seen, {}, THRESHOLD, past)
    by_place = {(row.image, row.line): row for row in found.labels}
    files = [str(case.labels.files[image]) for image in case.labels.image]
    rows: list[AuditedLabel] = [by_place[place] for place in zip(files, case.labels.line.tolist(), strict=True)]
    is_wrong = np.isin(case.kind, WRONG)
    flagged = np.array([row.is_flagged for row in rows])
    moved = np.array([row.is_sure and row.reason != "class" for row in rows])
    renamed = np.array([row.is_sure and row.reason == "class" for row in rows])
    boxed = np.flatnonzero(moved & np.isin(case.kind, ("loose", "shifted")))
    before, after = (
        iou_of_pairs(np.array([getattr(rows[i], side) for i in boxed]).reshape(-1, 4), case.box[boxed])
        for side in ("box", "proposed_box")
    )
    right = [rows[i].proposed_cls == case.cls[i] for i in np.flatnonzero(renamed)]
    return {
        "case": case.name,
        **(ranking(case, np.array([row.score for row in rows])) if is_wrong.any() else {}),
        "labels": len(rows),
        "wrong": int(is_wrong.sum()),
        "threshold": found.threshold,
        "flagged": int(flagged.sum()),
        "flagged wrong": int((flagged & is_wrong).sum()),
        "moved": int(moved.sum()),
        "moved right": int((moved & ~is_wrong).sum()),
        "moved wrong": len(boxed),
        "closer": int((after > before).sum()),
        "IoU before": float(before.sum()),
        "IoU after": float(after.sum()),
        "renamed": int(renamed.sum()),
        "renamed right": int(sum(right)),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
