"""BoxPair: the geometry that two aligned sets of boxes share, each quantity computed once, when first asked for.

x and y stand in rows, (2, N), so that every operation reads memory in order.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

EPS = 1e-14
"""On denominators only. Small enough to leave boxes of a thousandth of a unit alone; its square is still a float32."""


class Boxes:
    """N boxes by their corners, (2, N) each: lt is left and top, rb is right and bottom, not left or above of lt."""

    def __init__(self, lt: Tensor, rb: Tensor) -> None:
        """Keep the corners."""
        self.lt, self.rb = lt, rb

    @classmethod
    def of(cls, xyxy: Tensor) -> Boxes:
        """Take (N, 4) xyxy; a negative width or height becomes 0, at left and top."""
        lt, rb = xyxy.t().contiguous().chunk(2)
        return cls(lt, rb.maximum(lt))

    def scaled(self, ratio: float) -> Boxes:
        """Scale about the boxes' own centres."""
        grow = self.size * ((ratio - 1) / 2)
        return Boxes(self.lt - grow, self.rb + grow)

    @cached_property
    def size(self) -> Tensor:
        """(2, N) width and height, not negative."""
        return self.rb - self.lt

    @cached_property
    def area(self) -> Tensor:
        """(N,)."""
        return product(self.size)


class BoxPair:
    """N predicted boxes and their N targets. Everything keeps its gradient; who wants a constant detaches it.

    Args:
        pred: predicted boxes, float32 or float64.
        target: target boxes, same unit and dtype.
        stride: pixels per box unit, () or (N,); 1 if the boxes are in pixels.
        imgsz: (height, width) of the network's input in pixels; only losses normalised by the image need it.
    """

    def __init__(
        self,
        pred: Boxes,
        target: Boxes,
        stride: Tensor | float = 1.0,
        imgsz: Tensor | tuple[float, float] | None = None,
    ) -> None:
        """Keep the boxes; nothing is computed yet."""
        self.pred, self.target, self.stride, self.imgsz = pred, target, stride, imgsz

    def scaled(self, ratio: float) -> BoxPair:
        """Scale both boxes about their own centres (Inner-IoU, 2311.02877, eq. 5-8)."""
        if ratio == 1:
            return self
        return BoxPair(self.pred.scaled(ratio), self.target.scaled(ratio), self.stride, self.imgsz)

    def interpolated(self, kappa: Tensor | float) -> BoxPair:
        """Move the prediction towards the target by the share kappa, () or (N,) (InterpIoU, 2507.12420)."""
        lt = self.pred.lt + kappa * (self.target.lt - self.pred.lt)
        rb = self.pred.rb + kappa * (self.target.rb - self.pred.rb)
        return BoxPair(Boxes(lt, rb), self.target, self.stride, self.imgsz)

    @cached_property
    def offset(self) -> Tensor:
        """(2, N) centre of the prediction minus centre of the target."""
        return ((self.pred.lt - self.target.lt) + (self.pred.rb - self.target.rb)) / 2

    @cached_property
    def shared(self) -> Tensor:
        """(2, N) width and height that the boxes share; the gap, negative, where they don't touch."""
        return self.pred.rb.minimum(self.target.rb) - self.pred.lt.maximum(self.target.lt)

    @cached_property
    def intersection(self) -> Tensor:
        """(N,) area of the intersection."""
        return product(self.shared.clamp(min=0))

    @cached_property
    def union(self) -> Tensor:
        """(N,) area of the union."""
        return self.pred.area + (self.target.area + EPS) - self.intersection

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
        """(2, N) width and height of the enclosing box: both sizes, less what is shared."""
        return self.pred.size + self.target.size - self.shared

    @cached_property
    def diagonal2(self) -> Tensor:
        """(N,) squared diagonal c² of the enclosing box."""
        return norm2(self.enclosing) + EPS

    @cached_property
    def distance2(self) -> Tensor:
        """(N,) squared distance ρ² of the centres."""
        return norm2(self.offset)

    @cached_property
    def edge_distance(self) -> Tensor:
        """(N,) PIoU's P: mean distance of the four edges from the target's, over its width or height."""
        edges = (self.pred.lt - self.target.lt).abs() + (self.pred.rb - self.target.rb).abs()
        return (edges / (self.target.size + EPS)).sum(0) / 4


def product(rows: Tensor) -> Tensor:
    """x · y: (2, N) -> (N,)."""
    x, y = rows
    return x * y


def norm2(rows: Tensor) -> Tensor:
    """x² + y²: (2, N) -> (N,)."""
    return rows.square().sum(0)
