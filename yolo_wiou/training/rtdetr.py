"""RT-DETR: its GIoU term replaced, its varifocal loss on demand; L1, matching and denoising stay Ultralytics' own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from ultralytics.utils.ops import xywh2xyxy

from yolo_wiou.errors import ConfigError
from yolo_wiou.losses import BoxLoss, BoxPair, LossConfig
from yolo_wiou.losses.box_loss import to_float32
from yolo_wiou.losses.cls_weighting import CLS_WEIGHTINGS
from yolo_wiou.losses.positives import Objects
from yolo_wiou.training.cls_weighting import install_detr_classification, weighs_all
from yolo_wiou.training.compatibility import expect_equal, stock_by_formula
from yolo_wiou.training.heaviness import SeenStep
from yolo_wiou.training.label_ids import LabelIds
from yolo_wiou.training.label_recorder import LabelRecorder, class_scores

STOCK = "giou"
"""RT-DETR's own loss."""


def check_detr(config: LossConfig) -> None:
    """Refuse what needs a head with a BCE.

    Raises:
        ConfigError: says which, and why.
    """
    if not weighs_all(config.cls_weighting.name):
        fitting = ", ".join(name for name in CLS_WEIGHTINGS.functions if name != "none" and weighs_all(name))
        raise ConfigError(
            f"cls_weighting '{config.cls_weighting.name}' weighs the positives of a head's BCE, which RT-DETR has not; "
            "its own varifocal loss has the IoU for its target. Leave it out (loss.cls_weighting.name=none), or take "
            f"one of {fitting}."
        )
    if config.task_balance.name != "none":
        raise ConfigError(
            f"task_balance '{config.task_balance.name}' weighs a BCE against the box loss; RT-DETR sums its losses "
            "over all decoder layers by gains of its own. Leave it out."
        )


