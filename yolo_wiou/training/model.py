"""YOLO: Ultralytics' YOLO, whose `train` takes `loss=`."""

from __future__ import annotations

from typing import Any

import ultralytics
from ultralytics.engine.trainer import BaseTrainer

from yolo_wiou.config import LossConfig, load_config, take_loss
from yolo_wiou.losses.rotated import check_rotated
from yolo_wiou.registry import ConfigError
from yolo_wiou.training.files import checkpoint_to_resume
from yolo_wiou.training.trainer import DetectionTrainer, OBBTrainer, PoseTrainer, SegmentationTrainer

TRAINERS: dict[str, type[BaseTrainer]] = {
    "detect": DetectionTrainer,
    "segment": SegmentationTrainer,
    "pose": PoseTrainer,
    "obb": OBBTrainer,
}
"""Our trainer of every task that regresses boxes."""
NO_TUNE = (
    "tune runs plain 'yolo train' processes, which know CIoU alone. Tune with Ray, which runs this package: "
    "YOLO(...).tune(use_ray=True, loss=...); or train with several values of loss.gain.delta and compare."
)


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
        if kwargs.get("resume") is True:  # what cannot be resumed Ultralytics would train anew
            checkpoint_to_resume(self.ckpt_path or self.model_name)
        if loss is None:
            loss = self.overrides.get("loss")  # of `tune`
        if loss is not None:
            kwargs["loss"] = loss
        config = take_loss(kwargs)
        if config:
            check_loss(self.task, config)
            kwargs["loss"] = config.spec
        return super().train(trainer=trainer or TRAINERS.get(self.task), **kwargs)

    def tune(self, use_ray: bool = False, iterations: int = 10, *args: Any, loss: Any = None, **kwargs: Any) -> Any:
        """Tune with Ray Tune, whose workers train with this class, and with `loss`.

        Args:
            use_ray: has to be true: Ultralytics' own tuner runs plain `yolo train`, which would train CIoU silently.
            iterations: as in Ultralytics, as is everything else.
            *args: likewise.
            loss: as in `train`; a search space may hold its settings, `space={"loss.gain.delta": tune.uniform(2, 5)}`.
            **kwargs: any argument of Ultralytics' `tune`, and settings of the loss.

        Returns:
            What Ultralytics' `tune` returns.

        Raises:
            ConfigError: not with Ray, or the loss is wrong or has no meaning for the task.
        """
        if not use_ray:
            raise ConfigError(NO_TUNE)
        config = take_loss(kwargs, {} if loss is None else {"loss": loss}) or load_config()
        check_loss(self.task, config)
        self.overrides["loss"] = config.spec  # travels to the workers; Ray's own arguments have no room for it
        try:
            return super().tune(use_ray, iterations, *args, **kwargs)
        finally:
            del self.overrides["loss"]
