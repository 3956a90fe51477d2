"""RotatedPair: what a BoxPair is, for rotated boxes, as far as that has a meaning."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from yolo_wiou.errors import ConfigError
from yolo_wiou.losses._geometry import SIDE, lazy_property
from yolo_wiou.losses.boxes import EPS, Stride, WithTargets, norm2
from yolo_wiou.losses.config import LossConfig

Similarity = Callable[[Tensor, Tensor], Tensor]
"""ProbIoU of two (N, 5) xywhr (arXiv:2106.06072): (N, 1) or (N,)."""

PENALTIES = ("none", "diou", "wiou")
"""Those that a centre distance and a hull are enough for."""
OVERLAPS = ("iou", "nwd", "iou-nwd", "kld", "gwd", "kfiou")
"""ProbIoU in place of IoU, and those of boxes as Gaussians, which may be turned."""


class RotatedPair(WithTargets):
    """N predicted rotated boxes and their N targets; overlap is ProbIoU, and everything keeps its gradient.

    Args:
        pred: predicted boxes, (N, 5) xywhr, float32 or float64, r in radians.
        target: target boxes, likewise.
        similarity: computes ProbIoU; the head's own, with its floor.
        stride: pixels per box unit.
    """

    def __init__(self, pred: Tensor, target: Tensor, similarity: Similarity, stride: Stride = 1.0) -> None:
        """Keep the boxes; nothing is computed yet."""
        self.pred, self.target, self.similarity, self.stride = pred, target, similarity, stride

    def scaled(self, ratio: float) -> RotatedPair:
        """Scale both boxes about their own centres (Inner-IoU, Unified-IoU)."""
        if ratio == 1:
            return self
        return RotatedPair(_scaled(self.pred, ratio), _scaled(self.target, ratio), self.similarity, self.stride)

    @lazy_property
    def size(self) -> Tensor:
        """(2, N) width and height of the prediction; a side below 0 (a head without DFL) as if above."""
        return _size(self.pred)

    @lazy_property
    def target_size(self) -> Tensor:
        """(2, N) width and height of the target."""
        return _size(self.target)

    @lazy_property
    def iou(self) -> Tensor:
        """(N,) ProbIoU."""
        return self.similarity(self.pred, self.target).view(len(self.pred))

    @lazy_property
    def iou_loss(self) -> Tensor:
        """(N,) 1 − ProbIoU."""
        return 1 - self.iou

    @lazy_property
    def distance2(self) -> Tensor:
        """(N,) squared distance ρ² of the centres."""
        return norm2((self.pred[:, :2] - self.target[:, :2]).t())

    @lazy_property
    def offset(self) -> Tensor:
        """(2, N) centre of the prediction minus centre of the target, along the target's axes."""
        x, y = (self.pred[:, :2] - self.target[:, :2]).t()
        cos, sin = self.target[:, 4].cos(), self.target[:, 4].sin()
        return torch.stack((x * cos + y * sin, y * cos - x * sin))

    @lazy_property
    def log_ratio(self) -> Tensor:
        """(2, N) ln(w/wg) and ln(h/hg)."""
        return self.size.log() - self.target_size.log()

    @lazy_property
    def turn2(self) -> Tensor:
        """(N,) squared sine of the angle between the boxes."""
        return (self.pred[:, 4] - self.target[:, 4]).sin().square()

    @lazy_property
    def spread(self) -> Tensor:
        """(2, N) squared sides that the prediction, as a Gaussian, has along the target's axes."""
        squares = self.size.square()
        return torch.lerp(squares, squares.flip(0), self.turn2)

    @lazy_property
    def wasserstein2(self) -> Tensor:
        """(N,) squared Wasserstein distance of the boxes as Gaussians, of variances w²/4 and h²/4 (arXiv:2101.11952).

        That of the shapes is ((w − wg)² + (h − hg)²)/4 + (a − b)/2, with a = w·wg + h·hg the trace that two matrices
        of parallel axes have and b that of these, b² = a² − q·sin²; the difference is written without cancellation.
        """
        (w, h), (wg, hg) = self.size, self.target_size
        parallel, crossed = w * wg + h * hg, w * hg + h * wg
        trace = torch.lerp(parallel.square(), crossed.square(), self.turn2).sqrt()
        q = (w.square() - h.square()) * (wg.square() - hg.square())
        shapes: Tensor = norm2(self.size - self.target_size) / 4 + self.turn2 * q / (parallel + trace) / 2
        return self.distance2 + shapes.clamp(min=0)

    @lazy_property
    def diagonal2(self) -> Tensor:
        """(N,) squared diameter of the convex hull of both boxes: the longest distance between two of their corners.

        What c² is for upright boxes; it does not change when both boxes turn.
        """
        corners = torch.cat((_corners(self.pred), _corners(self.target)), 1)
        return (corners[:, :, None] - corners[:, None]).square().sum(-1).flatten(1).amax(1) + EPS


def check_rotated(config: LossConfig) -> None:
    """Refuse a loss that needs upright boxes.

    Raises:
        ConfigError: says which part, and what to use instead.
    """
    instead = f"Use penalty {', '.join(PENALTIES[:-1])} or {PENALTIES[-1]}, with any modifier of the overlap"
    if config.is_unmodified("ciou"):  # ProbIoU, the stock loss of rotated boxes
        return
    if config.penalty.name not in PENALTIES:
        raise ConfigError(
            f"penalty '{config.penalty.name}' needs upright boxes, and task obb has rotated ones. {instead}."
        )
    if config.overlap.name not in OVERLAPS:
        raise ConfigError(
            f"overlap '{config.overlap.name}' needs upright boxes. For task obb use iou, which is ProbIoU, or "
            f"{', '.join(OVERLAPS[1:-1])} or {OVERLAPS[-1]}."
        )
    if config.gain.name == "piou2":
        raise ConfigError("gain 'piou2' measures edges of upright boxes. For task obb use nonmonotonic or iou-power.")


def _size(boxes: Tensor) -> Tensor:
    """(N, 5) xywhr -> (2, N) width and height, at least SIDE."""
    return boxes[:, 2:4].t().abs().clamp(min=SIDE)


def _scaled(boxes: Tensor, ratio: float) -> Tensor:
    centre, size, angle = boxes.split((2, 2, 1), 1)
    return torch.cat((centre, size * ratio, angle), 1)


def _corners(boxes: Tensor) -> Tensor:
    """(N, 5) xywhr -> (N, 4, 2)."""
    centre, half = boxes[:, None, :2], boxes[:, 2:4] / 2
    cos, sin = boxes[:, 4].cos(), boxes[:, 4].sin()
    along = torch.stack((cos, sin), -1) * half[:, :1]
    across = torch.stack((-sin, cos), -1) * half[:, 1:]
    return centre + torch.stack((along + across, along - across, -along - across, across - along), 1)
