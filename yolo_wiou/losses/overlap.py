"""Overlaps: how much two boxes share, 1 where they are equal. (N,) each."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from yolo_wiou.losses.boxes import BoxPair, norm2
from yolo_wiou.registry import Number
from yolo_wiou.sections import OVERLAPS


@OVERLAPS.register("iou")
def iou(pair: BoxPair) -> Tensor:
    """Intersection over union."""
    return pair.iou


@OVERLAPS.register("nwd")
def nwd(pair: BoxPair, *, constant: Annotated[Number, Field(gt=0, le=1e4)] = 12.8) -> Tensor:
    """Normalised Wasserstein distance of the boxes as Gaussians: exp(−W/K), K in pixels (2110.13389).

    W² = ρ² + (Δw² + Δh²)/4. K is the data set's mean object size √(w·h) in pixels of the network's input; 12.8 is
    AI-TOD's. W is held above 1e-7 pixels, where the authors' code adds a constant: √ has no slope at 0.
    """
    wasserstein2 = pair.distance2 + norm2(pair.size - pair.target_size) / 4
    pixels2 = wasserstein2 * torch.as_tensor(pair.stride, device=wasserstein2.device).square()
    return torch.exp(-pixels2.clamp(min=1e-14).sqrt() / constant)


@OVERLAPS.register("none")
def none(pair: BoxPair) -> Tensor:
    """No overlap term, for a penalty that is a whole loss of its own."""
    return torch.ones_like(pair.size[0])


def focaler(overlap: Tensor, interval: tuple[float, float]) -> Tensor:
    """Focaler-IoU: map the interval (d, u) to (0, 1), flat outside (2401.10525).

    That it takes the place of IoU in any loss follows the known codes; the printed composition is UNVERIFIED.
    """
    low, high = interval
    return overlap if interval == (0.0, 1.0) else ((overlap - low) / (high - low)).clamp(0, 1)
