"""Label identity: which label of the training split each target of a step is.

The numbers of the labels travel through Ultralytics' data pipeline in place of their classes, the one column that every
augmentation keeps with its box. They begin there above all classes, so that a class stays a class wherever no number is
carried, and float32 holds them exactly. What computes with classes gets them back: the batch, and the head's assigner.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from ultralytics.data.dataset import YOLODataset
from ultralytics.models.rtdetr.val import RTDETRDataset

from yolo_wiou.data.label_lines import find_lines
from yolo_wiou.errors import ConfigError
from yolo_wiou.losses.positives import Objects

FIRST = 2**16
"""What stands for the first label; every class is below."""
MOST = 2**24 - FIRST
"""How many labels there may be: float32 counts no further."""


class NumberedLabels(YOLODataset):
    """Gives out the numbers of its labels in place of their classes, from FIRST on; a mixin.

    Attributes:
        first: (images + 1,) the number of each image's first label.
    """

    first: NDArray[np.int64]

    def get_image_and_label(self, index: int) -> dict[str, Any]:
        """Return an image and its labels, as every augmentation asks for them."""
        label: dict[str, Any] = super().get_image_and_label(index)
        numbers = np.arange(self.first[index], self.first[index + 1], dtype=np.float32)
        label["cls"] = FIRST + numbers[:, None]
        return label


class NumberedDataset(NumberedLabels, YOLODataset):
    """Ultralytics' YOLODataset, numbered."""


class NumberedRTDETRDataset(NumberedLabels, RTDETRDataset):
    """Ultralytics' RTDETRDataset, numbered."""


NUMBERED: dict[type, type] = {YOLODataset: NumberedDataset, RTDETRDataset: NumberedRTDETRDataset}
"""Module-level classes, which a data loader's processes can import."""


class LabelIds:
    """Numbers the labels of a training split, image by image as Ultralytics sorts them, row by row as it read them.

    Args:
        dataset: the split, which gives out numbers from now on.

    Attributes:
        classes: (L,) float32, the class of each label, on the host.
        copies: of them on every device that has asked.

    Raises:
        ConfigError: the data set is none of Ultralytics' own, or has too many labels.
    """

    def __init__(self, dataset: Any) -> None:
        """Number the labels of a data set."""
        if type(dataset) not in NUMBERED:
            raise ConfigError(f"the labels of a {type(dataset).__name__} cannot be told apart, only a YOLODataset's.")
        self.rows: list[dict[str, Any]] = dataset.labels  # not the images that the data set may hold
        self.is_single = bool(dataset.single_cls)
        self.classes = torch.from_numpy(np.concatenate([row["cls"] for row in self.rows]).astype(np.float32)[:, 0])
        self.copies: dict[torch.device, Tensor] = {}
        if len(self) > MOST or len(dataset.data["names"]) > FIRST:
            raise ConfigError(
                f"{len(self):,} labels cannot be told apart: there may be {MOST:,}, of {FIRST:,} classes."
            )
        dataset.first = np.cumsum([0, *(len(row["cls"]) for row in self.rows)])
        dataset.__class__ = NUMBERED[type(dataset)]

    def __len__(self) -> int:
        """Return the number of labels."""
        return len(self.classes)

    def fingerprint(self) -> int:
        """Return a checksum of all labels in their order: what is known of each by its number is then still of it."""
        return zlib.crc32(self.boxes().tobytes(), zlib.crc32(self.classes.numpy().tobytes()))

    def give_to(self, head: Any) -> None:
        """Let a head's box loss tell labels apart, and remember them if its gain asks for that."""
        head.label_ids = self
        head.box_loss.remember(len(self), self.fingerprint())

    def read(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return the labels' numbers, int64 and -1 where there is none, and the classes; both of the values' shape."""
        if values.device not in self.copies:
            self.copies[values.device] = self.classes.to(values.device)
        numbers = (values - FIRST).clamp(min=-1).long()
        classes = self.copies[values.device].to(values.dtype)[numbers.clamp(min=0)] if len(self) else values
        return numbers, torch.where(numbers < 0, values, classes)

    def of(self, numbers: Tensor, objects: Objects) -> Objects:
        """Return the label that each box predicts, of the numbers of the objects, (O,), and the object of each box."""
        return Objects(numbers[objects.index], len(self))

    def restore_masks(self, batch: dict[str, Any]) -> None:
        """Put classes in place of numbers into the masks of classes, which segment's batches have since 8.4."""
        if "sem_masks" in batch:
            batch["sem_masks"] = self.read(batch["sem_masks"])[1]

    def with_classes(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return the batch with classes in place of numbers, for what shows or matches them."""
        return {**batch, "cls": self.read(batch["cls"].to(batch["img"].device, non_blocking=True))[1]}

    def boxes(self) -> NDArray[np.float32]:
        """Return the labels' boxes, (L, 4) cx, cy, w, h as shares of the image."""
        return np.concatenate([np.zeros((0, 4), np.float32), *(row["bboxes"] for row in self.rows)])

    def lines(self) -> list[tuple[str, int]]:
        """Return where each label stands: its image's path, and the line of its label file, from 1.

        Raises:
            ConfigError: a label is not in its file.
        """
        return [(row["im_file"], line) for row in self.rows for line in find_lines(row, self.is_single).lines]
