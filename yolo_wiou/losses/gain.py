"""Gains: how much a box counts, a constant for the gradient. (N,) each, computed without a graph.

A gain asks for what it needs by the names of its parameters: the attributes of Positives. It judges a box by its plain
IoU, whatever the overlap is. None counts a box more than MAX_GAIN.
"""

import math
from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from yolo_wiou.losses.boxes import EPS, BoxPair
from yolo_wiou.losses.registry import Registry
from yolo_wiou.losses.settings import LEAST_MEAN, Component, FiniteFloat

MAX_GAIN = 20.0
"""The largest gain: the running mean may be tiny, and a batch may have one good box among hundreds."""

IMMATURE, MATURE = 0.5, 0.65
"""The mean IoU of the positives up to which misfit says nothing of a label, and from which on it says all it can."""

Exponent = Annotated[FiniteFloat, Field(ge=0, le=5)]
Alpha = Annotated[FiniteFloat, Field(gt=1, le=10)]
Lambda = Annotated[FiniteFloat, Field(gt=0, le=10)]
Positive = Annotated[FiniteFloat, Field(gt=0, le=MAX_GAIN)]
Strength = Annotated[FiniteFloat, Field(gt=0, le=5)]


class Gain(Component):
    """How much a box counts, a constant for the gradient.

    Attributes:
        dfl: weigh the distance term (DFL, or L1) of the same box too. No paper does; a loose box misleads both.
    """

    dfl: bool = False


OFFERED = ("pair", "loss", "weight", "mean", "expected", "misfit", "excess", "first", "labels")
"""What a gain may ask for: attributes of Positives."""
GAINS: Registry[Gain] = Registry("gain", Gain, "none", offers=OFFERED)
"""The gains by name: `(attributes of Positives, *, settings) -> (N,)`, called without a graph."""


@GAINS.register("none")
def none(loss: Tensor) -> Tensor:
    """Every box counts 1."""
    return loss.new_ones(()).expand_as(loss)


@GAINS.register("constant")
def constant(loss: Tensor, *, weight: Positive = 1.0) -> Tensor:
    """Every box counts `weight`: what `box=` does, for one loss of a study. A control for gains whose mean is not 1."""
    return loss.new_full((), weight).expand_as(loss)


@GAINS.register("iou-power")
def iou_power(pair: BoxPair, *, gamma: Exponent = 0.5) -> Tensor:
    """Focal-EIoU: IoU^γ, good boxes count more, boxes that don't touch nothing (arXiv:2101.08158).

    Not checked against the paper: γ.
    """
    gain: Tensor = pair.iou.pow(gamma)
    return gain


@GAINS.register("iou-balanced")
def iou_balanced(
    pair: BoxPair,
    loss: Tensor,
    weight: Tensor,
    first: Callable[[Tensor], Tensor],
    *,
    lam: Exponent = 1.5,
    norm: Literal["sum", "first", "none"] = "sum",
) -> Tensor:
    """IoU-balanced localisation: IoU^λ, scaled by a factor of all boxes (arXiv:1908.05641).

    `norm` says what the factor keeps. `sum`: Σ w·loss of every step, with the assigner's weights w (eq. 5). `first`:
    that of the first step, and then it is fixed (eq. 4, the paper's choice, whose anchors overlap from the start; where
    the boxes of the first step hardly overlap, as from scratch, it is large for the whole run). `none`: it is 1.
    No gain passes MAX_GAIN. A step that sets the factor and has no box that overlaps counts all boxes 1.
    """
    gain = pair.iou.pow(lam)
    if norm == "none":
        return gain
    sums = both_sums(gain, weight * loss)
    return scale(gain, *(first(torch.stack(sums)) if norm == "first" else sums))


@GAINS.register("piou2")
def piou2(pair: BoxPair, *, lam: Lambda = 1.3) -> Tensor:
    """PIoU v2: 3·λq·exp(−(λq)²) with q = exp(−P), most at medium quality (Neural Networks 170, 2024).

    The authors' code lets the gradient through, which pushes far boxes away from their target; here it is a constant.
    Not checked against the paper: which of the two it means, and its λ for each detector.
    """
    quality = lam * torch.exp(-pair.edge_distance)
    return 3 * quality * torch.exp(-quality.square())


@GAINS.register("monotonic")
def monotonic(pair: BoxPair, mean: Tensor, *, gamma: Exponent = 0.5) -> Tensor:
    """Wise-IoU v2: β^γ, hard boxes count more (arXiv:2301.10051; γ from the authors' code)."""
    return bounded(outlier_degree(pair.iou_loss, mean).pow_(gamma), LEAST_MEAN**-gamma)


@GAINS.register("nonmonotonic")
def nonmonotonic(pair: BoxPair, mean: Tensor, *, alpha: Alpha = 1.9, delta: Positive = 3.0) -> Tensor:
    """Wise-IoU v3: r = β/(δ·α^(β−δ)), largest at β = 1/ln α, 1 at β = δ, small for outliers (arXiv:2301.10051)."""
    beta, log = outlier_degree(pair.iou_loss, mean), math.log(alpha)
    gain = torch.rsub(beta, delta * log - math.log(delta), alpha=log).exp_().mul_(beta)
    return bounded(gain, alpha**delta / (math.e * delta * log))


@GAINS.register("trust")
def trust(weight: Tensor, mean: Tensor, excess: Tensor, *, k: Strength = 3.0) -> Tensor:
    """Trust: exp(−k·t·e), a label counts less the worse it has fitted, once the network has learnt to fit.

    e, the excess of a label, is the mean over its boxes of L − m_s: their IoU loss above the running mean of targets of
    their size. A loose label misfits at all its positives, a single bad anchor point does not, and small objects fit
    worse by nature. A trainer that can number the labels of its split takes the mean over the epochs before this one,
    the latest counts half; elsewhere it is the mean over the object's boxes in this step. A difference and not a ratio,
    as Wise-IoU's β is: where all boxes are exact, both are small, and hardly anything happens. Maturity t rises from 0
    at a mean IoU of 0.5 to 1 at 0.65: before, misfit means "not learnt yet". Scaled so that Σ w·g = Σ w. The formula
    is this package's own.
    """
    maturity = ((1 - mean - IMMATURE) / (MATURE - IMMATURE)).clamp(0, 1)
    gain = torch.exp(-k * maturity * excess)
    return keep_sum(gain, weight)


def outlier_degree(iou_loss: Tensor, mean: Tensor) -> Tensor:
    """Wise-IoU's β: a box's IoU loss over the running mean (arXiv:2301.10051)."""
    return iou_loss / mean


def bounded(gain: Tensor, peak: float) -> Tensor:
    """Cut a gain off at MAX_GAIN, in place, if its settings let it go up to a peak beyond."""
    return gain if peak <= MAX_GAIN else gain.clamp_max_(MAX_GAIN)


def keep_sum(gain: Tensor, values: Tensor) -> Tensor:
    """Scale gains so that Σ gain·value is Σ value, each up to MAX_GAIN; all are 1 where no value has a gain."""
    return scale(gain, *both_sums(gain, values))


def both_sums(gain: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Σ value and Σ gain·value, scalars."""
    return values.sum(), (gain * values).sum()


def scale(gain: Tensor, plain: Tensor, weighted: Tensor) -> Tensor:
    """Scale gains by the quotient of two sums, each up to MAX_GAIN; all are 1 where the second is 0."""
    return (gain * (plain / weighted)).masked_fill_(weighted <= EPS, 1.0).clamp_max_(MAX_GAIN)
