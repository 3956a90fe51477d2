"""BoxPair: the geometry that two aligned sets of boxes share, each quantity computed once, when first asked for."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

EPS = 1e-14
"""On denominators only. Small enough to leave boxes of a thousandth of a unit alone; its square is still a float32."""


class BoxPair:
    """N predicted boxes and their N targets.

    Widths and heights below zero count as zero. Everything keeps its gradient; who wants a constant detaches it.

    Args:
        pred: predicted boxes, (N, 4) xyxy, float32 or float64.
        target: target boxes, (N, 4) xyxy, same unit and dtype.
        stride: pixels per box unit, () or (N,); 1 if the boxes are in pixels.
        imgsz: (height, width) of the network's input in pixels; only losses normalised by the image need it.
    """

    def __init__(
        self,
        pred: Tensor,
        target: Tensor,
        stride: Tensor | float = 1.0,
        imgsz: Tensor | tuple[float, float] | None = None,
    ) -> None:
        """Keep the boxes; nothing is computed yet."""
        self.pred, self.target, self.stride, self.imgsz = pred, target, stride, imgsz
        self.pred_lt, self.pred_rb = pred.chunk(2, -1)
        self.target_lt, self.target_rb = target.chunk(2, -1)

    def scaled(self, ratio: float) -> BoxPair:
        """Scale both boxes about their own centres (Inner-IoU, 2311.02877, eq. 5-8)."""
        if ratio == 1:
            return self
        return BoxPair(_scaled(self.pred, ratio), _scaled(self.target, ratio), self.stride, self.imgsz)

    def interpolated(self, kappa: Tensor | float) -> BoxPair:
        """Move the prediction towards the target by the share kappa, () or (N, 1) (InterpIoU, 2507.12420)."""
        return BoxPair(self.pred + kappa * (self.target - self.pred), self.target, self.stride, self.imgsz)

    @cached_property
    def size(self) -> Tensor:
        """(N, 2) width and height of the prediction."""
        return (self.pred_rb - self.pred_lt).clamp(min=0)

    @cached_property
    def target_size(self) -> Tensor:
        """(N, 2) width and height of the target."""
        return (self.target_rb - self.target_lt).clamp(min=0)

    @cached_property
    def offset(self) -> Tensor:
        """(N, 2) centre of the prediction minus centre of the target."""
        return (self.pred_lt + self.pred_rb - (self.target_lt + self.target_rb)) / 2

    @cached_property
    def intersection(self) -> Tensor:
        """(N,) area of the intersection."""
        shared = self.pred_rb.minimum(self.target_rb) - self.pred_lt.maximum(self.target_lt)
        return area(shared.clamp(min=0))

    @cached_property
    def union(self) -> Tensor:
        """(N,) area of the union."""
        return area(self.size) + area(self.target_size) - self.intersection + EPS

    @cached_property
    def iou(self) -> Tensor:
        """(N,) intersection over union, in [0, 1]."""
        return self.intersection / self.union

    @cached_property
    def iou_loss(self) -> Tensor:
        """(N,) 1 − IoU."""
        return 1 - self.iou

    @cached_property
    def enclosing(self) -> Tensor:
        """(N, 2) width and height of the enclosing box."""
        return self.pred_rb.maximum(self.target_rb) - self.pred_lt.minimum(self.target_lt)

    @cached_property
    def diagonal2(self) -> Tensor:
        """(N,) squared diagonal c² of the enclosing box; never below ρ², which only swapped corners can undercut."""
        return norm2(self.enclosing).maximum(self.distance2) + EPS

    @cached_property
    def distance2(self) -> Tensor:
        """(N,) squared distance ρ² of the centres."""
        return norm2(self.offset)

    @cached_property
    def edge_distance(self) -> Tensor:
        """(N,) PIoU's P: mean distance of the four edges from the target's, over its width or height."""
        edges = (self.pred_lt - self.target_lt).abs() + (self.pred_rb - self.target_rb).abs()
        return (edges / (self.target_size + EPS)).sum(-1) / 4


def area(size: Tensor) -> Tensor:
    """Width · height: (N, 2) -> (N,)."""
    width, height = size.unbind(-1)
    return width * height


def norm2(vector: Tensor) -> Tensor:
    """x² + y²: (N, 2) -> (N,)."""
    return torch.square(vector).sum(-1)


def _scaled(box: Tensor, ratio: float) -> Tensor:
    lt, rb = box.chunk(2, -1)
    centre, half = (lt + rb) / 2, (rb - lt) * (ratio / 2)
    return torch.cat((centre - half, centre + half), -1)
