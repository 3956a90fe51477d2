"""How heavy a gain makes the box term. The mean gain does not say it: it counts boxes, not what each of them weighs."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from yolo_wiou.losses import BoxLoss
from yolo_wiou.losses.positives import AnyPair


class Heaviness(NamedTuple):
    """What a gain does to the box term as a whole; 1 is nothing.

    Attributes:
        objective_factor: Σ w·g·L / Σ w·L, over the positives with their weights w and gains g.
        gradient_ratio: norm of the gradient of Σ w·g·L in the predicted boxes, by that of Σ w·L.
    """

    objective_factor: float
    gradient_ratio: float


class SeenStep(NamedTuple):
    """The positives of a training step, kept by reference until the epoch ends, so that the step pays nothing.

    Attributes:
        pred: (N, 4 or 5) predicted boxes, detached.
        target: (N, 4 or 5).
        context: what the head makes a pair of them with.
        weight: (N,) the assigner's; None of the stock term.
        gain: (N,); None of the stock term: 1.
        iou_loss: (N,) plain, detached; None of the stock term, which does not compute it.
    """

    pred: Tensor
    target: Tensor
    context: tuple[Tensor | None, ...] = ()
    weight: Tensor | None = None
    gain: Tensor | None = None
    iou_loss: Tensor | None = None


def measure(box_loss: BoxLoss, pair: Callable[..., AnyPair], steps: Iterable[SeenStep]) -> Heaviness:
    """Measure some steps of a head again, without their model; the host waits for the device here.

    Args:
        box_loss: of the head.
        pair: makes the geometry of predicted boxes, targets and context.
        steps: a sample; one without boxes, or with a loss that is not finite, is passed over.
    """
    if box_loss.config.gain.name == "none":
        return Heaviness(1.0, 1.0)
    ratios = [_ratios(box_loss, pair, step) for step in steps]
    known = [ratio for ratio in ratios if ratio.isfinite().all()]
    return Heaviness(*torch.stack(known).mean(0).tolist()) if known else Heaviness(1.0, 1.0)


def _ratios(box_loss: BoxLoss, pair: Callable[..., AnyPair], step: SeenStep) -> Tensor:
    """Return objective factor and gradient ratio of a step, (2,)."""
    with torch.enable_grad():
        pred = step.pred.clone().requires_grad_()
        loss = box_loss.unweighted(pair(pred, step.target, *step.context))
        (slope,) = torch.autograd.grad(loss.sum(), pred)  # a box's loss has a gradient in that box alone
    assert step.weight is not None
    assert step.gain is not None  # the stock term has none, and is not measured
    on_host = (x.detach().cpu().double() for x in (step.weight, step.gain, loss, slope))  # Apple's GPUs have no float64
    weight, gain, loss, slope = on_host
    objective = torch.dot(weight * gain, loss) / torch.dot(weight, loss)
    slope = slope.norm(dim=-1)
    return torch.stack([objective, (weight * gain * slope).norm() / (weight * slope).norm()])
