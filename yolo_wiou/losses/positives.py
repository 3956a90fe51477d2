"""Positives: what a gain may know of the boxes of a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from yolo_wiou.losses._geometry import lazy_property
from yolo_wiou.losses.boxes import BoxPair
from yolo_wiou.losses.memory import LabelMemory
from yolo_wiou.losses.rotated import RotatedPair
from yolo_wiou.losses.running_mean import RunningMean

AnyPair: TypeAlias = BoxPair | RotatedPair


@dataclass(frozen=True)
class Objects:
    """Which object, or label, each box predicts.

    Attributes:
        index: (N,) int64, that of each box, from 0.
        count: how many there may be, so that nobody has to ask the device.
    """

    index: Tensor
    count: int

    def mean(self, values: Tensor) -> Tensor:
        """Return for each box the mean over all boxes of its object, (N,) -> (N,)."""
        sums = values.new_zeros(2, self.count).index_add_(1, self.index, torch.stack((values, torch.ones_like(values))))
        return (sums[0] / sums[1])[self.index]


@dataclass
class Positives:
    """The N boxes of a step. A gain asks for these attributes by the names of its parameters.

    Attributes:
        geometry: makes `pair`, for a gain that asks for it.
        loss: (N,) what the gain will weigh, 1 − overlap + penalty; None before there is one.
        assigned_weight: (N,) the assigner's weight of each box, in the dtype of the losses; None outside a trainer.
        objects: the object of each box; None where every box has one of its own.
        running_mean: of the IoU loss.
        labels: the label of the training split that each box predicts, the same number in every epoch; None where
            nobody numbers them: outside a trainer, in validation, in RT-DETR's auxiliary layers.
        memory: of these labels; None where no gain asks for it.
    """

    geometry: Callable[[], AnyPair]
    loss: Tensor | None
    assigned_weight: Tensor | None
    objects: Objects | None
    running_mean: RunningMean
    labels: Objects | None = None
    memory: LabelMemory | None = None

    @lazy_property
    def pair(self) -> AnyPair:
        """Geometry of predictions and targets."""
        return self.geometry()

    @property
    def weight(self) -> Tensor:
        """(N,) what a box weighs in the sum over the batch: the assigner's weight, or 1."""
        return torch.ones_like(self.pair.iou_loss) if self.assigned_weight is None else self.assigned_weight

    @property
    def mean(self) -> Tensor:
        """() running mean of the IoU loss of all positives."""
        return self.running_mean.mean

    @property
    def expected(self) -> Tensor:
        """(N,) running mean of the IoU loss of targets as large as each box's."""
        return self.running_mean.by_size(self.pair.size_class)

    @property
    def first(self) -> Callable[[Tensor], Tensor]:
        """Turns the two sums of a step, (2,), into those of the first step that had any."""
        return self.running_mean.at_first

    @property
    def misfit(self) -> Tensor:
        """(N,) IoU loss of each box's object: the mean over all its boxes."""
        return self.objects.mean(self.pair.iou_loss) if self.objects else self.pair.iou_loss

    @property
    def excess(self) -> Tensor:
        """(N,) misfit of each box's label above the expected, in the epochs before, or in this step without numbers."""
        if self.memory is not None and self.labels:
            return self.memory.recall(self.labels.index)
        return self.misfit - self.expected
