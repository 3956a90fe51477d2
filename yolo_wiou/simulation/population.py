"""How heavy a gain makes the box term, on boxes that are stated rather than trained."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from yolo_wiou.losses import BoxLoss, BoxPair, LossConfig
from yolo_wiou.simulation.curves import IMGSZ, TARGET
from yolo_wiou.training.heaviness import SeenStep, measure

BOXES = 4096
WORST = 0.9
"""The largest mean IoU loss of a population; the running mean's start of 1 is no state of boxes."""
WORDS = (
    f"How heavy the gain makes the box term, 1 being as heavy as without it, on {BOXES:,} boxes whose edges are off by "
    "chance, so that their mean IoU loss is the running mean; each weighs its IoU, about as the assigner has it:"
)


class Row(NamedTuple):
    """How heavy a loss's gain is on one population.

    Attributes:
        loss: name of the loss.
        mean: running mean, and mean IoU loss of the boxes.
        objective_factor: Σ w·g·L / Σ w·L.
        gradient_ratio: norm of the gradient of Σ w·g·L in the predicted boxes, by that of Σ w·L.
    """

    loss: str
    mean: float
    objective_factor: float
    gradient_ratio: float


def heaviness(losses: Sequence[LossConfig], means: Sequence[float]) -> list[Row]:
    """Measure every loss that has a gain on a population for each running mean, up to WORST."""
    return [_row(config, mean) for config in losses if config.gain.name != "none" for mean in means if mean <= WORST]


def _row(config: LossConfig, mean: float) -> Row:
    pred, target = population(mean)
    box_loss = BoxLoss(config)
    box_loss.running_mean.mean.fill_(mean)
    pair = BoxPair.of(pred, target, imgsz=IMGSZ)
    gain, _ = box_loss.gain_and_loss(pair, pair.iou)
    step = SeenStep(pred, target, (), pair.iou, gain)
    return Row(config.name, mean, *measure(box_loss, functools.partial(BoxPair.of, imgsz=IMGSZ), [step]))


def population(mean: float) -> tuple[Tensor, Tensor]:
    """Return predictions and targets, (BOXES, 4) xyxy in pixels, whose mean IoU loss is `mean`, in (0, WORST].

    Every edge is off by a normal number of target sides, always the same ones; how far follows from `mean`.
    """
    x, y, w, h = TARGET
    target = torch.tensor([x - w / 2, y - h / 2, x + w / 2, y + h / 2]).expand(BOXES, 4)
    noise = torch.randn(BOXES, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([w, h, w, h])
    low, high = 0.0, 4.0
    for _ in range(40):
        middle = (low + high) / 2
        is_less = BoxPair.of(target + middle * noise, target).iou_loss.mean() < mean
        low, high = (middle, high) if is_less else (low, middle)
    return target + low * noise, target


def table(rows: Sequence[Row]) -> str:
    """Lay the rows out as text."""
    cells = [["loss", "running mean", "objective", "gradient"]]
    cells += [[row.loss, f"{row.mean:g}", f"{row.objective_factor:.2f}", f"{row.gradient_ratio:.2f}"] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)
