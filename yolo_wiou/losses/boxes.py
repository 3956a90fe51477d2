"""BoxPair: the geometry that two aligned sets of boxes share, each quantity computed once, when first asked for.

Everything follows from two things: how far each edge of the prediction lies inside the target's, and the target's size.
The last dimension is always N, so that every operation reads memory in order.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

threshold_backward = torch.ops.aten.threshold_backward

SIDE = 1e-7
"""No side of a box counts as shorter, so that no denominator is 0. Boxes of a thousandth of a unit don't notice."""
EPS = SIDE**2
"""On denominators that may be 0 all the same; its square is still a float32."""


class BoxPair:
    """N predicted boxes and their N targets. Everything keeps its gradient; who wants a constant detaches it.

    Args:
        pred: (2, 2, N) corners of the prediction, left top and right bottom, in any frame.
        target: (2, 2, N) corners of the target, in the same frame; a constant.
        stride: pixels per box unit, () or (N,); 1 if the boxes are in pixels.
        imgsz: (height, width) of the network's input in pixels; only losses normalised by the image need it.

    Attributes:
        inside: (2, 2, N) how far the edges of the prediction lie inside the target's, negative where outside; first
            left and top, then right and bottom.
        offset: (2, N) centre of the prediction minus centre of the target.
        size: (2, N) width and height of the prediction.
        missed: (2, N) how much of the target's width and height lies beside the prediction; more where they are apart.
        iou_loss: (N,) 1 − IoU, in [0, 1].
        target_size: (2, N) width and height of the target.
    """

    inside: Tensor
    offset: Tensor
    size: Tensor
    missed: Tensor
    iou_loss: Tensor
    target_size: Tensor

    def __init__(
        self,
        pred: Tensor,
        target: Tensor,
        stride: Tensor | float = 1.0,
        imgsz: Tensor | tuple[float, float] | None = None,
    ) -> None:
        """Compute what every loss needs; the rest is computed when asked for."""
        self.inside, self.offset, self.size, self.missed, self.iou_loss, self.target_size = Geometry.apply(pred, target)
        self.stride, self.imgsz = stride, imgsz

    @classmethod
    def of(
        cls,
        pred: Tensor,
        target: Tensor,
        stride: Tensor | float = 1.0,
        imgsz: Tensor | tuple[float, float] | None = None,
    ) -> BoxPair:
        """Take boxes as (N, 4) xyxy, float32 or float64, one unit and dtype."""
        return cls(pred.t().view(2, 2, -1), target.t().view(2, 2, -1), stride, imgsz)

    def scaled(self, ratio: float) -> BoxPair:
        """Scale both boxes about their own centres (Inner-IoU, 2311.02877)."""
        return self if ratio == 1 else self._other(self.offset, self.size * ratio, self.target_size * ratio)

    def interpolated(self, kappa: Tensor | float) -> BoxPair:
        """Move the prediction towards the target by the share kappa, () or (N,) (InterpIoU, 2507.12420)."""
        size = self.size + (self.target_size - self.size) * kappa
        return self._other(self.offset * (1 - kappa), size, self.target_size)

    def _other(self, offset: Tensor, size: Tensor, target_size: Tensor) -> BoxPair:
        """Other boxes in place of these, in the frame of the target's centre."""
        half, target_half = size / 2, target_size / 2
        pred, target = torch.stack((offset - half, offset + half)), torch.stack((-target_half, target_half))
        return BoxPair(pred, target, self.stride, self.imgsz)

    @cached_property
    def iou(self) -> Tensor:
        """(N,) intersection over union, in [0, 1]."""
        return 1 - self.iou_loss

    @cached_property
    def enclosing(self) -> Tensor:
        """(2, N) width and height of the enclosing box."""
        return self.size + self.missed

    @cached_property
    def union(self) -> Tensor:
        """(N,) area of the union."""
        return product(self.size) + product(self.target_size) - product((self.target_size - self.missed).relu())

    @cached_property
    def diagonal2(self) -> Tensor:
        """(N,) squared diagonal c² of the enclosing box."""
        return norm2(self.enclosing)

    @cached_property
    def distance2(self) -> Tensor:
        """(N,) squared distance ρ² of the centres."""
        return norm2(self.offset)

    @cached_property
    def edge_distance(self) -> Tensor:
        """(N,) PIoU's P: mean distance of the four edges from the target's, over its width or height."""
        return (self.inside.abs().sum(0) / self.target_size).sum(0) / 4


