"""Overlaps: how much two boxes share, 1 where they are equal. (N,) each."""

from collections.abc import Iterator
from typing import Annotated, Any

import torch
from pydantic import Field, field_validator
from torch import Tensor

from yolo_wiou.losses.boxes import BoxPair, product
from yolo_wiou.losses.registry import Registry
from yolo_wiou.losses.settings import Component, FiniteFloat

NO_INNER, NO_FOCALER = 1.0, (0.0, 1.0)
"""The settings that change nothing."""
LEAST2 = 1e-14
"""A squared distance is held above it before its root is taken."""


class Overlap(Component):
    """How much two boxes share.

    Attributes:
        inner: Inner-IoU's ratio; both boxes are scaled by it about their own centres. 1 changes nothing. Not checked
            against the paper: the published ratios, about 0.7-0.8 and 1.1-1.25.
        focaler: Focaler-IoU's interval (d, u), mapped to (0, 1). (0, 1) changes nothing.
    """

    inner: Annotated[FiniteFloat, Field(ge=0.1, le=3)] = NO_INNER
    focaler: tuple[Annotated[FiniteFloat, Field(ge=0, lt=1)], Annotated[FiniteFloat, Field(gt=0, le=1)]] = NO_FOCALER

    @field_validator("focaler", mode="before")
    @classmethod
    def _pair(cls, interval: Any) -> Any:
        if not isinstance(interval, list | tuple) or len(interval) != 2:
            raise ValueError("should be two numbers in brackets, [d,u]")
        return interval

    @field_validator("focaler")
    @classmethod
    def _ordered(cls, interval: tuple[float, float]) -> tuple[float, float]:
        if interval[0] >= interval[1]:
            raise ValueError("should be two numbers d < u")
        return interval


def _needs_a_pull(config: Any) -> Iterator[str]:
    if config.overlap.focaler[0] > 0 and config.penalty.name == "none":
        yield "boxes below 'focaler' d > 0 need a penalty to be moved at all."


Constant = Annotated[FiniteFloat, Field(ge=0.01, le=1e4)]
Tau = Annotated[FiniteFloat, Field(ge=0.1, le=10)]

OVERLAPS: Registry[Overlap] = Registry("overlap", Overlap, "iou", rule=_needs_a_pull)
"""The overlaps by name: `(pair, *, settings) -> (N,)`, 1 where the boxes are equal, with its gradient."""


def _compares_sizes(config: Any) -> Iterator[str]:
    if config.overlap.inner != NO_INNER:
        yield f"overlap '{config.overlap.name}' compares sizes, which 'inner' would scale."


def _leaves_all_to_the_penalty(config: Any) -> Iterator[str]:
    if (config.overlap.inner, config.overlap.focaler) != (NO_INNER, NO_FOCALER):
        yield "overlap 'none' has nothing that 'inner' or 'focaler' could change."
    if config.penalty.name == "none":
        yield "overlap 'none' needs a penalty, or the loss is always 0."


def _sees_no_centres(config: Any) -> Iterator[str]:
    if config.overlap.inner != NO_INNER:
        yield "overlap 'kfiou' is free of scale: 'inner' would change nothing."
    if config.penalty.name == "none":
        yield "overlap 'kfiou' sees no centres: it needs a penalty, diou for one."


@OVERLAPS.register("iou")
def iou(pair: BoxPair) -> Tensor:
    """Intersection over union."""
    return pair.iou


@OVERLAPS.register("nwd", rule=_compares_sizes)
def nwd(pair: BoxPair, *, constant: Constant = 12.8) -> Tensor:
    """Normalised Wasserstein distance of the boxes as Gaussians: exp(−W/K), K in pixels (arXiv:2110.13389).

    W² = ρ² + (Δw² + Δh²)/4. K is the data set's mean object size √(w·h) in pixels of the network's input; 12.8 is
    AI-TOD's. W is held above 1e-7 pixels, where the authors' code adds a constant: √ has no slope at 0.
    """
    pixels2 = pair.wasserstein2 * pair.stride**2
    return torch.exp(-pixels2.clamp(min=LEAST2).sqrt() / constant)


