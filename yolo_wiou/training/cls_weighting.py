"""A classification weighting in place of a head's BCE, and of RT-DETR's varifocal loss."""

from typing import Any

import torch
from torch import Tensor, nn
from ultralytics.utils.loss import VarifocalLoss

from yolo_wiou.losses.cls_weighting import CLS_WEIGHTINGS, OF_ALL, Entries
from yolo_wiou.losses.positives import AnyPair
from yolo_wiou.losses.registry import asks
from yolo_wiou.losses.settings import Component
from yolo_wiou.training.bbox_loss import IoUTermMixin
from yolo_wiou.training.compatibility import broken_contract


def weighs_all(weighting: str) -> bool:
    """Whether a weighting needs nothing but what there is for every entry."""
    return set(asks(CLS_WEIGHTINGS.functions[weighting])) <= set(OF_ALL)


class WeightedBCE(nn.Module):
    """The head's BCE with its entries weighted; without reduction, as the stock criterion takes it.

    The IoU is that of the predicted boxes and their assigned targets in pixels, taken from the assigner's call just
    before. A call without one is the stock BCE's.

    Args:
        bce: the head's own loss, without reduction.
        assigner: the head's task-aligned assigner.
        box_loss: the head's box loss, which computes the overlap of its boxes, finds the positives and has the mean.
        weighting: the section of the loss.
    """

    def __init__(self, bce: nn.Module, assigner: nn.Module, box_loss: IoUTermMixin, weighting: Component) -> None:
        """Listen to the assigner."""
        super().__init__()
        self.bce, self.box_loss = bce, box_loss
        self.weighting = CLS_WEIGHTINGS.bind(weighting)
        self.asked = asks(CLS_WEIGHTINGS.functions[weighting.name])
        self.reduction = "none"
        self._assigned: tuple[Tensor, Tensor, Tensor] | None = None
        assigner.register_forward_hook(self._remember)

    def _remember(self, assigner: nn.Module, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
        self._assigned = inputs[1], output[1], output[3]

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Return the weighted loss of every entry, (B, A, classes), as the stock BCE does."""
        if self._assigned is None:
            return self.bce(pred, target)  # type: ignore[no-any-return]
        (boxes, targets, mask), self._assigned = self._assigned, None
        if "logits" in self.asked:
            return self._weigh(Entries(pred.float(), target.float(), target > 0))
        index = self.box_loss.positives(mask)
        logits = pred.view_as(pred)  # nobody else's, so that its gradient is this loss's alone
        loss: Tensor = self.bce(logits, target)
        is_fresh = type(self.bce) is nn.BCEWithLogitsLoss  # nobody else has its result yet, nor its gradient
        if not is_fresh:
            loss = loss.clone()
        with torch.no_grad():
            entropy, of_positives = loss[index], target[index].float()
            entries = Entries(pred, of_positives, of_positives > 0, entropy.float())

            def pair() -> AnyPair:
                return self.box_loss.pair(boxes[index].float(), targets[index].float())

            if {"iou", "mean_iou"} & set(self.asked):
                entries.iou = pair().iou
            if "usual_iou" in self.asked:
                entries.usual_iou = 1 - self.box_loss.box_loss.running_mean.mean
            if "gain" in self.asked:
                weights = of_positives.sum(-1)
                entries.gain = self.box_loss.gain(pair, weights, index, learning=logits.requires_grad)
            weight = torch.where(entries.positive, self._weigh(entries), 1.0)
            loss.index_put_(index, (entropy * weight).to(loss.dtype))

        def weigh(gradient: Tensor) -> Tensor:
            rows = (gradient[index] * weight).to(gradient.dtype)
            return gradient.index_put_(index, rows) if is_fresh else gradient.index_put(index, rows)

        # A constant weight weighs the gradient as it does the loss: both in the positives' rows alone, in place, so
        # that there is no pass over all rows, forward or backward.
        if logits.requires_grad:
            logits.register_hook(weigh)
        return loss

    def _weigh(self, entries: Entries) -> Tensor:
        result: Tensor = self.weighting(*(getattr(entries, name) for name in self.asked))
        return result


class DETRClassification:
    """Stands in for RT-DETR's varifocal loss, with its reduction: the sum over classes of the mean over queries.

    Not an nn.Module, as PluggableDETRLoss is none.
    """

    def __init__(self, weighting: Component) -> None:
        """Bind the function to its settings."""
        self.weighting = CLS_WEIGHTINGS.bind(weighting)
        self.asked = asks(CLS_WEIGHTINGS.functions[weighting.name])

    def __call__(self, pred_score: Tensor, gt_score: Tensor, label: Tensor) -> Tensor:
        """Compute the loss of logits, (B, queries, classes), IoU scores and one-hot labels, likewise; a scalar."""
        entries = Entries(pred_score.float(), gt_score.float(), label > 0)
        loss: Tensor = self.weighting(*(getattr(entries, name) for name in self.asked))
        return loss.mean(1).sum()


def install_detr_classification(criterion: Any, weighting: Component) -> None:
    """Put a weighting in place of the varifocal loss of RT-DETR's criterion.

    Raises:
        ContractError: it has none.
    """
    if not isinstance(getattr(criterion, "vfl", None), (VarifocalLoss, DETRClassification)):
        raise broken_contract("has no varifocal loss in RT-DETR's criterion")
    del criterion.vfl  # a module's place, which takes nothing but modules
    criterion.vfl = DETRClassification(weighting)
