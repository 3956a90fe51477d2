"""Is the loss active? A head's IoU term with stock Ultralytics, with the loss on it, and by the loss's formula."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils import DEFAULT_CFG

from yolo_wiou.losses import BoxLoss, LossConfig
from yolo_wiou.training.bbox_loss import infer_grid
from yolo_wiou.training.criterion import install

MEAN = 0.4
"""The running mean for all three; at its start value of 1 Wise-IoU v3 would change little."""
SIZE = 96


class SelfTestResult(NamedTuple):
    """The IoU term of one batch, three times.

    Attributes:
        stock: by stock Ultralytics.
        installed: by the criterion with the loss on it.
        formula: by the loss itself.
    """

    stock: float
    installed: float
    formula: float

    def is_right(self, config: LossConfig) -> bool:
        """Return whether the installed term is the formula's, and stock's to the last bit where the loss is stock's."""
        is_formula = abs(self.installed - self.formula) <= 1e-4 * abs(self.formula)
        return is_formula and (self.installed == self.stock or not config.is_stock)


def self_test(config: LossConfig) -> SelfTestResult:
    """Build a small model, run a batch through it, and compare; takes about a second on a CPU, and no files."""
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
    installed, arguments = iou_term(model, preds, batch, config)
    return SelfTestResult(stock, installed, by_formula(config, model.stride, arguments))


def iou_term(model: Any, preds: Any, batch: dict[str, Tensor], config: LossConfig | None) -> tuple[float, Any]:
    """Return the IoU term of a new criterion, stock or with a loss on it, and the arguments of its box loss."""
    criterion = model.init_criterion()
    if config:
        for head in install(criterion, config).values():
            head.box_loss.self_advancing = False
            head.box_loss.running_mean.mean.fill_(MEAN)
    calls: list[Any] = []
    criterion.bbox_loss.register_forward_hook(lambda _, arguments, terms: calls.append((terms[0].item(), arguments)))
    criterion(preds, batch)
    term, arguments = calls[-1]
    return term, arguments


def by_formula(config: LossConfig, strides: Tensor, arguments: Any) -> float:
    """Return the IoU term from the arguments of a box loss, by the loss itself: Σ weight·loss / total."""
    _, pred, anchors, target, scores, total, mask, *_ = arguments
    loss = BoxLoss(config)
    loss.running_mean.mean.fill_(MEAN)
    stride, imgsz = infer_grid(anchors, strides)
    value = loss(pred[mask].detach(), target[mask], stride=stride.expand(mask.shape)[mask], imgsz=imgsz)
    return float((value * scores.sum(-1)[mask]).sum() / total)
