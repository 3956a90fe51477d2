"""What this package needs of Ultralytics' box losses, tried out on a few boxes before a run relies on it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from ultralytics import __version__ as ultralytics_version
from ultralytics.utils.loss import BboxLoss, RotatedBboxLoss

from yolo_wiou.config import LossConfig, load_config
from yolo_wiou.losses import BoxLoss
from yolo_wiou.training.bbox_loss import FocusedBboxLoss, FocusedRotatedBboxLoss

_ARGUMENTS = [
    "pred_dist",
    "pred_bboxes",
    "anchor_points",
    "target_bboxes",
    "target_scores",
    "target_scores_sum",
    "fg_mask",
]
_SINCE_84 = ["imgsz", "stride"]


class ContractError(RuntimeError):
    """The installed Ultralytics is not built as this package needs it."""

    def __init__(self, broken: str) -> None:
        """Say what is broken, with which release, and what to do."""
        super().__init__(
            f"Ultralytics {ultralytics_version} {broken}, which this yolo-wiou does not know. "
            "Update yolo-wiou, or install a release that it supports: pip install 'ultralytics>=8.3.0,<8.5'."
        )


def check_contract() -> None:
    """Check that the stock box losses take what we hand to them, and answer what we expect.

    Raises:
        ContractError: they don't.
    """
    _check_box_losses(BboxLoss.forward, RotatedBboxLoss.forward)


@functools.lru_cache
def _check_box_losses(*forwards: Callable[..., Any]) -> None:
    """Compare stock losses and ours on four anchors, with DFL and with L1 distances, upright and rotated."""
    for forward in forwards:
        arguments = list(inspect.signature(forward).parameters)[1:]
        if arguments[:7] != _ARGUMENTS or arguments[7:] not in ([], _SINCE_84):
            raise ContractError(f"calls its box loss with {arguments}")
    reg_max = (16, 1) if arguments[7:] else (16,)  # heads without DFL came with the image size
    for bins in reg_max:
        for stock, focused, name in (
            (BboxLoss, FocusedBboxLoss, "ciou"),
            (RotatedBboxLoss, FocusedRotatedBboxLoss, "iou"),
        ):
            batch = _batch(bins, is_rotated=stock is RotatedBboxLoss)[: 7 + len(arguments[7:])]
            expect_equal(
                f"computes {stock.__name__} in its own way",
                lambda loss, batch: loss.forward(*(value.clone() for value in batch)),
                (stock(bins), focused(bins, BoxLoss(ours(name)), torch.tensor([8.0]))),
                batch,
            )


def ours(stock: str) -> LossConfig:
    """Ultralytics' own loss by our own formula: with a gain, though one of 1, the stock term is not kept."""
    return load_config(stock, {"gain.name": "iou-power", "gain.gamma": 0})


def expect_equal(broken: str, answer: Callable[..., Any], losses: tuple[Any, Any], *arguments: Any) -> None:
    """Compare what a stock loss and ours answer, a pair of scalars each, to rounding.

    Raises:
        ContractError: they differ, or one fails.
    """
    try:
        stock, mine = (torch.stack(tuple(answer(loss, *arguments))) for loss in losses)
        is_equal = stock.shape == (2,) and torch.allclose(stock, mine, rtol=1e-4)
    except Exception as error:
        raise ContractError(f"{broken} ({error})") from error
    if not is_equal:
        raise ContractError(f"{broken} ({stock.tolist()}, not {mine.tolist()})")


def check_head(head: Any) -> None:
    """Check that a head is made of the parts that we exchange or listen to.

    Raises:
        ContractError: it isn't.
    """
    name = type(head).__name__
    if not isinstance(head.bbox_loss, BboxLoss):
        raise ContractError(f"has a {type(head.bbox_loss).__name__} in {name}")
    if not isinstance(head.assigner, nn.Module):
        raise ContractError(f"has an assigner in {name} that is no module")
    if getattr(head.bce, "reduction", "none") != "none":
        raise ContractError(f"reduces the BCE of {name} by itself")


def _batch(bins: int, is_rotated: bool) -> tuple[Tensor, ...]:
    """A box loss's arguments, without random numbers: an image of 16 x 16 pixels, four anchors, three positive."""
    anchors = torch.tensor([[0.5, 0.5], [1.5, 0.5], [0.5, 1.5], [1.5, 1.5]])
    target = torch.tensor([[[0.1, 0.2, 0.9, 1.8]], [[0.4, 0.3, 1.9, 0.7]], [[0.2, 0.9, 1.2, 1.9]], [[0, 0, 1, 1]]])
    target = target.view(1, 4, 4)
    pred = target + torch.linspace(-0.2, 0.3, 16).view(1, 4, 4)
    if is_rotated:
        size = torch.linspace(0.5, 1.5, 8).view(1, 4, 2)
        target = torch.cat((anchors[None], size, torch.full((1, 4, 1), 0.3)), -1)
        pred = target + torch.linspace(-0.1, 0.2, 20).view(1, 4, 5)
    scores = torch.linspace(0.1, 0.8, 8).view(1, 4, 2)
    distances = torch.linspace(-1, 1, 16 * bins).view(1, 4, 4 * bins)
    mask = torch.tensor([[True, True, False, True]])
    grid = torch.tensor([16.0, 16.0]), torch.full((4, 1), 8.0)
    return distances, pred, anchors, target, scores, scores.sum(), mask, *grid
