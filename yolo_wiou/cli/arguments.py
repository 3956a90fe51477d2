"""Reading the command line: the `key=value` grammar by Ultralytics' own helpers, and our keys beside theirs."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ultralytics.engine.trainer
import yaml
from torch import nn, optim
from ultralytics.cfg import DEFAULT_CFG_DICT, MODES, TASKS, check_dict_alignment, get_cfg, parse_key_value_pair
from ultralytics.nn.tasks import guess_model_task
from ultralytics.utils.torch_utils import select_device

from yolo_wiou.cli.values import as_list, parse_means, refuse_repeated, split_argument, value
from yolo_wiou.errors import ConfigError, choices
from yolo_wiou.files import check_folder, syntax_error
from yolo_wiou.training.model import YOLO
from yolo_wiou.training.preflight import check_data_file, read_yaml
from yolo_wiou.training.ultralytics_errors import raised_by, users_mistakes
from yolo_wiou.training.weights import check_weights

KNOWN = {**DEFAULT_CFG_DICT, "loss": "wiou3", "noise": 0.3, "audit": True}
"""The arguments that a misspelt one may have been meant to be, each with an example of its value."""

CHOICES = {
    "task": sorted(TASKS),
    "split": ["train", "val", "test"],
    "optimizer": ["auto", "SGD", "MuSGD", "Adam", "Adamax", "AdamW", "NAdam", "RAdam", "RMSProp"],
}
"""Values that Ultralytics checks only when a run has begun."""
FURTHER_CHOICES = {"optimizer": (*dir(optim), *dir(ultralytics.engine.trainer))}
"""Taken too, though not named as valid: the modules from which other releases take their optimizers."""


def is_own(argument: str) -> bool:
    """Whether a `key=value` is ours and not Ultralytics'."""
    key = argument.lstrip("-").partition("=")[0]
    return key in {"loss", "noise", "audit"} or key.startswith(("loss.", "shapes."))


def parse(argv: list[str]) -> dict[str, Any]:
    """Read `[TASK] train key=value …` by the rules of `yolo`; the other arguments override those of a `cfg=` file.

    Raises:
        ConfigError: an argument is neither a task, a mode, nor a `key=value`.
    """
    arguments: dict[str, Any] = {}
    refuse_repeated(filter(is_own, argv))
    for text in argv:
        arguments.update(parse_argument(text.removeprefix("--").rstrip(",")))
    if file := arguments.pop("cfg", None):
        settings = {key: setting for key, setting in read_yaml(file).items() if key != "cfg"}
        settings.pop("save_dir", None)  # a run's args.yaml names its own folder, which is not the new run's
        arguments = {**settings, **arguments}
    arguments.pop("mode", None)
    return arguments


def parse_argument(argument: str) -> dict[str, Any]:
    """Read one argument of the command line; a mode gives none.

    Raises:
        ConfigError: it is neither a task, a mode, nor a `key=value`.
    """
    key, text = split_argument(argument)
    if is_own(argument):
        if "=" not in argument:
            raise ConfigError(f"'{key}' needs a value, with an equals sign: {example(key)}.")
        return {key: one_loss(text) if key == "loss" else value(argument)}
    if "=" in argument:
        with users_mistakes(AssertionError):
            return dict([parse_key_value_pair(argument)])
    if argument in TASKS:
        return {"task": argument}
    if argument in MODES:
        return {}
    if isinstance(DEFAULT_CFG_DICT.get(argument), bool):
        return {argument: True}
    with users_mistakes(SyntaxError, TypeError):
        check_dict_alignment(KNOWN, {argument: ""})
    raise ConfigError(f"'{argument}' needs a value, with an equals sign: {example(argument)}.")


def one_loss(text: str) -> str:
    """Return the loss of a training.

    Raises:
        ConfigError: there are several.
    """
    if len(as_list(text)) > 1:
        raise ConfigError(
            f"'loss={text}': a training has one loss. To compare several: yolo-wiou compare losses={text}"
        )
    return text


def example(key: str) -> str:
    """Return an argument as it is to be written."""
    default = KNOWN.get(key)
    return f"{key}={'VALUE' if default is None else default}"


