"""YOLO: Ultralytics' YOLO, whose `train` takes `loss=`."""

from __future__ import annotations

from typing import Any

import ultralytics
from ultralytics.engine.trainer import BaseTrainer

from yolo_wiou.config import LossConfig, take_loss
from yolo_wiou.losses.rotated import check_rotated
from yolo_wiou.registry import ConfigError
from yolo_wiou.training.trainer import DetectionTrainer, OBBTrainer, PoseTrainer, SegmentationTrainer

TRAINERS: dict[str, type[BaseTrainer]] = {
    "detect": DetectionTrainer,
    "segment": SegmentationTrainer,
    "pose": PoseTrainer,
    "obb": OBBTrainer,
}
"""Our trainer of every task that regresses boxes."""


def check_loss(task: str, loss: LossConfig) -> None:
    """Refuse a loss that has no meaning for a task.

    Raises:
        ConfigError: the task has no boxes, or the loss needs upright ones and the task has rotated ones.
    """
    if task not in TRAINERS:
        raise ConfigError(f"task '{task}' has no box loss. 'loss=' works with: {', '.join(TRAINERS)}.")
    if task == "obb":
        check_rotated(loss)


class YOLO(ultralytics.YOLO):
    """Ultralytics' YOLO with `loss=` in `train`; everything else is inherited.

    Example:
        >>> model = YOLO("yolo11n.yaml")
        >>> results = model.train(data="my.yaml", loss="wiou3", epochs=100)  # doctest: +SKIP
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Build or load the model, as Ultralytics does.

        Raises:
            ConfigError: Ultralytics makes another class of it, whose box loss cannot be exchanged yet.
        """
        super().__init__(*args, **kwargs)
        if not isinstance(self, YOLO):  # Ultralytics' own __init__ has changed the class
            raise ConfigError(
                f"the box loss of {type(self).__name__} models cannot be exchanged yet. "
                f"Use a YOLO for {', '.join(TRAINERS)}, or ultralytics.{type(self).__name__} for its own loss."
            )

    def train(self, trainer: Any = None, *, loss: Any = None, **kwargs: Any) -> Any:
        """Train with a box loss.

        Args:
            trainer: a trainer class, as in Ultralytics; ours by default.
            loss: a preset's name, a YAML file, a mapping or a LossConfig; wiou3 by default. A resumed run has its own.
            **kwargs: any argument of Ultralytics' `train`, and settings of the loss (`**{"loss.gain.delta": 5}`).

        Returns:
            What Ultralytics' `train` returns.

        Raises:
            ConfigError: the loss is wrong, has no meaning for the task, or differs from that of the resumed run.
        """
        if loss is not None:
            kwargs["loss"] = loss
        config = take_loss(kwargs)
        if config:
            check_loss(self.task, config)
            kwargs["loss"] = config.spec
        return super().train(trainer=trainer or TRAINERS.get(self.task), **kwargs)

    def tune(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse: Ultralytics tunes in processes of plain `yolo train`, which would train CIoU without a word.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "tune runs plain 'yolo train' processes, which know CIoU alone. Tune with ultralytics.YOLO, then train "
            "with this one; or train with several values of loss.gain.delta and compare."
        )
