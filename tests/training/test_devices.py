"""A step on another device than the CPU, without one: on `meta`, where a tensor that was made elsewhere is an error."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from ultralytics.models.utils.loss import RTDETRDetectionLoss

from yolo_wiou import OBBTrainer, RTDETRTrainer, available_losses
from yolo_wiou.losses import BoxLoss
from yolo_wiou.losses.presets import load_config
from yolo_wiou.training.bbox_loss import IoUTermMixin, PluggableBboxLoss, PluggableRotatedBboxLoss
from yolo_wiou.training.cls_weighting import WeightedBCE
from yolo_wiou.training.distance_term import sample
from yolo_wiou.training.logbook import HeadLog
from yolo_wiou.training.rtdetr import PluggableDETRLoss

KINDS = [(PluggableBboxLoss, name) for name in available_losses()]
KINDS += [(PluggableRotatedBboxLoss, name) for name in available_losses() if OBBTrainer.takes(load_config(name))]


class OnTheDevice(TorchFunctionMode):
    """Refuses to make a tensor of the host's numbers on a device: the host would wait for it to take them."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        named = kwargs or {}
        if func in {torch.tensor, torch.as_tensor} and not isinstance(args[0], Tensor):
            assert named.get("device") is None, f"{func.__name__}({args[0]}, device={named['device']})"
        return func(*args, **named)


@pytest.fixture(autouse=True)
def every_anchor_is_positive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a mask on `meta` nobody knows what is true in it."""
    index = torch.zeros(4, dtype=torch.long, device="meta"), torch.arange(4, device="meta")
    monkeypatch.setattr(IoUTermMixin, "positives", lambda self, mask: index)


class Assigner(nn.Module):
    """Gives a head what the sample has for targets."""

    def forward(self, scores: Tensor, boxes: Tensor, targets: Tensor, mask: Tensor) -> tuple[Tensor | None, ...]:
        return None, targets, scores, mask, torch.zeros_like(mask, dtype=torch.long)


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_a_step_makes_nothing_on_another_device(kind: type[Any], name: str) -> None:
    config = load_config(name)
    is_rotated = kind is PluggableRotatedBboxLoss
    arguments = [x.to("meta") for x in sample(16, is_rotated)]
    distances, boxes, _, targets, scores, _, mask, *_ = arguments
    distances.requires_grad_()
    boxes.requires_grad_()
    head = kind(16, BoxLoss(config), torch.tensor([8.0])).to("meta")
    head.box_loss.keeps_mean = head.box_loss.keeps_mean or name == "ciou"  # as who records labels asks for it
    with OnTheDevice():
        terms = head(*arguments[: len(inspect.signature(kind.kind.forward).parameters) - 1])
        sum(terms).backward()
    assert all(x.is_meta for x in (*terms, boxes.grad, distances.grad))
    if config.cls_weighting.name != "none":
        assigner = Assigner()
        bce = WeightedBCE(nn.BCEWithLogitsLoss(reduction="none"), assigner, head, config.cls_weighting)
        assigner(scores, boxes.detach(), targets, mask)
        logits = torch.zeros_like(scores, requires_grad=True)
        bce(logits, scores).sum().backward()
        assert logits.grad is not None
        assert logits.grad.is_meta
    log = HeadLog(head)
    log.add(head.box_loss.running_mean.advance() if head.box_loss.keeps_mean else None)
    log._sum_up()
    assert all(x.is_meta for row in log.sample for x in row)


@pytest.mark.parametrize("name", [name for name in available_losses() if RTDETRTrainer.takes(load_config(name))])
def test_nor_does_rtdetr_s(name: str) -> None:
    criterion = RTDETRDetectionLoss(nc=2)
    head = PluggableDETRLoss(criterion, BoxLoss(load_config(name)).to("meta"))
    pred, target = (torch.rand(4, 4, device="meta") for _ in range(2))
    with OnTheDevice():
        terms = head(pred.requires_grad_(), target)
        sum(terms.values()).backward()  # type: ignore[union-attr]
    assert all(x is not None and x.is_meta for x in (*terms.values(), pred.grad))
