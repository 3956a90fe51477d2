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
        inside: (2, 2, N) how far the edges of the prediction lie inside the target's, negative where outside; first
            left and top, then right and bottom.
        offset: (2, N) centre of the prediction minus centre of the target.
        size: (2, N) width and height of the prediction: what `inside` leaves of the target's.
        target_size: (2, N) width and height of the target.
        stride: pixels per box unit, () or (N,); 1 if the boxes are in pixels.
        imgsz: (height, width) of the network's input in pixels; only losses normalised by the image need it.
    """

    def __init__(
        self,
        inside: Tensor,
        offset: Tensor,
        size: Tensor,
        target_size: Tensor,
        stride: Tensor | float = 1.0,
        imgsz: Tensor | tuple[float, float] | None = None,
    ) -> None:
        """Keep what describes the boxes; the rest is computed when asked for."""
        self.inside, self.offset, self.size, self.target_size = inside, offset, size, target_size
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
        return cls(*Edges.apply(pred, target), stride, imgsz)

    def scaled(self, ratio: float) -> BoxPair:
        """Scale both boxes about their own centres (Inner-IoU, 2311.02877)."""
        if ratio == 1:
            return self
        margin = (self.target_size - self.size) * (ratio / 2)
        inside = torch.stack((margin + self.offset, margin - self.offset))
        return BoxPair(inside, self.offset, self.size * ratio, self.target_size * ratio, self.stride, self.imgsz)

    def interpolated(self, kappa: Tensor | float) -> BoxPair:
        """Move the prediction towards the target by the share kappa, () or (N,) (InterpIoU, 2507.12420)."""
        size = torch.lerp(self.size, self.target_size, kappa)
        left = 1 - kappa
        return BoxPair(self.inside * left, self.offset * left, size, self.target_size, self.stride, self.imgsz)

    @cached_property
    def missed(self) -> Tensor:
        """(2, N) how much of the target's width and height lies beside the prediction; more where they don't touch."""
        return self.inside.relu().sum(0)

    @cached_property
    def enclosing(self) -> Tensor:
        """(2, N) width and height of the enclosing box."""
        return self.size + self.missed

    @cached_property
    def iou_loss(self) -> Tensor:
        """(N,) 1 − IoU, in [0, 1]."""
        loss: Tensor = IoULoss.apply(self.missed, self.size, self.target_size)
        return loss

    @cached_property
    def iou(self) -> Tensor:
        """(N,) intersection over union, in [0, 1]."""
        return 1 - self.iou_loss

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


class Edges(torch.autograd.Function):
    """What a BoxPair is made of, from two sets of corners; only the prediction has a gradient.

    A side shorter than SIDE is drawn out to it, about its middle; so is one with swapped corners. The gradient knows
    nothing of that, and pulls such a box open.
    """

    @staticmethod
    def forward(ctx: Any, pred: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        """(N, 4) xyxy each -> inside (2, 2, N), offset, size and target_size (2, N) each."""
        corners = torch.stack((pred.t(), target.t())).view(2, 2, 2, -1)
        sizes = corners[:, 1] - corners[:, 0]
        size, target_size = drawn = sizes.clamp(min=SIDE)
        inside = corners[0] - corners[1]
        lt, rb = inside
        offset = (lt + rb).div_(2)
        rb.neg_()
        short, target_short = sizes.sub_(drawn)
        inside.add_(short.sub_(target_short), alpha=0.5)
        ctx.mark_non_differentiable(target_size)
        return inside, offset, size, target_size

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, inside: Tensor, offset: Tensor, size: Tensor, _: Tensor) -> tuple[Tensor, None]:
        """(2, 2, N), (2, N) and (2, N) -> (N, 4)."""
        pred = inside - size
        pred[1].neg_()
        pred.add_(offset, alpha=0.5)
        return pred.view(4, -1).t(), None


class IoULoss(torch.autograd.Function):
    """1 − IoU with its gradient in closed form, in a third of the operators that a graph of it needs.

    With I = Πs over the shared sides s = relu(g − missed), U = Πp + Πg − I for sizes p and g, and IoU = I/U:
    ∂IoU/∂I = (1 + IoU)/U and ∂IoU/∂(Πp) = −IoU/U; the derivative of a product of two is the other one.
    """

    @staticmethod
    def forward(ctx: Any, missed: Tensor, size: Tensor, target_size: Tensor) -> Tensor:
        """(2, N) each -> (N,); no gradient for the target."""
        shared = (target_size - missed).relu_()
        intersection = shared.prod(0)
        union = size.prod(0).add_(target_size.prod(0)).sub_(intersection)
        iou = intersection.div_(union).clamp_(max=1)
        ctx.save_for_backward(size, shared, union, iou)
        return 1 - iou

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        """(N,) -> (2, N) and (2, N)."""
        size, shared, union, iou = ctx.saved_tensors
        by_union = grad / union
        by_area = by_union * iou
        by_shared = by_union.add_(by_area) * shared.flip(0)
        return threshold_backward(by_shared, shared, 0), by_area * size.flip(0), None


def product(rows: Tensor) -> Tensor:
    """X · y: (2, N) -> (N,)."""
    x, y = rows.unbind()
    return x * y


def norm2(rows: Tensor) -> Tensor:
    """x² + y²: (2, N) -> (N,)."""
    return rows.square().sum(0)
