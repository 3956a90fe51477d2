"""The distance term (DFL, or L1) of Ultralytics' box losses, by their own code, without their IoU term."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor
from ultralytics.utils.loss import BboxLoss, RotatedBboxLoss

Forward: TypeAlias = Callable[..., tuple[Tensor, Tensor]]
"""`forward` of a stock box loss: the IoU term and the distance term."""
SIMILARITIES = ("bbox_iou", "probiou")
"""What the stock code computes its IoU term with."""


@functools.lru_cache
def without_iou_term(forward: Forward, kind: type[BboxLoss], reg_max: int) -> Forward:
    """Return a stock forward whose IoU term is 0 and costs next to nothing.

    It is the same code, for which `bbox_iou` and `probiou` say that all boxes are equal; the module that it stands in
    keeps its own. So the distance term is that of whatever release is installed. It is tried on a few boxes: where the
    term or its gradient differs by a bit, or anything fails, the forward itself is returned.

    Args:
        forward: of `kind`.
        kind: the stock class.
        reg_max: the head's number of DFL bins.
    """
    try:
        lean = _with_names(forward, **dict.fromkeys(SIMILARITIES, lambda *_, **__: 1.0))
        is_same = all(map(torch.equal, _distance(forward, kind, reg_max), _distance(lean, kind, reg_max)))
    except Exception:  # whatever a release, or somebody's patch, does otherwise
        return forward
    return lean if is_same else forward


def _with_names(function: Any, **names: Any) -> Forward:
    """Return a function of the same code that finds other objects under some names of its module."""
    return types.FunctionType(
        function.__code__, {**function.__globals__, **names}, None, function.__defaults__, function.__closure__
    )


def _distance(forward: Forward, kind: type[BboxLoss], reg_max: int) -> tuple[Tensor, Tensor]:
    """Return the distance term of the sample, and its gradient in the raw distances."""
    with torch.inference_mode(False), torch.enable_grad():
        distances, *others = sample(reg_max, kind is RotatedBboxLoss)[: forward.__code__.co_argcount - 1]
        term = forward(kind(reg_max), distances.requires_grad_(), *others)[1]
        return term, torch.autograd.grad(term, distances)[0]


def sample(reg_max: int, is_rotated: bool) -> tuple[Tensor, ...]:
    """Return a box loss's arguments, without random numbers: 16 x 16 pixels, four anchors, three of them positive."""
    anchors = torch.tensor([[0.5, 0.5], [1.5, 0.5], [0.5, 1.5], [1.5, 1.5]])
    target = torch.tensor([[[0.1, 0.2, 0.9, 1.8]], [[0.4, 0.3, 1.9, 0.7]], [[0.2, 0.9, 1.2, 1.9]], [[0, 0, 1, 1]]])
    target = target.view(1, 4, 4)
    pred = target + torch.linspace(-0.2, 0.3, 16).view(1, 4, 4)
    if is_rotated:
        size = torch.linspace(0.5, 1.5, 8).view(1, 4, 2)
        target = torch.cat((anchors[None], size, torch.full((1, 4, 1), 0.3)), -1)
        pred = target + torch.linspace(-0.1, 0.2, 20).view(1, 4, 5)
    scores = torch.linspace(0.1, 0.8, 8).view(1, 4, 2)
    distances = torch.linspace(-1, 1, 16 * reg_max).view(1, 4, 4 * reg_max)
    mask = torch.tensor([[True, True, False, True]])
    grid = torch.tensor([16.0, 16.0]), torch.full((4, 1), 8.0)
    return distances, pred, anchors, target, scores, scores.sum(), mask, *grid
