"""BoxPair: the geometry that two aligned sets of boxes share, each quantity computed once."""

from __future__ import annotations

from typing import TypeAlias

from torch import Tensor

from yolo_wiou.losses._geometry import SIDE, Centres, Corners, Geometry, compute, lazy_property, norm2

__all__ = ["EPS", "SIZES", "BoxPair", "ImageSize", "Stride", "WithTargets", "norm2", "product", "size_class"]

Stride: TypeAlias = Tensor | float
"""Pixels per box unit, () or (N,); 1 if the boxes are in pixels."""
ImageSize: TypeAlias = Tensor | tuple[float, float] | None
"""(height, width) of the network's input in pixels; only losses normalised by the image need it."""
EPS = SIDE**2
"""On denominators that may be 0 all the same; its square is still a float32."""
SIZES = 9
"""How many size classes there are."""


class WithTargets:
    """How large targets are: what pairs of upright and of rotated boxes share.

    Attributes:
        target_size: (2, N) width and height of the target.
        stride: pixels per box unit.
    """

    target_size: Tensor
    stride: Stride

    @property
    def target_side(self) -> Tensor:
        """(N,) √(w·h) of the target in pixels."""
        return product(self.target_size).sqrt() * self.stride

    @lazy_property
    def size_class(self) -> Tensor:
        """(N,) int64 octave of the target's side."""
        return size_class(self.target_side)


class BoxPair(WithTargets):
    """N predicted boxes and their N targets. Everything keeps its gradient; who wants a constant detaches it.

    >>> import torch
    >>> pair = BoxPair.of(torch.tensor([[0.0, 0, 4, 2]]), torch.tensor([[1.0, 1, 4, 3]]))
    >>> pair.iou.item(), pair.distance2.item(), pair.diagonal2.item()  # 3/11, 5/4, 25
    (0.2727..., 1.25, 25.0)

    Args:
        geometry: the attributes below, in their order, as Corners or Centres computes them.
        stride: pixels per box unit.
        imgsz: of the network's input.

    Attributes:
        inside: (2, 2, N) how far the edges of the prediction lie inside the target's, negative where outside; first
            left and top, then right and bottom.
        offset: (2, N) centre of the prediction minus centre of the target.
        size: (2, N) width and height of the prediction.
        enclosing: (2, N) width and height of the enclosing box.
        iou_loss: (N,) 1 − IoU, in [0, 1].
        distance2: (N,) squared distance ρ² of the centres.
        diagonal2: (N,) squared diagonal c² of the enclosing box.
        target_size: (2, N) width and height of the target.
    """

    def __init__(self, geometry: Geometry, stride: Stride = 1.0, imgsz: ImageSize = None) -> None:
        """Hold what most losses need; the rest is computed when asked for."""
        self.inside, self.offset, self.size, self.enclosing = geometry[:4]
        self.iou_loss, self.distance2, self.diagonal2, self.target_size = geometry[4:]
        self.stride, self.imgsz = stride, imgsz

    @classmethod
    def of(cls, pred: Tensor, target: Tensor, stride: Stride = 1.0, imgsz: ImageSize = None) -> BoxPair:
        """Take boxes as (N, 4) xyxy, float32 or float64, one unit and dtype; the target is a constant."""
        return cls(compute(Corners, pred, target), stride, imgsz)

    def scaled(self, ratio: float) -> BoxPair:
        """Scale both boxes about their own centres (Inner-IoU, arXiv:2311.02877)."""
        return self if ratio == 1 else self._moved(self.offset, self.size * ratio, self.target_size * ratio)

    def interpolated(self, kappa: Tensor | float) -> BoxPair:
        """Move the prediction towards the target by the share kappa, () or (N,) (InterpIoU, arXiv:2507.12420)."""
        size = self.size + (self.target_size - self.size) * kappa
        return self._moved(self.offset * (1 - kappa), size, self.target_size)

    def _moved(self, offset: Tensor, size: Tensor, target_size: Tensor) -> BoxPair:
        """The pair that these boxes become: other centres and sizes, the same context."""
        return BoxPair(compute(Centres, offset, size, target_size), self.stride, self.imgsz)

    @lazy_property
    def iou(self) -> Tensor:
        """(N,) intersection over union, in [0, 1]."""
        return 1 - self.iou_loss

    @lazy_property
    def union(self) -> Tensor:
        """(N,) area of the union: both areas are union and intersection, which is IoU times the union."""
        return (product(self.size) + product(self.target_size)) / (1 + self.iou)

    @lazy_property
    def log_ratio(self) -> Tensor:
        """(2, N) ln(w/wg) and ln(h/hg)."""
        return self.size.log() - self.target_size.log()

    @property
    def spread(self) -> Tensor:
        """(2, N) squared sides that the prediction, as a Gaussian, has along the target's axes."""
        return self.size.square()

    @lazy_property
    def wasserstein2(self) -> Tensor:
        """(N,) squared Wasserstein distance of the boxes as Gaussians, of variances w²/4 and h²/4."""
        return self.distance2 + norm2(self.size - self.target_size) / 4

    @lazy_property
    def edge_distance(self) -> Tensor:
        """(N,) PIoU's P: mean distance of the four edges from the target's, over its width or height."""
        return (self.inside.abs().sum(0) / self.target_size).sum(0) / 4


def size_class(side: Tensor) -> Tensor:
    """Return the octave of each side in pixels, (N,) int64: 0 below 4, 1 below 8, ..., SIZES - 1 from 512 on.

    >>> import torch
    >>> size_class(torch.tensor([1.0, 4.0, 7.9, 8.0, 300.0, 4000.0])).tolist()
    [0, 1, 1, 2, 7, 8]
    """
    return (side.log2() - 1).floor().long().clamp(0, SIZES - 1)


def product(rows: Tensor) -> Tensor:
    """X · y: (2, N) -> (N,)."""
    x, y = rows.unbind()
    return x * y
