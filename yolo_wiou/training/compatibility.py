"""What this package needs of Ultralytics' box losses, checked on a few boxes before a run relies on it."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from ultralytics import __version__ as ultralytics_version
from ultralytics.utils.loss import BboxLoss, RotatedBboxLoss

from yolo_wiou.errors import ConfigError, ContractError
from yolo_wiou.losses import BoxLoss, LossConfig, load_config
from yolo_wiou.training.bbox_loss import IoUTermMixin, PluggableBboxLoss, PluggableRotatedBboxLoss
from yolo_wiou.training.distance_term import sample

PARAMETERS = list(inspect.signature(IoUTermMixin.forward).parameters)[1:]
"""Of a box loss; the last two, the image size and the strides, came with 8.4.0."""


def broken_contract(what: str) -> ContractError:
    """Return the error that says how the installed release differs from what we need, and what to do."""
    return ContractError(
        f"Ultralytics {ultralytics_version} {what}, which this yolo-wiou does not know. "
        "Update yolo-wiou, or install a release that it supports: pip install 'ultralytics>=8.3.0,<8.5'; "
        "where its files were edited: pip install --force-reinstall --no-deps ultralytics."
    )


def check_torchvision(device: torch.device | str = "cpu") -> None:
    """Try out torchvision's NMS, without which nothing is validated; a torchvision of another PyTorch has none.

    Args:
        device: of a run, once it has one: to touch another GPU would take memory there, or decide which one is used.

    Raises:
        ConfigError: with what to do.
    """
    try:
        from torchvision.ops import nms

        nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]], device=device), torch.ones(1, device=device), 0.5)
    except torch.cuda.OutOfMemoryError:  # a RuntimeError too, of a GPU that others use
        raise
    except (AttributeError, ImportError, OSError, RuntimeError) as error:
        raise ConfigError(
            f"torchvision does not work with torch {torch.__version__} on {device}: {str(error).splitlines()[0]}. "
            "Install the two that belong together: pip install --force-reinstall torch torchvision"
        ) from error


def check_contract() -> None:
    """Check that the stock box losses take the arguments that we pass, and return what we expect.

    Raises:
        ContractError: they don't.
    """
    _check_box_losses(BboxLoss.forward, RotatedBboxLoss.forward)


@functools.lru_cache
def _check_box_losses(*forwards: Callable[..., Any]) -> None:
    """Compare stock losses and ours on four anchors, with DFL and with L1 distances, upright and rotated."""
    for forward in forwards:
        arguments = list(inspect.signature(forward).parameters)[1:]
        if arguments not in (PARAMETERS, PARAMETERS[:-2]):
            raise broken_contract(f"calls its box loss with {arguments}")
    reg_max = (16, 1) if arguments == PARAMETERS else (16,)  # heads without DFL came with the image size
    for bins in reg_max:
        for stock, pluggable, preset in (
            (BboxLoss, PluggableBboxLoss, "ciou"),
            (RotatedBboxLoss, PluggableRotatedBboxLoss, "iou"),
        ):
            batch = sample(bins, is_rotated=stock is RotatedBboxLoss)[: len(arguments)]
            expect_equal(
                f"computes {stock.__name__} in its own way",
                lambda loss, batch: loss.forward(*(value.clone() for value in batch)),
                (stock(bins), pluggable(bins, BoxLoss(stock_by_formula(preset)), torch.tensor([8.0]))),
                batch,
            )


def stock_by_formula(preset: str) -> LossConfig:
    """Return Ultralytics' own loss such that our formula computes it: with any gain the stock term is not kept.

    >>> print(stock_by_formula("ciou"))
    ciou* = iou-power(gamma=0.0) · (1 - iou + ciou)
    """
    return load_config(preset, {"gain.name": "iou-power", "gain.gamma": 0})


def expect_equal(broken: str, terms_of: Callable[..., Any], losses: tuple[Any, Any], *arguments: Any) -> None:
    """Compare the two terms of a stock loss with those of ours, up to rounding.

    Raises:
        ContractError: they differ, or one of them cannot be computed.
    """
    try:
        stock, pluggable = (torch.stack(tuple(terms_of(loss, *arguments))) for loss in losses)
        is_equal = stock.shape == (2,) and torch.allclose(stock, pluggable, rtol=1e-4)
    except Exception as error:
        raise broken_contract(f"{broken} ({error})") from error
    if not is_equal:
        raise broken_contract(f"{broken} ({stock.tolist()}, not {pluggable.tolist()})")


def check_head(head: Any) -> None:
    """Check that a head has the parts that we replace or hook into.

    Raises:
        ContractError: it isn't.
    """
    name = type(head).__name__
    if not isinstance(head.bbox_loss, BboxLoss):
        raise broken_contract(f"has a {type(head.bbox_loss).__name__} in {name}")
    if not isinstance(head.assigner, nn.Module):
        raise broken_contract(f"has an assigner in {name} that is no module")
    if getattr(head.bce, "reduction", "none") != "none":
        raise broken_contract(f"reduces the BCE of {name} by itself")
