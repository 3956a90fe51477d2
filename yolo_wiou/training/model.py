"""YOLO, RTDETR, YOLOWorld and YOLOE: Ultralytics' own, whose `train` takes `loss=`."""

from pathlib import Path
from typing import Any

import ultralytics
from ultralytics.cfg import cfg2dict
from ultralytics.engine.model import Model
from ultralytics.nn.modules import RTDETRDecoder
from ultralytics.utils import LOGGER
from ultralytics.utils.checks import check_yaml

from yolo_wiou.errors import ConfigError
from yolo_wiou.losses import LossConfig, load_config
from yolo_wiou.losses.presets import as_plain, belongs_to_loss, take_loss
from yolo_wiou.training.crash_safety import checkpoint_to_resume
from yolo_wiou.training.families import trainer_for
from yolo_wiou.training.weights import check_weights

NO_TUNE = (
    "tune runs plain 'yolo train' processes, which know CIoU alone. Tune with Ray, which runs this package: "
    "YOLO(...).tune(use_ray=True, loss=...); or compare several values: "
    "yolo-wiou compare loss.gain.delta=3,4,5 seeds=7."
)


class BoxLossModel(Model):
    """Adds `loss=` to `train` and `tune`; a mixin that stands before a stock model of Ultralytics among the bases.

    Weights that cannot be loaded raise ConfigError, before Ultralytics goes to the network or executes them.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Build or load the model; as in Ultralytics."""
        check_weights(args[0] if args else kwargs.get("model"))
        super().__init__(*args, **kwargs)

    def load(self, *args: Any, **kwargs: Any) -> Any:
        """Load weights into the model; as in Ultralytics."""
        check_weights(args[0] if args else kwargs.get("weights"))
        return super().load(*args, **kwargs)

    def check_loss(self, loss: LossConfig) -> None:
        """Refuse a loss that this model cannot train with.

        Raises:
            ConfigError: it has no boxes, or boxes of a kind for which the loss has no meaning.
        """
        trainer_for(self._smart_load("trainer")).check_loss(loss)

    def train(self, trainer: Any = None, *, loss: Any = None, audit: Any = None, **kwargs: Any) -> Any:
        """Train with a box loss.

        Args:
            trainer: a trainer class, as in Ultralytics; for a stock one, ours of the same kind is taken.
            loss: a preset's name, a YAML file, a mapping or a LossConfig; Ultralytics' own by default. A resumed run
                has its own.
            audit: record what the training sees of every label (`yolo_wiou.training.label_history`). A resumed run goes
                on as it was.
            **kwargs: any argument of Ultralytics' `train`, and settings of the loss (`**{"loss.gain.delta": 5}`).

        Returns:
            What Ultralytics' `train` returns.

        Raises:
            ConfigError: the loss is wrong, has no meaning for the task, or differs from that of the resumed run.
        """
        if kwargs.get("resume") is True:  # Ultralytics starts a new training where it cannot resume one
            checkpoint_to_resume(self.ckpt_path or self.model_name)
        if loss is None:
            loss = self.overrides.get("loss")  # of `tune`
        if loss is not None:
            kwargs["loss"] = loss
        if audit is not None:
            kwargs["audit"] = audit
        file = cfg2dict(check_yaml(kwargs["cfg"])) if kwargs.get("cfg") else {}
        try:
            trainer = trainer_for(trainer or self._smart_load("trainer"))
            if config := take_loss({**file, **kwargs}):  # as the trainer does, whose errors `data=[a, b]` swallows
                trainer.check_loss(config)
        except ConfigError as error:
            if "audit" in {*file, *kwargs} or any(map(belongs_to_loss, (*file, *kwargs))):
                raise
            LOGGER.warning(f"yolo-wiou: {error} This run is Ultralytics' own.")
        return super().train(trainer=trainer, **kwargs)

    def tune(self, use_ray: bool = False, iterations: int = 10, *args: Any, loss: Any = None, **kwargs: Any) -> Any:
        """Tune with Ray Tune, whose workers train with this class, and with `loss`.

        Args:
            use_ray: has to be true: Ultralytics' own tuner runs plain `yolo train`, which would train CIoU silently.
            iterations: as in Ultralytics.
            *args: as in Ultralytics.
            loss: as in `train`; a search space may hold its settings, `space={"loss.gain.delta": tune.uniform(2, 5)}`.
            **kwargs: any argument of Ultralytics' `tune`, and settings of the loss.

        Returns:
            What Ultralytics' `tune` returns.

        Raises:
            ConfigError: `use_ray` is false, or the loss is wrong or has no meaning for the task.
        """
        if not use_ray:
            raise ConfigError(NO_TUNE)
        asked = take_loss(kwargs, {} if loss is None else {"loss": loss})
        config = asked or load_config(trainer_for(self._smart_load("trainer")).stock_loss)
        self.check_loss(config)
        self.overrides["loss"] = as_plain(config)  # reaches the workers; Ray's arguments cannot hold it
        try:
            return super().tune(use_ray, iterations, *args, **kwargs)
        finally:
            del self.overrides["loss"]


class RTDETR(BoxLossModel, ultralytics.RTDETR):
    """Ultralytics' RTDETR with `loss=` in `train`, in place of its GIoU term; everything else is inherited."""


class YOLOWorld(BoxLossModel, ultralytics.YOLOWorld):
    """Ultralytics' YOLOWorld with `loss=` in `train`; everything else is inherited."""


KINDS: dict[type, type[BoxLossModel]] = {ultralytics.RTDETR: RTDETR, ultralytics.YOLOWorld: YOLOWorld}
"""The classes that Ultralytics' YOLO turns itself into, depending on the model, and ours in their place."""

if hasattr(ultralytics, "YOLOE"):  # since 8.3.99

    class YOLOE(BoxLossModel, ultralytics.YOLOE):
        """Ultralytics' YOLOE with `loss=` in `train`; everything else is inherited."""

    KINDS[ultralytics.YOLOE] = YOLOE


class YOLO(BoxLossModel, ultralytics.YOLO):
    """Ultralytics' YOLO with `loss=` in `train`; everything else is inherited.

    Example:
        >>> model = YOLO("yolo11n.yaml")
        >>> results = model.train(data="my.yaml", loss="wiou3", epochs=100)  # doctest: +SKIP
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Build or load the model; as in Ultralytics, it becomes an RTDETR, YOLOWorld or YOLOE for their files."""
        file = Path(str(args[0] if args else kwargs.get("model", "")))
        if "rtdetr" in file.stem.lower() and file.suffix in {".yaml", ".yml"}:  # as the command `yolo` does
            self.__class__, self.__dict__ = RTDETR, RTDETR(str(file)).__dict__
            return
        super().__init__(*args, **kwargs)
        if not isinstance(self, YOLO):  # Ultralytics' own __init__ has changed the class
            self.__class__ = KINDS[type(self)]
        elif isinstance(getattr(self.model, "model", [None])[-1], RTDETRDecoder):  # older releases don't check
            self.__class__, self.__dict__ = RTDETR, RTDETR(str(file)).__dict__
