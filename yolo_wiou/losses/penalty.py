"""Penalties: what IoU does not see, 0 where the boxes are equal.

Each returns the terms of a sum, (N,) each, so that α-IoU can raise every one of them to its power. Nothing is detached
but what the docstring names. One that scales the overlap's loss asks for it by the name of its second parameter.
"""

import math
from collections.abc import Iterator
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from yolo_wiou.losses.boxes import EPS, BoxPair, norm2, product
from yolo_wiou.losses.registry import Registry
from yolo_wiou.losses.settings import Component, FiniteFloat

Terms = tuple[Tensor, ...]
Theta = Annotated[FiniteFloat, Field(ge=1, le=10)]
Kappa = Annotated[FiniteFloat, Field(gt=0, lt=1)]

PENALTIES: Registry[Component] = Registry("penalty", Component, "none")
"""The penalties by name: `(pair, *, settings) -> terms`, (N,) each, 0 where boxes are equal, with their gradient.

`(pair, overlap_loss, *, settings)` for one that scales 1 − overlap, (N,), whatever the overlap and its modifiers are.
"""


def _multiplies_the_iou_loss(config: Any) -> Iterator[str]:
    if config.overlap.name != "iou":
        yield "penalty 'wiou' multiplies the IoU loss: it needs overlap 'iou'."
    if config.power != 1:
        yield "penalty 'wiou' multiplies the IoU loss, which has no power here: leave 'power' at 1."


def _scales_the_overlap(config: Any) -> Iterator[str]:
    if config.power != 1:
        yield "penalty 'sdiou' takes from the overlap's loss, which has no power here: leave 'power' at 1."


def _replaces_the_overlap(config: Any) -> Iterator[str]:
    if config.overlap.name != "none":
        yield "penalty 'focal-l1' replaces the overlap: set it 'none'."


def _has_ordered_bounds(config: Any) -> Iterator[str]:
    if config.penalty.low > config.penalty.high:
        yield "penalty 'd-interp' needs 'low' below 'high', or equal to it."


@PENALTIES.register("none")
def none(pair: BoxPair) -> Terms:
    """No penalty: the plain overlap loss."""
    return ()


@PENALTIES.register("giou")
def giou(pair: BoxPair) -> Terms:
    """GIoU: the empty share of the enclosing box, (C − U)/C (arXiv:1902.09630, alg. 2)."""
    enclosing = product(pair.enclosing)
    return ((enclosing - pair.union) / enclosing,)


@PENALTIES.register("diou")
def diou(pair: BoxPair) -> Terms:
    """DIoU: squared centre distance over the enclosing box's squared diagonal, ρ²/c² (arXiv:1911.08287)."""
    return (pair.distance2 / pair.diagonal2,)


@PENALTIES.register("ciou")
def ciou(pair: BoxPair) -> Terms:
    """CIoU: DIoU's term and a·v (arXiv:1911.08287; arXiv:2005.03572).

    v is the squared difference of the aspect angles, scaled to [0, 1); its trade-off a = v/(1 − IoU + v) is detached.
    """
    v = torch.square(_aspect(pair.target_size) - _aspect(pair.size)) * (4 / math.pi**2)
    a = v.detach() / (pair.iou_loss.detach() + v.detach() + EPS)
    return (*diou(pair), a * v)


@PENALTIES.register("sdiou", rule=_scales_the_overlap)
def sdiou(
    pair: BoxPair,
    overlap_loss: Tensor,
    *,
    delta: Annotated[FiniteFloat, Field(ge=0, le=1)] = 0.5,
    area: Annotated[FiniteFloat, Field(gt=0, le=1e6)] = 81.0,
) -> Terms:
    """SDIoU: s·(1 − overlap + a·v) + (2 − s)·ρ²/c², s = 1 − δ + δ·min(A/area, 1) (scale-based dynamic loss, AAAI 2025).

    A is the target's area in pixels of the network's input, `area` where a target stops being small: from there on this
    is CIoU; below it the centres count more, and the overlap and the aspect less. The authors' code takes A in another
    unit, in which 81 is no area in pixels.
    """
    share = 1 - delta + delta * (pair.target_side.square() / area).clamp(max=1)
    distance, aspect = ciou(pair)
    return (share - 1) * overlap_loss, (2 - share) * distance, share * aspect


@PENALTIES.register("eiou")
def eiou(pair: BoxPair) -> Terms:
    """EIoU: DIoU's term, Δw²/cw² and Δh²/ch², size differences over the enclosing box (arXiv:2101.08158)."""
    width, height = ((pair.size - pair.target_size) / pair.enclosing).square()
    return (*diou(pair), width, height)


@PENALTIES.register("siou")
def siou(pair: BoxPair, *, theta: Theta = 4.0) -> Terms:
    """SIoU: half of distance cost Δ and half of shape cost Ω (arXiv:2205.12740).

    Δ = Σ 1 − exp(−(2 − Λ)·(d/c)²) over x and y, with the angle cost in closed form, Λ = sin 2α = 2|dx·dy|/ρ².
    Not checked against the paper: the range of θ.
    """
    aligned = 2 * product(pair.offset).abs() / (pair.distance2 + EPS)
    distance = (pair.offset / pair.enclosing).square() * (aligned - 2)
    return 1 - torch.exp(distance).mean(0), _shape_cost(pair, theta) / 2


