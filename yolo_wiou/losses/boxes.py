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

EPS = 1e-14
"""On denominators only. Small enough to leave boxes of a thousandth of a unit alone; its square is still a float32."""


class BoxPair:
    """N predicted boxes and their N targets. Everything keeps its gradient; who wants a constant detaches it.

    Args:
        inside: (2, 2, N) how far the edges of the prediction lie inside the target's, negative where outside; first
            left and top, then right and bottom.
        target_size: (2, N) width and height of the target.
        stride: pixels per box unit, () or (N,); 1 if the boxes are in pixels.
        imgsz: (height, width) of the network's input in pixels; only losses normalised by the image need it.
    """

    def __init__(
        self,
        inside: Tensor,
        target_size: Tensor,
        stride: Tensor | float = 1.0,
        imgsz: Tensor | tuple[float, float] | None = None,
    ) -> None:
        """Keep the edges; a prediction with swapped corners becomes the point at its centre."""
        size = target_size - inside.sum(0)
        swapped = size.detach().clamp(max=0)
        self.size = size - swapped
        self.inside = torch.add(inside, swapped, alpha=0.5)
        self.target_size, self.stride, self.imgsz = target_size, stride, imgsz

    @classmethod
    def of(
        cls,
        pred: Tensor,
        target: Tensor,
        stride: Tensor | float = 1.0,
        imgsz: Tensor | tuple[float, float] | None = None,
    ) -> BoxPair:
        """Take boxes as (N, 4) xyxy, float32 or float64, one unit and dtype."""
        n = len(pred)
        target = target.detach()
        inside = (pred - target).t().contiguous().view(2, 2, n) * _signs(pred)
        target_size = (target[:, 2:] - target[:, :2]).clamp(min=0).t().contiguous()
        return cls(inside, target_size, stride, imgsz)

    def scaled(self, ratio: float) -> BoxPair:
        """Scale both boxes about their own centres (Inner-IoU, 2311.02877)."""
        if ratio == 1:
            return self
        margin = (self.target_size - self.size) * (ratio / 2)
        inside = torch.stack((margin + self.offset, margin - self.offset))
        return BoxPair(inside, self.target_size * ratio, self.stride, self.imgsz)

    def interpolated(self, kappa: Tensor | float) -> BoxPair:
        """Move the prediction towards the target by the share kappa, () or (N,) (InterpIoU, 2507.12420)."""
        return BoxPair(self.inside * (1 - kappa), self.target_size, self.stride, self.imgsz)

    @cached_property
    def offset(self) -> Tensor:
        """(2, N) centre of the prediction minus centre of the target."""
        lt, rb = self.inside.unbind()
        return (lt - rb) / 2

    @cached_property
    def shared(self) -> Tensor:
        """(2, N) width and height that the boxes share; the gap, negative, where they don't touch."""
        return self.target_size - self.inside.relu().sum(0)

    @cached_property
    def iou(self) -> Tensor:
        """(N,) intersection over union, in [0, 1]."""
        iou: Tensor = IoU.apply(self.inside, self.size, self.target_size)
        return iou

    @cached_property
    def union(self) -> Tensor:
        """(N,) area of the union."""
        areas = product(self.size) + product(self.target_size) + EPS
        return areas - product(self.shared.relu())

    @cached_property
    def iou_loss(self) -> Tensor:
        """(N,) 1 − IoU."""
        return 1 - self.iou

    @cached_property
    def enclosing(self) -> Tensor:
        """(2, N) width and height of the enclosing box: both sizes, less what is shared."""
        return self.size + self.target_size - self.shared

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
        return (self.inside.abs().sum(0) / (self.target_size + EPS)).sum(0) / 4


class IoU(torch.autograd.Function):
    """Intersection over union with its gradient in closed form, in a third of the operators that a graph of it needs.

    With I = Πs over the shared sides s = relu(g − Σ relu(inside)), U = Πp + Πg − I for sizes p and g, and IoU = I/U:
    ∂IoU/∂I = (1 + IoU)/U and ∂IoU/∂(Πp) = −IoU/U; the derivative of a product of two is the other one.
    """

    @staticmethod
    def forward(ctx: Any, inside: Tensor, size: Tensor, target_size: Tensor) -> Tensor:
        """(2, 2, N), (2, N), (2, N) -> (N,); no gradient for the target."""
        shared = (target_size - inside.relu().sum(0)).relu()
        intersection = product(shared)
        union = product(size) + product(target_size) - intersection + EPS
        iou = intersection / union
        ctx.save_for_backward(inside, size, shared, union, iou)
        return iou

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        """(N,) -> (2, 2, N) and (2, N)."""
        inside, size, shared, union, iou = ctx.saved_tensors
        by_union = grad / union
        by_area = by_union * iou
        by_shared = threshold_backward((by_union + by_area) * shared.flip(0), shared, 0)
        by_inside = threshold_backward(by_shared.expand_as(inside), inside, 0)
        return -by_inside, -by_area * size.flip(0), None


def product(rows: Tensor) -> Tensor:
    """X · y: (2, N) -> (N,)."""
    x, y = rows.unbind()
    return x * y


def norm2(rows: Tensor) -> Tensor:
    """x² + y²: (2, N) -> (N,)."""
    return rows.square().sum(0)


def _signs(like: Tensor) -> Tensor:
    """(2, 1, 1) of 1 and -1, made on the device: inside is right of the left edge, and left of the right one."""
    return torch.linspace(1, -1, 2, dtype=like.dtype, device=like.device).view(2, 1, 1)
