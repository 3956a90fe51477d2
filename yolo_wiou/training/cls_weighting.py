"""IoU-balanced classification: Ultralytics' BCE, weighted by the IoU that the assigner has just seen."""

from typing import Any

import torch
from torch import Tensor, nn

from yolo_wiou.losses.gain import keep_sum
from yolo_wiou.training.bbox_loss import IoUTermMixin


class IoUBalancedBCE(nn.Module):
    """The head's BCE; entries with a positive target are weighted by IoU^η, their sum is kept (arXiv:1908.05641).

    Weights are detached, normaliser included, and cut off at MAX_GAIN of gain.py. The IoU is that of the predicted box
    and its assigned target in pixels, taken from the assigner's call just before. Where no positive overlaps its target
    nothing is weighted.

    Args:
        bce: the head's own loss, without reduction.
        assigner: the head's task-aligned assigner.
        box_loss: the head's box loss, which computes the overlap of its boxes and finds the positives.
        eta: the exponent η.
    """

    def __init__(self, bce: nn.Module, assigner: nn.Module, box_loss: IoUTermMixin, eta: float) -> None:
        """Listen to the assigner."""
        super().__init__()
        self.bce, self.box_loss, self.eta = bce, box_loss, eta
        self.reduction = "none"
        self._assigned: tuple[Tensor, Tensor, Tensor] | None = None
        assigner.register_forward_hook(self._remember)

    def _remember(self, assigner: nn.Module, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
        self._assigned = inputs[1], output[1], output[3]

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Return the weighted loss of every entry, (B, A, classes), as the stock BCE does."""
        loss: Tensor = self.bce(pred, target)
        if self._assigned is None:
            return loss
        (boxes, targets, mask), self._assigned = self._assigned, None
        index = self.box_loss.positives(mask)
        entropy, is_positive = self.bce(pred[index], target[index]), target[index] > 0
        with torch.no_grad():
            weight = self.box_loss.iou(boxes[index].float(), targets[index].float()).pow(self.eta)[:, None]
            plain = entropy.float() * is_positive
            weight = torch.where(is_positive, keep_sum(weight, plain), 1.0)
        # Added to the rows of the positives in place: no pass over all rows, forward or backward.
        return loss.index_put_(index, (entropy * (weight - 1)).to(loss.dtype), accumulate=True)
