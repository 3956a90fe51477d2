"""A step on another device than the CPU, without one: on `meta`, where a tensor that was made elsewhere is an error."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from yolo_wiou import OBBTrainer, available_losses
from yolo_wiou.losses import BoxLoss
from yolo_wiou.losses.presets import load_config
from yolo_wiou.training.bbox_loss import IoUTermMixin, PluggableBboxLoss, PluggableRotatedBboxLoss
from yolo_wiou.training.cls_weighting import WeightedBCE
from yolo_wiou.training.distance_term import sample
from yolo_wiou.training.logbook import HeadLog

KINDS = [(PluggableBboxLoss, name) for name in available_losses()]
KINDS += [(PluggableRotatedBboxLoss, name) for name in available_losses() if OBBTrainer.takes(load_config(name))]


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