def parse_options(argv: list[str], defaults: dict[str, Any]) -> dict[str, Any]:
    """Read the `key=value` of one of our own commands; a dotted `loss.…` is taken beside the command's own keys.

    >>> parse_options(["points=9", "loss.gain.delta=5"], {"points": 5000, "out": "runs/simulate"})
    {'points': 9, 'out': 'runs/simulate', 'loss.gain.delta': 5}

    Raises:
        ConfigError: an unknown key, or a value of another type than the default's.
    """
    refuse_repeated(argv)
    options = dict(defaults)
    for argument in argv:
        key, text = split_argument(argument)
        if key not in defaults and not key.startswith("loss."):
            raise ConfigError(f"unknown option '{key}'. {choices(key, defaults)}")
        default = defaults.get(key)
        option = text if isinstance(default, str) and text else value(argument)
        if isinstance(default, list):
            option = parse_means(key, text)
        if isinstance(default, bool) and type(option) is not bool:
            raise ConfigError(f"'{key}' is true or false, not '{text}'.")
        if isinstance(default, float) and not (isinstance(option, int | float) and 0 <= option < math.inf):
            raise ConfigError(f"'{key}' needs one number, 0 or above, not '{text}'.")
        if type(default) is int and (type(option) is not int or option < min(default, 1)):
            raise ConfigError(f"'{key}' needs one whole number, {min(default, 1)} or above, not '{text}'.")
        options[key] = option
    return options


def check_arguments(arguments: dict[str, Any], known: Mapping[str, Any] = KNOWN) -> None:
    """Check what Ultralytics will be given before anything is written: names, values, the data file, the device.

    Args:
        arguments: what the user wrote.
        known: what a misspelt name may have been meant to be.

    Raises:
        ConfigError: in Ultralytics' own words.
    """
    with users_mistakes(SyntaxError, TypeError):
        check_dict_alignment(known, arguments)
    if arguments.get("augmentations") is not None:
        raise ConfigError(
            "'augmentations' takes Albumentations' objects, which a command line has none of: "
            "from yolo_wiou import YOLO; YOLO('yolo11n.pt').train(augmentations=[...], loss='wiou3', ...)."
        )
    with users_mistakes(SyntaxError, TypeError, ValueError):
        get_cfg(DEFAULT_CFG_DICT, arguments)
    for key in CHOICES.keys() & arguments.keys():
        valid, given = CHOICES[key], str(arguments[key])
        if given.lower() not in map(str.lower, (*valid, *FURTHER_CHOICES.get(key, ()))):
            raise ConfigError(f"'{key}={given}' is unknown. {choices(given, valid)}")
    if isinstance(pretrained := arguments.get("pretrained"), str):
        if not pretrained.endswith(".pt"):
            raise ConfigError(f"'pretrained={pretrained}' is no file of weights: it needs a .pt, True or False.")
        check_weights(pretrained)
    imgsz = arguments.get("imgsz", 640)
    for size in imgsz if isinstance(imgsz, list | tuple) else [imgsz]:
        if type(size) is not int or size <= 0:
            raise ConfigError(f"'imgsz={imgsz}' is not an image size: pixels as a whole number, e.g. imgsz=640.")
    batch = arguments.get("batch", 16)
    is_number = type(batch) is int and (batch >= 1 or batch == -1)
    if not (is_number or (isinstance(batch, float) and 0 < batch < 1)):
        raise ConfigError(
            f"'batch={batch}' is not a batch size: images as a whole number, e.g. batch=16; a training takes -1 too, "
            "and a share of the GPU's memory, e.g. batch=0.7."
        )
    for data in as_list(arguments.get("data"), separator=None):
        if data.endswith((".yaml", ".yml")):
            check_data_file(data)
    if arguments.get("device") is not None:
        with users_mistakes(ValueError):
            select_device(arguments["device"], verbose=False)


def find_model(name: str, task: str | None) -> YOLO:
    """Build or load the model that a training starts from.

    Raises:
        ConfigError: there is none, it cannot be trained, or it is one of another task.
    """
    try:
        with users_mistakes(AssertionError, NameError, SyntaxError, TypeError, ValueError, OSError):
            model = YOLO(name, task=task)
    except (ConfigError, yaml.YAMLError) as error:  # which of them depends on the release
        raise syntax_error(Path(name), error) or error from error
    except (LookupError, RuntimeError) as error:
        if raised_by(error) != "ultralytics":
            raise
        why = f"it has no {error}." if isinstance(error, LookupError) else str(error)
        raise ConfigError(f"'{name}' describes no model: {why}") from error
    if not isinstance(model.model, nn.Module):
        raise ConfigError(
            f"'{name}' is an exported model, which cannot be trained: model= needs weights (.pt) or a YAML."
        )
    if task and (own_task := guess_model_task(model.model.yaml) or task) != task:
        raise ConfigError(f"'model={name}' is a model of task {own_task}, not {task}.")
    return model


def out_folder(option: Any) -> Path:
    """Read an `out=`, before anything is computed for it.

    Raises:
        ConfigError: a file is in its place, or above it, or nothing may be written there.
    """
    folder = Path(str(option))
    check_folder(folder, f"out={option}")
    return folder


def absolute(path: str) -> str:
    """Return the full path of a file that is there; a name that Ultralytics finds stays as it is."""
    return str(Path(path).resolve()) if Path(path).exists() else path
