"""The distance term is the stock code's to the bit, whatever its IoU term is; where it is not, the stock code stays."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from helpers.cost import Count
from torch import Tensor
from ultralytics.utils import loss as stock
from ultralytics.utils.loss import BboxLoss, RotatedBboxLoss
from ultralytics.utils.metrics import bbox_iou

from yolo_wiou.training.distance_term import sample, without_iou_term

HAS_L1 = "imgsz" in inspect.signature(BboxLoss.forward).parameters  # heads without DFL came with 8.4.0
KINDS = [(kind, bins) for kind in (BboxLoss, RotatedBboxLoss) for bins in (16, 1)[: 1 + HAS_L1]]


def terms(forward: Callable[..., Any], kind: type[Any], bins: int) -> tuple[Tensor, Tensor, Tensor, int]:
    """Both terms of the sample, the gradient in the raw distances, and the number of operators."""
    arguments = sample(bins, kind is RotatedBboxLoss)[: len(inspect.signature(kind.forward).parameters) - 1]
    arguments[0].requires_grad_()
    with Count() as counted:
        iou, distance = forward(kind(bins), *arguments)
    return iou, distance, torch.autograd.grad(distance, arguments[0])[0], counted.total


@pytest.mark.parametrize(("kind", "bins"), KINDS)
def test_the_distance_term_is_stock_to_the_bit_without_the_work_of_the_iou_term(kind: type[Any], bins: int) -> None:
    functions = stock.bbox_iou, stock.probiou
    _, distance, slope, operators = terms(kind.forward, kind, bins)
    lean = without_iou_term(kind.forward, kind, bins)  # type: ignore[arg-type]
    iou, lean_distance, lean_slope, lean_operators = terms(lean, kind, bins)
    assert torch.equal(lean_distance, distance)
    assert torch.equal(lean_slope, slope)
    assert iou == 0
    assert lean_operators <= operators - 30
    assert (stock.bbox_iou, stock.probiou) == functions


def test_it_is_found_in_inference_mode_too() -> None:
    """A criterion may be built in the middle of a validation."""
    without_iou_term.cache_clear()
    with torch.inference_mode():
        assert without_iou_term(BboxLoss.forward, BboxLoss, 16) is not BboxLoss.forward


def with_the_iou_in_both(
    self: Any,
    pred_dist: Tensor,
    pred: Tensor,
    anchors: Tensor,
    target: Tensor,
    scores: Tensor,
    scores_sum: Tensor,
    mask: Tensor,
    imgsz: Tensor | None = None,
    stride: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    iou = bbox_iou(pred[mask], target[mask], xywh=False)
    return (1 - iou).sum(), (pred_dist[mask] * iou).sum()


def with_a_tensor_of_it(
    self: Any,
    pred_dist: Tensor,
    pred: Tensor,
    anchors: Tensor,
    target: Tensor,
    scores: Tensor,
    scores_sum: Tensor,
    mask: Tensor,
    imgsz: Tensor | None = None,
    stride: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    return bbox_iou(pred[mask], target[mask], xywh=False).squeeze(-1).sum(), pred_dist.sum()


@pytest.mark.parametrize("forward", [with_the_iou_in_both, with_a_tensor_of_it, partial(BboxLoss.forward)])
def test_a_forward_that_would_change_or_that_is_built_otherwise_is_left_as_it_is(forward: Callable[..., Any]) -> None:
    assert without_iou_term(forward, BboxLoss, 16) is forward
