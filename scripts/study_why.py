"""What a gain does to wrong boxes: how much of the box loss's weight is theirs, in the noise study's own trainings.

    python scripts/study_why.py [NOISE]

Takes the last checkpoints that study_noise.py (in NOISE) trained with CIoU, shows them their training images without
augmentation, and asks every loss how much it would count each positive. What weighs a positive is the task-aligned
weight, from Ultralytics, times the gain. Writes docs/study/why.json.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from study_noise import SIZE
from study_page import OUT
from ultralytics import YOLO
from ultralytics.utils import DEFAULT_CFG
from ultralytics.utils.patches import imread

from yolo_wiou import BoxLoss, BoxPair, load_loss
from yolo_wiou.studies.compare.plan import label

LOSSES: list[tuple[str, dict[str, Any]]] = [
    ("ciou", {}),
    ("wiou2", {}),
    ("wiou3", {}),
    ("wiou3", {"gain.alpha": 10.0, "gain.delta": 1.0}),
    ("focal-eiou", {}),
    ("iou-balanced-loc", {}),
]
SEEDS = range(2)


def positives(weights: Path, data: Path) -> dict[str, Any]:
    """Return the positives of all training images: boxes, targets, task-aligned weights, and whether each is wrong."""
    with (data / "noise.csv").open() as stream:
        wrong = {(Path(row["image"]).stem, int(row["row"])) for row in csv.DictReader(stream)}
    model = YOLO(weights).model.eval()
    model.args = DEFAULT_CFG
    criterion = model.init_criterion()
    seen: dict[str, list[torch.Tensor]] = {"pred": [], "target": [], "weight": [], "wrong": []}
    for file in sorted((data / "images" / "train").iterdir()):
        rows = np.loadtxt(data / "labels" / "train" / f"{file.stem}.txt", ndmin=2)
        flags = torch.tensor([(file.stem, number) in wrong for number in range(len(rows))])

        def keep(_: Any, given: tuple[Any, ...], assigned: tuple[Any, ...], flags: torch.Tensor = flags) -> None:
            _, boxes, scores, mask, owner = assigned
            found = given[1][mask], boxes[mask], scores[mask].sum(-1), flags[owner[mask]]
            for name, values in zip(seen, found, strict=True):
                seen[name].append(values)

        hook = criterion.assigner.register_forward_hook(keep)
        image = imread(str(file))[..., ::-1].copy()  # Ultralytics' own reader gives BGR
        batch = {
            "img": torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255,
            "cls": torch.from_numpy(rows[:, :1]).float(),
            "bboxes": torch.from_numpy(rows[:, 1:]).float(),
            "batch_idx": torch.zeros(len(rows)),
        }
        assert batch["img"].shape[-2:] == (SIZE, SIZE)
        with torch.no_grad():
            criterion(model(batch["img"]), batch)
        hook.remove()
    return {name: torch.cat(values) for name, values in seen.items()}


def describe(boxes: dict[str, Any]) -> dict[str, float]:
    """How many of the positives belong to wrong boxes, and IoU and task-aligned weight of both kinds."""
    iou, weight, wrong = BoxPair.of(boxes["pred"], boxes["target"]).iou, boxes["weight"], boxes["wrong"]
    told = {
        "wrong": wrong.float().mean(),
        "IoU of right": iou[~wrong].mean(),
        "IoU of wrong": iou[wrong].mean(),
        "weight of right": weight[~wrong].mean(),
        "weight of wrong": weight[wrong].mean(),
    }
    return {name: float(value) for name, value in told.items()}


def share(loss: BoxLoss, boxes: dict[str, Any]) -> dict[str, float]:
    """Mean gain of right and of wrong boxes, and the share of the whole weight that the wrong ones have."""
    pair = BoxPair.of(boxes["pred"], boxes["target"])
    loss.running_mean.mean.copy_(pair.iou_loss.mean())  # where it settles
    gain = loss.split(pair)[0]
    weight, wrong = gain * boxes["weight"], boxes["wrong"]
    told = {"right": gain[~wrong].mean(), "wrong": gain[wrong].mean(), "share": weight[wrong].sum() / weight.sum()}
    return {name: float(value) for name, value in told.items()}


def main(noise: Path) -> None:
    """Ask, write."""
    report: dict[str, Any] = {}
    for question, name in (("wise", "jitter40"), ("outliers", "outliers5")):
        abouts, shares = [], []
        for seed in SEEDS:
            weights = noise / question / "runs" / name / "ciou" / f"seed{seed}" / "train" / "weights" / "last.pt"
            boxes = positives(weights, noise / "data" / name)
            abouts.append(describe(boxes))
            shares.append({label(loss, changes): share(load_loss(loss, **changes), boxes) for loss, changes in LOSSES})
        report[name] = {
            "about": mean(abouts),
            "losses": {loss: mean([one[loss] for one in shares]) for loss in shares[0]},
        }
    (OUT / "why.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    print(json.dumps(report, indent=1))


def mean(rows: list[dict[str, float]]) -> dict[str, float]:
    """Mean of every figure over the seeds."""
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/study_noise"))