class PluggableDETRLoss:
    """Stands in for a criterion's `_get_loss_bbox`: the stock L1 term, and our loss in place of GIoU.

    Decoder layers, the encoder's proposals and denoising queries all get the loss, and one running mean for their
    gains, which the main layer alone moves: the stock criterion computes it first. Plain GIoU keeps the stock term.
    `copy.deepcopy` returns the same object: the EMA's criterion, which validates, shares the training's running mean.

    Not an nn.Module: RT-DETR's criterion is a part of the model, and a module in it would enter the state_dict.

    Args:
        criterion: the stock criterion, an RTDETRDetectionLoss.
        box_loss: the loss; its running mean observes wherever the boxes require a gradient.

    Attributes:
        imgsz: height and width of the network's input in pixels, which the criterion is not told; boxes are shares.
        seen: what the main layer matched in the last training step.
        label_ids: the numbers of the training split's labels; None where nobody asks for them.
        numbers: (n,) int64, those of the batch.
        recorder: what is shown every step's matches of the main layer; None where nothing is recorded.
    """

    def __init__(self, criterion: Any, box_loss: BoxLoss) -> None:
        """Keep the stock method."""
        self.stock: Callable[[Tensor, Tensor, str], dict[str, Tensor]] = criterion._get_loss_bbox
        self.gain = criterion.loss_gain["giou"]
        self.box_loss, self.is_stock = box_loss, box_loss.config.is_unmodified(STOCK)
        self.imgsz = (640, 640)
        self.seen: SeenStep | None = None
        self.label_ids: LabelIds | None = None
        self.numbers: Tensor
        self.recorder: LabelRecorder | None = None
        self.is_main = True
        self._index_of = criterion._get_index
        self._matches: tuple[tuple[Any, ...], Any]

    def remember_matches(self, matcher: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Hook of the criterion's matcher: keep what it was asked, and which target each query has been given."""
        self._matches = inputs, output

    def matched(self) -> tuple[Objects, Tensor]:
        """Return which target each match of the layer predicts, and its scores as `class_scores` returns them."""
        (_, logits, _, classes, *_), matches = self._matches
        query, target = self._index_of(matches)
        target = target.to(classes.device)
        return Objects(target, len(self.numbers)), class_scores(logits[query].detach().sigmoid(), classes[target])

    def record(self, recorder: LabelRecorder) -> None:
        """Show every training step's positives to a recorder, which reads the running mean too."""
        self.recorder, self.box_loss.keeps_mean = recorder, True

    def new_step(self, *_: Any) -> None:
        """Begin a forward of the criterion: the first call after this is the main layer's."""
        self.is_main = True

    def __call__(self, pred: Tensor, target: Tensor, postfix: str = "") -> dict[str, Tensor]:
        """Compute both box terms of a layer.

        Args:
            pred: (N, 4) matched predictions, xywh as shares of the image.
            target: (N, 4), likewise.
            postfix: of the keys; "_dn" for the denoising queries.

        Returns:
            `loss_bbox` and `loss_giou`, scalars: means over the boxes, with the stock gains.
        """
        is_main, self.is_main = self.is_main and not postfix, False
        if not len(target):
            return self.stock(pred, target, postfix)
        is_main = is_main and pred.requires_grad and torch.is_grad_enabled()
        if self.is_stock and not (is_main and self.box_loss.keeps_mean):
            if is_main:
                self.seen = SeenStep(pred.detach(), target)
            return self.stock(pred, target, postfix)
        pair = self.pair(pred.detach() if self.is_stock else pred, target)
        labels = None
        if is_main and self.label_ids:
            objects, scores = self.matched()
            labels = self.label_ids.of(self.numbers, objects)
            if self.recorder:
                self.recorder.add(objects, self.numbers, scores, pair.iou_loss)
        gain, loss = self.box_loss.gain_and_loss(pair, labels=labels)
        if is_main:
            self.box_loss.observe(pair, gain, labels)
            self.seen = SeenStep(pred.detach(), target, (), torch.ones_like(gain), gain, pair.iou_loss.detach())
        if self.box_loss.config.gain.dfl:  # L1 between boxes times a gain is the gain times their L1
            pred, target = pred * gain[:, None], target * gain[:, None]
        terms = self.stock(pred, target, postfix)
        if not self.is_stock:
            terms[f"loss_giou{postfix}"] = self.gain * (gain * loss).mean()
        return terms

    def pair(self, pred: Tensor, target: Tensor) -> BoxPair:
        """Geometry in pixels: centre distances have no meaning in shares of an image that is not square."""
        imgsz = torch.linspace(*self.imgsz, 2, device=pred.device)  # filled on the device: nothing waits for the host
        pixels = imgsz.flip(0).repeat(2)
        return BoxPair.of(xywh2xyxy(to_float32(pred)) * pixels, xywh2xyxy(target.float()) * pixels, imgsz=imgsz)

    def __deepcopy__(self, memo: dict[int, Any]) -> PluggableDETRLoss:
        """Return the same object, as the class says."""
        return self


def install_detr(
    criterion: Any, config: LossConfig, shared: PluggableDETRLoss | None = None, label_ids: LabelIds | None = None
) -> PluggableDETRLoss:
    """Put a box loss on RT-DETR's criterion, in place; `shared` is that of another criterion of the same model.

    Raises:
        ContractError: the criterion is not built as we know it.
    """
    if not shared:
        check_detr_contract(criterion)
        shared = PluggableDETRLoss(criterion, BoxLoss(config))
        if label_ids:
            label_ids.give_to(shared)
    criterion._get_loss_bbox = shared
    if shared.label_ids:
        criterion.matcher.register_forward_hook(shared.remember_matches)
    criterion.register_forward_pre_hook(shared.new_step)
    if config.cls_weighting.name != "none":
        install_detr_classification(criterion, config.cls_weighting)
    return shared


def check_detr_contract(criterion: Any) -> None:
    """Check on three pairs of boxes that the stock box terms are L1 and GIoU.

    Raises:
        ContractError: they aren't.
    """
    target = torch.linspace(0.2, 0.7, 12).view(3, 4)
    pred = target + torch.linspace(-0.1, 0.15, 12).view(3, 4)

    def terms_of(build: Callable[[], Any]) -> tuple[Tensor, Tensor]:
        terms = build()(pred, target, "")
        return terms["loss_bbox"], terms["loss_giou"]

    def stock() -> Any:
        return criterion._get_loss_bbox

    def pluggable() -> PluggableDETRLoss:
        return PluggableDETRLoss(criterion, BoxLoss(stock_by_formula(STOCK)))

    expect_equal("computes RT-DETR's box loss in its own way", terms_of, (stock, pluggable))
