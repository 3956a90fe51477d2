"""Put a loss on every head of a stock criterion, and find the criterion of a model."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import nn
from ultralytics.utils import DEFAULT_CFG_DICT, IterableSimpleNamespace
from ultralytics.utils.loss import RotatedBboxLoss, v8DetectionLoss

from yolo_wiou.errors import ConfigError
from yolo_wiou.losses import BoxLoss, LossConfig, load_config
from yolo_wiou.losses.box_loss import warn_of_slow_mean
from yolo_wiou.losses.presets import DEFAULT_LOSS
from yolo_wiou.training.bbox_loss import IoUTermMixin, PluggableBboxLoss, PluggableRotatedBboxLoss
from yolo_wiou.training.cls_weighting import WeightedBCE
from yolo_wiou.training.compatibility import broken_contract, check_contract, check_head
from yolo_wiou.training.label_ids import LabelIds
from yolo_wiou.training.rtdetr import PluggableDETRLoss, install_detr
from yolo_wiou.training.task_balance import ALWA, BalancedGains

BoxHead = IoUTermMixin | PluggableDETRLoss
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
    """Return whether every head that regresses boxes has a box loss of ours."""
    if hasattr(criterion, "_get_loss_bbox"):
        return isinstance(criterion._get_loss_bbox, PluggableDETRLoss)
    return all(isinstance(head.bbox_loss, IoUTermMixin) for _, head in find_heads(criterion))


def install(
    criterion: Any,
    config: LossConfig,
    heads: Mapping[str, BoxHead] | None = None,
    balance: ALWA | None = None,
    label_ids: LabelIds | None = None,
) -> Heads:
    """Replace the box loss on every head of a criterion, and weight its BCE or its gain where the loss asks for it.

    Args:
        criterion: any Ultralytics criterion that regresses boxes, already on its device.
        config: which loss.
        heads: the box losses of another criterion of the same model, to share: the EMA's reads the training's state.
        balance: the weight of the classification loss, if it is balanced.
        label_ids: the numbers that stand for classes in the batches of the training, if they do.

    Returns:
        The box losses now in place, by the path of their head.

    Raises:
        ContractError: the criterion is not built as we know it.
    """
    if hasattr(criterion, "_get_loss_bbox"):
        return {"": install_detr(criterion, config, heads[""] if heads else None, label_ids)}
    check_contract()
    installed: Heads = {}
    for path, head in find_heads(criterion):
        check_head(head)
        if heads:
            head.bbox_loss = heads[path]
        else:
            kind = PluggableRotatedBboxLoss if isinstance(head.bbox_loss, RotatedBboxLoss) else PluggableBboxLoss
            head.bbox_loss = kind(head.reg_max, BoxLoss(config), head.stride).to(head.device)
            if label_ids:
                label_ids.give_to(head.bbox_loss)
        head.bbox_loss.listen(head.assigner)
        if config.cls_weighting.name != "none":
            head.bce = WeightedBCE(head.bce, head.assigner, head.bbox_loss, config.cls_weighting)
        if balance:
            head.hyp = BalancedGains(head.hyp, balance)
        installed[path] = head.bbox_loss
    if not installed:
        raise broken_contract(f"regresses no boxes in {type(criterion).__name__}")
    return installed


class FocusedDetectionLoss(v8DetectionLoss):
    """Ultralytics' detection criterion with another box loss, for your own training loop.

    >>> criterion = FocusedDetectionLoss(model, "wiou3")  # doctest: +SKIP
    >>> loss, items = criterion(model(batch["img"]), batch)  # doctest: +SKIP

    Args:
        model: a de-paralleled DetectionModel whose head is not end-to-end, with `args`: a namespace as a trainer sets
            it, or a mapping as `YOLO(...).model` has it, where what is missing is Ultralytics' default.
        loss: a preset's name, a YAML file, a mapping or a LossConfig; its running mean advances by itself.
        *args: further arguments of the stock criterion.
        **kwargs: further arguments of the stock criterion.

    Raises:
        ConfigError: `loss` is wrong, or has a task balance, which decides at the end of a batch and needs a trainer; or
            the model has no `args`, or an end-to-end head (YOLOv10, YOLO26), whose criterion is two of these.
    """

    hyp: Any

    def __init__(
        self,
        model: nn.Module,
        loss: str | Path | Mapping[str, Any] | LossConfig = DEFAULT_LOSS,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Build the stock criterion and put the loss on it."""
        config = load_config(loss)
        if config.task_balance.name != "none":
            raise ConfigError("task_balance 'alwa' decides at the end of a batch, which only a trainer knows.")
        if not hasattr(model, "args"):
            raise ConfigError(
                "the model has no 'args', where its loss gains stand: model.args = ultralytics.cfg.get_cfg()"
            )
        if getattr(unwrap(model).model[-1], "one2one_cv2", None) is not None:
            raise ConfigError(
                "the model's head is end-to-end and takes a criterion of two, not FocusedDetectionLoss: "
                "criterion = model.init_criterion(), then yolo_wiou.training.criterion.install(criterion, config)."
            )
        warn_of_slow_mean(config)
        super().__init__(model, *args, **kwargs)
        if isinstance(self.hyp, Mapping):
            self.hyp = IterableSimpleNamespace(**{**DEFAULT_CFG_DICT, **self.hyp})
        install(self, config)


def criterion_of(model: nn.Module) -> Any:
    """Return a model's criterion, built if it has none yet."""
    inner = unwrap(model)
    if getattr(inner, "criterion", None) is None:
        inner.criterion = inner.init_criterion()
    return inner.criterion


def unwrap(model: nn.Module) -> Any:
    """Return the model inside DataParallel, DistributedDataParallel and torch.compile.

    >>> unwrap(nn.DataParallel(nn.Linear(2, 1)))
    Linear(in_features=2, out_features=1, bias=True)
    """
    while True:
        inner = getattr(model, "module", None) or getattr(model, "_orig_mod", None)
        if inner is None:
            return model
        model = inner
