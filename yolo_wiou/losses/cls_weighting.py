"""Classification weightings: what an entry of the classification loss counts, one entry per box and class.

A weighting asks for what it needs by the names of its parameters: the attributes of Entries. One that asks for `logits`
returns the loss of every entry, (..., C), with its gradient; the others return what the positives' entries weigh,
(N, C), a constant for the gradient, and the negatives keep their weight of 1.

The sum over all entries is the caller's, and its normaliser Ultralytics' own: the sum of all targets, at least 1 (for
RT-DETR the number of objects). A weighting that makes entries count less makes the classification loss lighter as a
whole, which `cls=` undoes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from yolo_wiou.losses.gain import GAINS, keep_sum
from yolo_wiou.losses.registry import Registry, asks
from yolo_wiou.losses.settings import Component, FiniteFloat

OF_ALL = ("logits", "target", "positive")
"""What there is for every entry of any classification loss."""
OFFERED = (*OF_ALL, "entropy", "iou", "mean_iou", "usual_iou", "gain")
"""What a weighting may ask for: attributes of Entries."""
LEAST_IOU = 0.2
"""Slide's threshold gets no smaller, as in its authors' code."""

Gamma = Annotated[FiniteFloat, Field(ge=0, le=5)]
Margin = Annotated[FiniteFloat, Field(ge=0, le=0.5)]


def _weighs_by_a_gain(config: Any) -> Iterator[str]:
    name = config.gain.name
    if name == "none" or "loss" in asks(GAINS.functions[name]):
        yield (
            f"cls_weighting 'gain' lets the gain weigh the classification too, and gain '{name}' "
            + ("has nothing to say." if name == "none" else "needs the box loss, which comes after.")
        )


CLS_WEIGHTINGS: Registry[Component] = Registry("cls_weighting", Component, "none", offers=OFFERED)
"""The classification weightings by name."""


@dataclass
class Entries:
    """Entries of a classification loss: all of a head, or those of its positives alone.

    Attributes:
        logits: (..., C) float32, with their gradient.
        target: (..., C) float32 q in [0, 1]: the assigner's task-aligned score; RT-DETR's IoU.
        positive: (..., C) bool, the entries of an object's own class.
        entropy: (N, C) float32 binary cross entropy of the positives, a constant.
        iou: (N,) plain IoU of the positives, a constant; ProbIoU if rotated.
        usual_iou: () running mean of the IoU of all positives.
        gain: (N,) what the positives count in the box loss, a constant.
    """

    logits: Tensor
    target: Tensor
    positive: Tensor
    entropy: Tensor | None = None
    iou: Tensor | None = None
    usual_iou: Tensor | None = None
    gain: Tensor | None = None

    @property
    def mean_iou(self) -> Tensor:
        """() mean IoU of the positives."""
        assert self.iou is not None
        return self.iou.mean()


@CLS_WEIGHTINGS.register("none")
def none(positive: Tensor) -> Tensor:
    """Ultralytics' own: every entry counts 1."""
    return torch.ones_like(positive, dtype=torch.float32)


@CLS_WEIGHTINGS.register("iou-balanced")
def iou_balanced(
    entropy: Tensor, positive: Tensor, iou: Tensor, *, eta: Annotated[FiniteFloat, Field(gt=0, le=3)] = 1.5
) -> Tensor:
    """IoU-balanced classification: IoU^η, scaled so that the sum over the positives stays (arXiv:1908.05641 §3.2).

    Cut off at MAX_GAIN of gain.py; where no positive overlaps its target nothing is weighted. Ultralytics' targets grow
    with the IoU already, so this counts it twice.
    """
    return keep_sum(iou.pow(eta)[:, None], entropy * positive)


@CLS_WEIGHTINGS.register("gain", rule=_weighs_by_a_gain)
def gain(entropy: Tensor, positive: Tensor, gain: Tensor) -> Tensor:
    """A positive counts as it does in the box loss, scaled so that the sum over the positives stays.

    Its target is a score that grows with the IoU, so a loose label misleads the classification too.
    """
    return keep_sum(gain[:, None], entropy * positive)


@CLS_WEIGHTINGS.register("varifocal")
def varifocal(
    logits: Tensor,
    target: Tensor,
    positive: Tensor,
    *,
    alpha: Annotated[FiniteFloat, Field(gt=0, le=1)] = 0.75,
    gamma: Gamma = 2.0,
) -> Tensor:
    """Varifocal: positives q·BCE(p, q), negatives α·p^γ·BCE(p, 0) (arXiv:2008.13367).

    The weights are constants for the gradient, as in RT-DETR's code; in its authors' own p^γ has a gradient.
    """
    with torch.no_grad():
        weight = torch.where(positive, target, logits.sigmoid().pow_(gamma).mul_(alpha))
    return binary_cross_entropy_with_logits(logits, target, weight, reduction="none")


@CLS_WEIGHTINGS.register("quality-focal")
def quality_focal(logits: Tensor, target: Tensor, *, beta: Annotated[FiniteFloat, Field(ge=1, le=5)] = 2.0) -> Tensor:
    """Quality focal: |q − p|^β·BCE(p, q), both with their gradient (arXiv:2006.04388)."""
    focus = (logits.sigmoid() - target).abs().pow(beta)
    return focus * binary_cross_entropy_with_logits(logits, target, reduction="none")


@CLS_WEIGHTINGS.register("mal")
def mal(logits: Tensor, target: Tensor, positive: Tensor, *, gamma: Gamma = 1.5) -> Tensor:
    """Matchability-aware loss: positives BCE(p, q^γ), negatives p^γ·BCE(p, 0) (arXiv:2412.04234).

    Made for RT-DETR's one-to-one matches. Where varifocal has q·BCE(p, q) for its positives, a poor match counts too.
    """
    with torch.no_grad():
        weight = logits.sigmoid().pow_(gamma).masked_fill_(positive, 1.0)
        goal = target.pow(gamma).mul_(positive)  # that of a negative is 0, which is 1 to the power 0
    return binary_cross_entropy_with_logits(logits, goal, weight, reduction="none")


@CLS_WEIGHTINGS.register("slide")
def slide(target: Tensor, mean_iou: Tensor, *, margin: Margin = 0.1) -> Tensor:
    """Slide: positives near the mean IoU μ of the batch count most (arXiv:2208.02019).

    The weight is 1 for a target q ≤ μ − margin, e^(1−μ) up to μ, and e^(1−q) from there on.
    """
    threshold = mean_iou.clamp(min=LEAST_IOU)
    below = torch.where(target > threshold - margin, torch.exp(1 - threshold), 1.0)
    return torch.where(target < threshold, below, torch.exp(1 - target))


@CLS_WEIGHTINGS.register("ema-slide")
def ema_slide(target: Tensor, usual_iou: Tensor, *, margin: Margin = 0.1) -> Tensor:
    """EMA-Slide: slide about a running mean of the IoU, which does not jump from batch to batch.

    Users' addition to arXiv:2208.02019. The mean is the one behind Wise-IoU's gains, with its start and momentum.
    """
    return slide(target, usual_iou, margin=margin)
