"""Is the loss active? A real head's IoU term with stock Ultralytics, with the loss on it, and by the loss's formula."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils import DEFAULT_CFG

from yolo_wiou.config import LossConfig
from yolo_wiou.losses import BoxLoss
from yolo_wiou.training.bbox_loss import infer_grid
from yolo_wiou.training.criterion import install

MEAN = 0.4
"""Running mean that all are judged by: at its start of 1, Wise-IoU v3 weighs hardly at all."""
SIZE = 96


class Answer(NamedTuple):
    """The IoU term of one batch, three times."""

    stock: float
    installed: float
    formula: float

    def is_right(self, config: LossConfig) -> bool:
        """Whether what is installed is the formula; and stock's to the last bit, where the loss is stock's."""
        is_formula = abs(self.installed - self.formula) <= 1e-4 * abs(self.formula)
        return is_formula and (self.installed == self.stock or not config.is_stock)


def self_test(config: LossConfig) -> Answer:
    """Build a small model, give it a batch, and compare; about a second on a CPU, without any file."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: Any = DetectionModel("yolo11n.yaml", verbose=False)
        model.args = DEFAULT_CFG
        image = torch.rand(2, 3, SIZE, SIZE)
        centre, size = torch.rand(6, 2) * 0.4 + 0.3, torch.rand(6, 2) * 0.4 + 0.1
    boxes = torch.cat((centre, size), 1)
    batch = {"img": image, "bboxes": boxes, "cls": torch.zeros(6, 1), "batch_idx": torch.arange(6) // 3}
    preds = model(image)

    stock, _ = iou_term(model, preds, batch, None)
    installed, call = iou_term(model, preds, batch, config)
    return Answer(stock, installed, by_formula(config, model.stride, *call[1:7]))


def iou_term(model: Any, preds: Any, batch: dict[str, Tensor], config: LossConfig | None) -> tuple[float, Any]:
    """The IoU term of a fresh criterion, with a loss on it or as it is, and what its box loss was called with."""
    criterion = model.init_criterion()
    if config:
        for head in install(criterion, config).values():
            head.box_loss.self_advancing = False
            head.box_loss.running_mean.mean.fill_(MEAN)
    seen: list[Any] = []
    criterion.bbox_loss.register_forward_hook(lambda module, call, answer: seen.append((answer[0].item(), call)))
    criterion(preds, batch)
    term, call = seen[-1]
    return term, call


def by_formula(
    config: LossConfig,
    strides: Tensor,
    pred: Tensor,
    anchors: Tensor,
    target: Tensor,
    scores: Tensor,
    total: Tensor | float,
    mask: Tensor,
) -> float:
    """The IoU term from what a box loss is called with, by the loss itself: Σ weight·loss / total."""
    loss = BoxLoss(config)
    loss.running_mean.mean.fill_(MEAN)
    stride, imgsz = infer_grid(anchors, strides)
    value = loss(pred[mask].detach(), target[mask], stride=stride.expand(mask.shape)[mask], imgsz=imgsz)
    return float((value * scores.sum(-1)[mask]).sum() / total)
