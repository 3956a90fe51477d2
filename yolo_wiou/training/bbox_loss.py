"""FocusedBboxLoss: Ultralytics' BboxLoss with another IoU term."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor
from ultralytics.utils.loss import BboxLoss

from yolo_wiou.losses import BoxLoss


class AllRows(tuple[slice]):
    """An index that selects every row, accepted wherever the stock loss takes the mask of positives."""

    def nonzero(self, as_tuple: bool = True) -> AllRows:
        """Be the index of the true entries, as a mask's `nonzero` would give."""
        return self


EVERY = AllRows((slice(None),))


class FocusedBboxLoss(BboxLoss):
    """The stock box loss, its IoU term replaced by ours; DFL (or L1), weights and reduction are `super()`'s.

    The positives are gathered once, and the stock code then sees nothing else. Plain CIoU keeps the stock term.
    A deep copy (the EMA's criterion) is the same object: what validation reads is the training's state.

    Args:
        reg_max: the head's number of DFL bins; 1 means L1 distances.
        box_loss: the loss; its running mean observes wherever the boxes require a gradient.
        strides: (levels,) pixels per box unit of the head's levels.
    """

    def __init__(self, reg_max: int, box_loss: BoxLoss, strides: Tensor) -> None:
        """Build the stock loss around ours."""
        super().__init__(reg_max)
        self.box_loss = box_loss
        self.strides = strides

    def forward(
        self,
        pred_dist: Tensor,
        pred_bboxes: Tensor,
        anchor_points: Tensor,
        target_bboxes: Tensor,
        target_scores: Tensor,
        target_scores_sum: Tensor | float,
        fg_mask: Tensor,
        imgsz: Tensor | None = None,
        stride: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Compute the IoU term and the distance term of a batch, as the stock loss does.

        Args:
            pred_dist: (B, A, 4·reg_max) raw distances.
            pred_bboxes: (B, A, 4) xyxy in stride units.
            anchor_points: (A, 2) in stride units.
            target_bboxes: (B, A, 4) xyxy in stride units.
            target_scores: (B, A, classes); their sum over classes is a positive's weight.
            target_scores_sum: the normaliser.
            fg_mask: (B, A) bool, the positives.
            imgsz: (2,) height and width in pixels; Ultralytics passes it since 8.4.0.
            stride: (A, 1) pixels per box unit; likewise.

        Returns:
            The two terms, scalars: Σ weight·loss / target_scores_sum each.
        """
        index = fg_mask.nonzero(as_tuple=True)
        anchors = index[-1]
        weight = target_scores[index].sum(-1, keepdim=True)
        pred, target = pred_bboxes[index], target_bboxes[index]
        if stride is None:
            extra: tuple[Any, ...] = ()
            stride, imgsz = infer_grid(anchor_points, self.strides)
        else:
            extra = (imgsz, stride[anchors])
        gain, loss = self.box_loss.split(pred, target, stride=stride[anchors].flatten().float(), imgsz=imgsz)
        stock = self.box_loss.config.is_stock
        stock_term, distance_term = super().forward(
            pred_dist[index],
            pred if stock else pred.detach(),
            anchor_points[anchors],
            target,
            weight * gain[:, None] if self.box_loss.config.gain.dfl else weight,
            target_scores_sum,
            cast("Tensor", EVERY),
            *extra,
        )
        if stock:
            return stock_term, distance_term
        return (gain * loss * weight.squeeze(-1)).sum() / target_scores_sum, distance_term

    def __deepcopy__(self, memo: dict[int, Any]) -> FocusedBboxLoss:
        """Share, do not copy."""
        return self


def infer_grid(anchor_points: Tensor, strides: Tensor) -> tuple[Tensor, Tensor]:
    """Return (A,) strides and (2,) input height and width, which releases before 8.4.0 don't pass to the box loss.

    Anchor points run level by level, each level from (0.5, 0.5) to its last cell.
    """
    level = (anchor_points == 0.5).all(-1).cumsum(0) - 1
    stride = strides.to(anchor_points.device)[level].float()
    return stride, ((anchor_points + 0.5) * stride[:, None]).amax(0).flip(0)
