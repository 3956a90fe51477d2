"""RotatedPair: what a BoxPair is, for rotated boxes, as far as that has a meaning."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from yolo_wiou.errors import ConfigError
from yolo_wiou.losses._geometry import lazy_property
from yolo_wiou.losses.boxes import EPS, Stride, norm2, product
from yolo_wiou.losses.config import LossConfig

Similarity = Callable[[Tensor, Tensor], Tensor]
"""ProbIoU of two (N, 5) xywhr (arXiv:2106.06072): (N, 1) or (N,)."""

PENALTIES = ("none", "diou", "wiou")
"""Those that a centre distance and a hull are enough for."""


class RotatedPair:
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

    @property
    def target_side(self) -> Tensor:
        """(N,) √(w·h) of the target in pixels."""
        return product(self.target[:, 2:4].t()).sqrt() * self.stride

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
    if config.is_stock:
        return
    if config.penalty.name not in PENALTIES:
        raise ConfigError(
            f"penalty '{config.penalty.name}' needs upright boxes, and task obb has rotated ones. {instead}."
        )
    if config.overlap.name != "iou":
        raise ConfigError(
            f"overlap '{config.overlap.name}' needs upright boxes. For task obb use iou, which is ProbIoU."
        )
    if config.gain.name == "piou2":
        raise ConfigError("gain 'piou2' measures edges of upright boxes. For task obb use nonmonotonic or iou-power.")


def _scaled(boxes: Tensor, ratio: float) -> Tensor:
    centre, size, angle = boxes.split((2, 2, 1), 1)  # type: ignore[no-untyped-call]
    return torch.cat((centre, size * ratio, angle), 1)


def _corners(boxes: Tensor) -> Tensor:
    """(N, 5) xywhr -> (N, 4, 2)."""
    centre, half = boxes[:, None, :2], boxes[:, 2:4] / 2
    cos, sin = boxes[:, 4].cos(), boxes[:, 4].sin()
    along = torch.stack((cos, sin), -1) * half[:, :1]
    across = torch.stack((-sin, cos), -1) * half[:, 1:]
    return centre + torch.stack((along + across, along - across, -along - across, across - along), 1)
