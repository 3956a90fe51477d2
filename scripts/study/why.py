"""What a gain does to wrong boxes: how much of the box loss's weight is theirs, in the studies' own trainings.

    python scripts/study/why.py [NOISE [BCCD]]

Takes the last checkpoints that noise.py (in NOISE) and bccd.py (in BCCD) trained with CIoU, shows them
their training images without augmentation, and asks every loss how much it would count each positive. What weighs a
positive is the task-aligned weight, from Ultralytics, times the gain. Writes docs/study/why.json.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bccd import ARGUMENTS
from noise import SIZE
from results import OUT
from ultralytics import YOLO
from ultralytics.data import YOLODataset
from ultralytics.data.utils import check_det_dataset
from ultralytics.utils import DEFAULT_CFG

from yolo_wiou import BoxLoss, BoxPair, load_loss
from yolo_wiou.compare.study import label

LOSSES: list[tuple[str, dict[str, Any]]] = [
    ("ciou", {}),
    ("wiou2", {}),
    ("wiou3", {}),
    ("wiou3", {"gain.alpha": 10.0, "gain.delta": 1.0}),
    ("focal-eiou", {}),
    ("iou-balanced-loc", {}),
]
SEEDS = range(2)


def positives(weights: Path, data: Path, imgsz: int) -> dict[str, Any]:
    """Return the positives of all training images: boxes, targets, task-aligned weights, and whether each is wrong."""
    with (data / "noise.csv").open() as stream:
        wrong = {(Path(row["image"]).stem, int(row["row"])) for row in csv.DictReader(stream)}
    model = YOLO(weights).model.eval()
    model.args = DEFAULT_CFG
    criterion = model.init_criterion()
    seen: dict[str, list[torch.Tensor]] = {"pred": [], "target": [], "weight": [], "wrong": []}
    about = check_det_dataset(str(data / "data.yaml"))
    for sample in YOLODataset(about["train"], data=about, imgsz=imgsz, augment=False, hyp=DEFAULT_CFG):
        image = Path(sample["im_file"]).stem
        flags = torch.tensor([(image, row) in wrong for row in range(len(sample["cls"]))])

        def keep(_: Any, given: tuple[Any, ...], assigned: tuple[Any, ...], flags: torch.Tensor = flags) -> None:
            _, boxes, scores, mask, owner = assigned
            found = given[1][mask], boxes[mask], scores[mask].sum(-1), flags[owner[mask]]
            for name, values in zip(seen, found, strict=True):
                seen[name].append(values)

        hook = criterion.assigner.register_forward_hook(keep)
        batch = YOLODataset.collate_fn([sample])
        batch["img"] = batch["img"].float() / 255
        with torch.no_grad():
            criterion(model(batch["img"]), batch)
        hook.remove()
    return {name: torch.cat(values) for name, values in seen.items()}


def describe(boxes: dict[str, Any]) -> dict[str, float]:
    """How many of the positives belong to wrong boxes, and IoU and task-aligned weight of both kinds."""
    iou, weight, wrong = BoxPair.of(boxes["pred"], boxes["target"]).iou, boxes["weight"], boxes["wrong"]
    means = {
        "wrong": wrong.float().mean(),
        "IoU of right": iou[~wrong].mean(),
        "IoU of wrong": iou[wrong].mean(),
        "weight of right": weight[~wrong].mean(),
        "weight of wrong": weight[wrong].mean(),
    }
    return {name: float(value) for name, value in means.items()}


def share(loss: BoxLoss, boxes: dict[str, Any]) -> dict[str, float]:
    """Mean gain of right and of wrong boxes, and the share of the whole weight that the wrong ones have."""
    pair = BoxPair.of(boxes["pred"], boxes["target"])
    loss.running_mean.mean.copy_(pair.iou_loss.mean())  # where it settles
    gain = loss.gain_and_loss(pair, boxes["weight"])[0]
    weight, wrong = gain * boxes["weight"], boxes["wrong"]
    summary = {"right": gain[~wrong].mean(), "wrong": gain[wrong].mean(), "share": weight[wrong].sum() / weight.sum()}
    return {name: float(value) for name, value in summary.items()}


def main(noise: Path, *bccd: Path) -> None:
    """Ask, write."""
    studies = [(noise, "wise", "jitter40", SIZE), (noise, "outliers", "outliers5", SIZE)]
    studies += [(folder, "wise", "jitter30", ARGUMENTS["imgsz"]) for folder in bccd]
    report: dict[str, Any] = {}
    for folder, question, name, imgsz in studies:
        abouts, shares = [], []
        for seed in SEEDS:
            weights = folder / question / "runs" / name / "ciou" / f"seed{seed}" / "train" / "weights" / "last.pt"
            boxes = positives(weights, folder / "data" / name, imgsz)
            abouts.append(describe(boxes))
            shares.append({label(loss, changes): share(load_loss(loss, **changes), boxes) for loss, changes in LOSSES})
        report[name] = {
            "about": mean(abouts),
            "losses": {loss: mean([by_loss[loss] for by_loss in shares]) for loss in shares[0]},
        }
    (OUT / "why.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    print(json.dumps(report, indent=1))


def mean(rows: list[dict[str, float]]) -> dict[str, float]:
    """Mean of every value over the seeds."""
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:] or ["runs/study_noise"]))