@OVERLAPS.register("iou-nwd", rule=_compares_sizes)
def iou_nwd(
    pair: BoxPair, *, kappa: Annotated[FiniteFloat, Field(ge=0, le=1)] = 0.5, constant: Constant = 12.8
) -> Tensor:
    """IoU and NWD mixed, (1 − κ)·IoU + κ·NWD: a small box that IoU has lost is still seen (arXiv:2110.13389 for NWD).

    The mix is what users make of the two, from no paper; κ is 0.3 to 0.5 in the known codes.
    """
    return torch.lerp(pair.iou, nwd(pair, constant=constant), kappa)


@OVERLAPS.register("gcd")
def gcd(pair: BoxPair) -> Tensor:
    """Gaussian combined distance: exp(−D), in units of the boxes' own sizes (arXiv:2510.27649).

    2·D² = Σ over x and y of (d² + Δs²/4)/s² + (d² + Δs²/4)/sg², with offset d of the centres and sizes s and sg: the
    Wasserstein distance of NWD, but free of scale. D is held above 1e-7, as √ has no slope at 0.
    """
    moved = torch.stack((pair.offset, (pair.size - pair.target_size) / 2))
    relative2 = (moved / pair.size).square() + (moved / pair.target_size).square()
    return torch.exp(-(relative2.sum((0, 1)) / 2).clamp(min=LEAST2).sqrt())


@OVERLAPS.register("kld")
def kld(pair: BoxPair, *, tau: Tau = 1.0) -> Tensor:
    """KLD of the boxes as Gaussians, turned or not: τ/(τ + ln(1 + D)) (arXiv:2106.01883).

    D = KL(prediction ‖ target), along the target's axes: no matrix is inverted, and nothing cancels. With τ = 1 the
    loss is the paper's 1 − 1/(τ + ln(1 + D)); with another it is scaled to be 0 where the boxes are equal.
    """
    apart = (pair.spread + 4 * pair.offset.square()) / pair.target_size.square()
    return _bounded(apart.sum(0) / 2 - 1 - pair.log_ratio.sum(0), tau)


@OVERLAPS.register("gwd")
def gwd(pair: BoxPair, *, tau: Tau = 1.0) -> Tensor:
    """GWD, the Wasserstein distance W of the boxes as Gaussians: τ/(τ + ln(1 + D)) (arXiv:2101.11952).

    D = W/(w·h·wg·hg)^¼, free of scale, as in the authors' later code, and held above 1e-7, as √ has no slope at 0.
    """
    distance2 = pair.wasserstein2 * torch.exp((pair.size * pair.target_size).log().sum(0) / -2)
    return _bounded(distance2.clamp(min=LEAST2).sqrt(), tau)


@OVERLAPS.register("kfiou", rule=_sees_no_centres)
def kfiou(pair: BoxPair) -> Tensor:
    """KFIoU, the IoU of Gaussians about one centre: 3·F/(w·h + wg·hg − F) (arXiv:2201.12558).

    F is the volume of the product of both Gaussians, the Kalman filter's: for equal boxes half of theirs, so that the
    authors' value is a third there, which the 3 undoes. The paper's centre term is the penalty's business.
    """
    volume, target_volume = product(pair.size), product(pair.target_size)
    across = (pair.spread * pair.target_size.square().flip(0)).sum(0)
    fused = volume * target_volume / (volume.square() + target_volume.square() + across).sqrt()
    return 3 * fused / (volume + target_volume - fused)


@OVERLAPS.register("none", rule=_leaves_all_to_the_penalty)
def none(pair: BoxPair) -> Tensor:
    """No overlap term, for a penalty that is a whole loss of its own."""
    return torch.ones_like(pair.size[0])


def _bounded(distance: Tensor, tau: float) -> Tensor:
    """A distance as an overlap: 1 at 0, and 0 far away."""
    return tau / (tau + distance.log1p())


def focaler(overlap: Tensor, interval: tuple[float, float]) -> Tensor:
    """Focaler-IoU: map the interval (d, u) to (0, 1), flat outside (arXiv:2401.10525).

    That it takes the place of IoU in any loss follows the known codes. Not checked against the paper: the printed
    composition.

    >>> focaler(torch.tensor([0.25, 0.5, 0.75]), (0.25, 0.75)).tolist()
    [0.0, 0.5, 1.0]
    """
    low, high = interval
    return overlap if interval == NO_FOCALER else ((overlap - low) / (high - low)).clamp(0, 1)