class Geometry(torch.autograd.Function):
    """What a BoxPair is made of, with its gradient in closed form: a third of the operators that a graph of it needs.

    With I = Πs over the shared sides s = relu(g − missed), U = Πp + Πg − I for sizes p and g, and 1 − IoU = (U − I)/U:
    ∂IoU/∂I = (1 + IoU)/U and ∂IoU/∂(Πp) = −IoU/U; the derivative of a product of two is the other one.

    Few of the operators take a Python number: on a thousand boxes one that does costs three that don't.

    A side shorter than SIDE is drawn out to it, about its middle; so is one with swapped corners. The gradient knows
    nothing of that, and pulls such a box open.
    """

    @staticmethod
    def forward(ctx: Any, pred: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        """Corners of both, (2, 2, N) -> the attributes of a BoxPair; only the prediction has a gradient."""
        corners = torch.stack((pred, target))
        left_top, right_bottom = corners.unbind(1)
        sizes = right_bottom - left_top
        drawn = sizes.clamp_min(SIDE)
        size, target_size = drawn.unbind()

        inside = torch.sub(*corners.unbind())
        left_top, right_bottom = inside.unbind()
        offset = torch.lerp(left_top, right_bottom, 0.5)
        right_bottom.neg_()
        short, target_short = sizes.sub_(drawn).unbind()
        inside.add_(short.sub_(target_short), alpha=0.5)

        missed = torch.add(*inside.relu().unbind())
        shared = (target_size - missed).relu_()
        intersection = shared.prod(0)
        union = torch.add(*drawn.prod(1).unbind()).sub_(intersection)
        loss = (union - intersection).relu_().div_(union)

        ctx.save_for_backward(inside, size, shared, union, loss)
        ctx.mark_non_differentiable(target_size)
        ctx.set_materialize_grads(False)
        return inside, offset, size, missed, loss, target_size

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,
        by_inside: Tensor | None,
        by_offset: Tensor | None,
        by_size: Tensor | None,
        by_missed: Tensor | None,
        by_loss: Tensor | None,
        _: None,
    ) -> tuple[Tensor, None]:
        """Gradients of the outputs, None for those not in use -> that of the prediction's corners, (2, 2, N)."""
        inside, size, shared, union, loss = ctx.saved_tensors
        if by_loss is not None:
            by_union = by_loss / union
            by_area = torch.addcmul(by_union, by_union, loss, value=-1)
            by_shared = by_union.add_(by_area) * shared.flip(0)
            by_missed = plus(threshold_backward(by_shared, shared, 0), by_missed)
            by_size = plus(by_area * size.flip(0), by_size)
        if by_missed is None:
            pred = torch.zeros_like(inside)
        else:
            pred = threshold_backward(by_missed.expand_as(inside), inside, 0)
        if by_inside is not None:
            pred += by_inside
        if by_size is not None:
            pred -= by_size
        pred.select(0, 1).neg_()
        if by_offset is not None:
            pred.add_(by_offset, alpha=0.5)
        return pred, None


def plus(x: Tensor, y: Tensor | None) -> Tensor:
    """Add what may not be there."""
    return x if y is None else x + y


def product(rows: Tensor) -> Tensor:
    """X · y: (2, N) -> (N,)."""
    x, y = rows.unbind()
    return x * y


def norm2(rows: Tensor) -> Tensor:
    """x² + y²: (2, N) -> (N,)."""
    return (rows * rows).sum(0)
