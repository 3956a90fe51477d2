"""What an audit is of: the model that judges and the data set that is judged, found, and seen to fit one another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yolo_wiou.errors import ConfigError, choices
from yolo_wiou.files import read_mapping
from yolo_wiou.training.families import is_untrained
from yolo_wiou.training.model import YOLO
from yolo_wiou.training.preflight import check_split, describe, no_split

TASKS = ("detect", "obb", "pose", "segment")


def of_run(folder: Path, given: Path | str | None = None) -> tuple[Path | str | None, str]:
    """Return the data set of a training and its checkpoint: the best one, or the last where there is no best.

    Args:
        folder: the training's.
        given: a data set to take in place of the training's own.

    Raises:
        ConfigError: it is no run's folder, has no checkpoint, or its data set is not here: nobody has asked for a
            download.
    """
    if folder.is_file():
        raise ConfigError(f"'run={folder}' is a file: run= takes the folder of a training, model= a checkpoint.")
    settings = read_mapping(folder / "args.yaml")
    weights = [file for name in ("best", "last") if (file := folder / "weights" / f"{name}.pt").is_file()]
    if not weights:
        raise ConfigError(f"'run={folder}' has no checkpoint yet.")
    own = None if given else settings.get("data")
    try:
        if own:
            describe(own, autodownload=False)
    except ConfigError as error:
        raise ConfigError(
            f"'run={folder}' was trained on '{own}', which cannot be read from here: {error}. data=FILE.yaml says "
            "where it is now."
        ) from error
    return given or own, str(weights[0])


def known_data(detector: Any) -> Any:
    """Return the data set that a model was trained on, if it is here: nobody has asked for a download."""
    data = detector.overrides.get("data")
    try:
        return data if data and describe(data, autodownload=False) else None
    except ConfigError:
        return None


def load_detector(model: Any) -> Any:
    """Load a checkpoint, unless it is loaded.

    Raises:
        ConfigError: there is none, it is not trained, or labels of its task cannot be audited.
    """
    if model is None:
        raise ConfigError("which model? model=best.pt, or run=runs/detect/train for a training's own.")
    if isinstance(model, (str, Path)):
        check_checkpoint(model)
        model = YOLO(str(model))
    check_task(model)
    return model


def check_task(model: Any) -> None:
    """Refuse a model of a task whose labels cannot be audited, or of a family that cannot judge them.

    Raises:
        ConfigError: with the tasks whose labels can.
    """
    if "YOLOE" in {kind.__name__ for kind in type(model).__mro__}:
        raise ConfigError("a YOLOE cannot judge labels: it is validated by texts or pictures of the classes.")
    if model.task not in TASKS:
        raise ConfigError(f"labels of task {model.task} cannot be audited, boxes can. {choices(model.task, TASKS)}")


def check_checkpoint(model: Path | str) -> None:
    """Refuse what holds no trained weights.

    Raises:
        ConfigError: with what is needed.
    """
    if (Path(model) / "args.yaml").is_file():
        raise ConfigError(f"'model={model}' is the folder of a training: run={model}.")
    if not str(model).endswith(".pt"):
        raise ConfigError(f"'model={model}' is no checkpoint: an audit needs trained weights, a file .pt.")
    if is_untrained(model):
        raise ConfigError(f"'model={model}' cannot judge labels: it was not trained on a data set's classes.")


def check_batch(batch: Any) -> None:
    """Refuse a batch size that is no number of images; a training takes others, for what fits into memory.

    Raises:
        ConfigError: it is none.
    """
    if batch is not None and (type(batch) is not int or batch < 1):
        raise ConfigError(f"'batch={batch}' is no number of images, which an audit needs: 1 or above.")


def reads_one_class(detector: Any, arguments: Mapping[str, Any]) -> bool:
    """Whether all classes are read as one: as an argument says, or the training that a checkpoint is of."""
    return bool(arguments.get("single_cls", detector.overrides.get("single_cls")))


def check(data: Any, detector: Any, split: str, is_single: bool) -> dict[str, Any]:
    """See that a data set is there and fits the detector; returns Ultralytics' description of it.

    Raises:
        ConfigError: says why not.
    """
    if not data:
        raise ConfigError("which data set? data=my.yaml")
    if not (description := describe(data)):
        raise ConfigError(f"'{data}' cannot be audited: it needs a YAML file, with images and label files.")
    if not description.get(split):
        raise no_split(str(data), split, description)
    if len(detector.names) != len(description["names"]) and not is_single:
        raise ConfigError(
            f"the model knows {len(detector.names)} classes and '{data}' has {len(description['names'])}: an audit "
            "needs a model that was trained on these classes."
        )
    check_split(split, description, detector.task, single_cls=is_single)
    return description
