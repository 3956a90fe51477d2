"""Put a loss on every head of a stock criterion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import nn
from ultralytics.utils.loss import RotatedBboxLoss, v8DetectionLoss

from yolo_wiou.config import DEFAULT_LOSS, LossConfig, load_config
from yolo_wiou.losses import BoxLoss
from yolo_wiou.registry import ConfigError
from yolo_wiou.training.bbox_loss import Focused, FocusedBboxLoss, FocusedRotatedBboxLoss
from yolo_wiou.training.cls_weighting import IoUBalancedBCE
from yolo_wiou.training.contract import ContractError, check_contract, check_head
from yolo_wiou.training.rtdetr import FocusedDETRLoss, install_detr
from yolo_wiou.training.task_balance import ALWA, BalancedBCE

BoxHead = Focused | FocusedDETRLoss
Heads = dict[str, BoxHead]
"""The box losses of a criterion by the path of their head: "" for one head, "one2many" and "one2one" for two."""


def find_heads(criterion: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and criterion of every head that regresses boxes: what has an assigner, a BCE and a box loss."""
    if all(hasattr(criterion, part) for part in ("assigner", "bce", "bbox_loss")):
        yield path, criterion
        return
    for name, part in vars(criterion).items() if hasattr(criterion, "__dict__") else ():
        if hasattr(part, "bbox_loss") or type(part).__module__ == v8DetectionLoss.__module__:
            yield from find_heads(part, f"{path}.{name}".lstrip("."))


def is_installed(criterion: Any) -> bool:
    """Whether every head that regresses boxes has a box loss of ours."""
    if hasattr(criterion, "_get_loss_bbox"):
        return isinstance(criterion._get_loss_bbox, FocusedDETRLoss)
    return all(isinstance(head.bbox_loss, Focused) for _, head in find_heads(criterion))


def install(
    criterion: Any,
    config: LossConfig,
    heads: Mapping[str, BoxHead] | None = None,
    balance: ALWA | None = None,
) -> Heads:
    """Replace the box loss on every head of a criterion, and weigh its BCE where that is asked for, in place.

    Args:
        criterion: any Ultralytics criterion that regresses boxes, already on its device.
        config: which loss.
        heads: box losses of another criterion of the same model to share with; the EMA's reads the training's state.
        balance: who weighs the classification loss, if anybody.

    Returns:
        The box losses now in place, by head.

    Raises:
        ContractError: the criterion is not built as we know it.
    """
    if hasattr(criterion, "_get_loss_bbox"):
        return {"": install_detr(criterion, config, heads[""] if heads else None)}
    check_contract()
    installed: Heads = {}
    for path, head in find_heads(criterion):
        check_head(head)
        if heads:
            head.bbox_loss = heads[path]
        else:
            kind = FocusedRotatedBboxLoss if isinstance(head.bbox_loss, RotatedBboxLoss) else FocusedBboxLoss
            head.bbox_loss = kind(head.reg_max, BoxLoss(config), head.stride).to(head.device)
        if config.cls_weighting.name != "none":
            head.bce = IoUBalancedBCE(head.bce, head.assigner, head.bbox_loss, config.cls_weighting.eta)
        if balance:
            head.bce = BalancedBCE(head.bce, balance)
        installed[path] = head.bbox_loss
    if not installed:
        raise ContractError(f"regresses no boxes in {type(criterion).__name__}")
    return installed


class FocusedDetectionLoss(v8DetectionLoss):
    """Ultralytics' detection criterion with another box loss, for own training loops.

    Args:
        model: a de-paralleled DetectionModel with `args`.
        *args: what else the stock criterion takes.
        loss: a preset's name, a YAML file, a mapping or a LossConfig; its running mean advances by itself.
        **kwargs: likewise.

    Raises:
        ConfigError: `loss` is wrong, or has a task balance, which decides at the end of a batch and needs a trainer.
    """

    def __init__(
        self,
        model: nn.Module,
        *args: Any,
        loss: str | Path | Mapping[str, Any] | LossConfig = DEFAULT_LOSS,
        **kwargs: Any,
    ) -> None:
        """Build the stock criterion and put the loss on it."""
        config = load_config(loss)
        if config.task_balance.name != "none":
            raise ConfigError("task_balance 'alwa' decides at the end of a batch, which only a trainer knows.")
        super().__init__(model, *args, **kwargs)
        install(self, config)