@PENALTIES.register("shape")
def shape(pair: BoxPair, *, scale: Annotated[FiniteFloat, Field(ge=0, le=10)] = 0.0, theta: Theta = 4.0) -> Terms:
    """Shape-IoU: distance and shape cost, weighted by the target's own shape (arXiv:2312.17663).

    The weight of x is hh = 2·hg^s/(wg^s + hg^s), that of y is ww = 2 − hh: a flat target is held more firmly along its
    short side. s = `scale` follows the data set's object sizes; the authors' code has 0. Not checked against the paper:
    how to choose it.
    """
    width, height = pair.target_size.log()
    across = 2 * torch.sigmoid(scale * (height - width))
    weight = torch.stack((across, 2 - across))
    distance = (pair.offset.square() * weight).sum(0) / pair.diagonal2
    return distance, _shape_cost(pair, theta, weight) / 2


@PENALTIES.register("mpdiou")
def mpdiou(pair: BoxPair) -> Terms:
    """MPDIoU: squared distances of both corners over the image's squared diagonal, in box units (arXiv:2307.07662).

    Not checked against the paper: that the normaliser is the network's input; the known codes agree.

    Raises:
        ValueError: the image size is not known.
    """
    if pair.imgsz is None:
        raise ValueError("MPDIoU is normalised by the image: pass imgsz=(height, width), and stride= for stride units")
    pixels2: Tensor | float
    if isinstance(pair.imgsz, Tensor):  # a head's may be in half precision, which ends below 640²
        pixels2 = pair.imgsz.to(pair.size).square().sum()
    else:  # numbers stay on the host, which would wait while a device takes them
        pixels2 = sum(side**2 for side in pair.imgsz)
    diagonal2 = pixels2 / pair.stride**2
    lt, rb = pair.inside
    return norm2(lt) / diagonal2, norm2(rb) / diagonal2


@PENALTIES.register("piou")
def piou(pair: BoxPair) -> Terms:
    """PIoU: 1 − exp(−P²), P the mean edge distance over the target's size (Powerful-IoU, Neural Networks 170, 2024)."""
    return (-torch.expm1(-pair.edge_distance.square()),)


@PENALTIES.register("interp")
def interp(pair: BoxPair, *, kappa: Kappa = 0.98) -> Terms:
    """InterpIoU: 1 − IoU of the target and a box moved to it by the share κ (arXiv:2507.12420).

    Not checked against the paper: κ.
    """
    return (pair.interpolated(kappa).iou_loss,)


@PENALTIES.register("d-interp", rule=_has_ordered_bounds)
def d_interp(pair: BoxPair, *, low: Kappa = 0.6, high: Kappa = 0.99) -> Terms:
    """D-InterpIoU: κ = 1 − IoU between two bounds, detached (arXiv:2507.12420).

    Not checked against the paper: the bounds.
    """
    return (pair.interpolated(pair.iou_loss.detach().clamp(low, high)).iou_loss,)


@PENALTIES.register("focal-l1", rule=_replaces_the_overlap)
def focal_l1(pair: BoxPair, *, beta: Annotated[FiniteFloat, Field(ge=1 / math.e, le=1)] = 0.8) -> Terms:
    """Focal-L1: f(x) summed over |Δx|/wg, |Δy|/hg, |log(w/wg)|, |log(h/hg)| (arXiv:2101.08158).

    f'(x) = −α·x·ln(βx) up to 1, and constant beyond; α = e·β makes the largest slope 1. A whole loss of its own;
    heads without anchors have no offset of order 1 but these. Not checked against the paper: all but the algebra.
    """
    x = torch.cat((pair.offset / pair.target_size, pair.log_ratio)).abs()
    alpha, tail = math.e * beta, math.log(beta)
    curved = x.clamp(EPS, 1)
    area = curved.square() * torch.rsub(curved.log(), alpha * (1 - 2 * tail) / 4, alpha=alpha / 2)
    return tuple(torch.add(area, x - curved, alpha=-alpha * tail))


@PENALTIES.register("wiou", rule=_multiplies_the_iou_loss)
def wiou(pair: BoxPair) -> Terms:
    """Wise-IoU's distance attention R = exp(ρ²/c²), as what R·(1 − IoU) adds to 1 − IoU (arXiv:2301.10051).

    c² is detached, so that no box grows to be forgiven; ρ² is not: it is the pull on boxes that don't touch.
    """
    return ((pair.distance2 / pair.diagonal2.detach()).expm1_() * pair.iou_loss,)


def _aspect(size: Tensor) -> Tensor:
    """Angle of the diagonal, (2, N) -> (N,)."""
    return torch.atan2(*size.unbind())


def _shape_cost(pair: BoxPair, theta: float, weight: Tensor | None = None) -> Tensor:
    """Ω = Σ (1 − exp(−ω))^θ over width and height: SIoU and Shape-IoU.

    The relative difference ω = |w − wg|/max(w, wg) is 1 − exp(−|ln(w/wg)|).
    """
    negative = torch.expm1(-pair.log_ratio.abs())
    return (-torch.expm1(negative if weight is None else negative * weight)).pow(theta).sum(0)
