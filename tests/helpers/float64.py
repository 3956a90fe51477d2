"""A BoxLoss in float64, and what its oracle says of the same boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from helpers.oracles import Oracle
from helpers.pairs import Pair
from yolo_wiou.losses import BoxLoss, BoxPair, load_loss


def tensors(pairs: Sequence[Pair], dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Predictions and targets, (N, 4) each."""
    pred, target = torch.tensor(pairs, dtype=dtype).unbind(1)
    return pred, target


def in_float64(
    loss: BoxLoss, pairs: Sequence[Pair], stride: float = 1.0, imgsz: tuple[float, float] = (640.0, 640.0)
) -> tuple[Tensor, Tensor]:
    """Losses, (N,), and gradients, (N, 4), by the functions that `forward` calls, without its cast to float32."""
    pred, target = tensors(pairs)
    pair = BoxPair.of(pred.requires_grad_(), target, stride, imgsz)
    gain, unweighted = loss.gain_and_loss(pair)
    value = gain * unweighted
    (gradient,) = torch.autograd.grad(value.sum(), pred)
    return value.detach(), gradient


def value_of(loss: str, pair: Pair, mean: float = 1.0, **settings: float) -> float:
    """The package's loss of one pair of boxes in pixels, in an image of 640 x 640."""
    box_loss = load_loss(loss, **settings)
    box_loss.running_mean.mean.fill_(mean)
    return in_float64(box_loss, [pair])[0].item()


def by_oracle(oracle: Oracle, pairs: Sequence[Pair], gradient: bool = False, **context: Any) -> Tensor:
    """The oracle's losses of a batch, (N,), or their gradients, (N, 4)."""
    if oracle.sections["gain"].get("name") in {"iou-balanced", "trust"}:
        context = {"factor": oracle.factor(pairs, **context), **context}
    compute = oracle.gradient if gradient else oracle
    return torch.tensor([compute(b, g, **context) for b, g in pairs], dtype=torch.float64)
