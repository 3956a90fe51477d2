"""Reading the command line: the `key=value` grammar by Ultralytics' own helpers, and our keys beside theirs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ultralytics.engine.trainer
import yaml
from torch import nn, optim
from ultralytics.cfg import DEFAULT_CFG_DICT, MODES, TASKS, check_dict_alignment, get_cfg, parse_key_value_pair
from ultralytics.nn.tasks import guess_model_task, torch_safe_load
from ultralytics.utils import checks
from ultralytics.utils.torch_utils import select_device

from yolo_wiou.config import DEFAULT_LOSS, read_mapping
from yolo_wiou.datasets import check_data, several
from yolo_wiou.plain_words import in_plain_words
from yolo_wiou.registry import ConfigError, choices
from yolo_wiou.training.model import YOLO

KNOWN = {**DEFAULT_CFG_DICT, "loss": DEFAULT_LOSS, "noise": 0.3}
"""What a misspelt argument may have been meant to be, with an example."""

CHOICES = {
    "task": sorted(TASKS),
    "split": ["train", "val", "test"],
    "optimizer": ["auto", "SGD", "MuSGD", "Adam", "Adamax", "AdamW", "NAdam", "RAdam", "RMSProp"],
}
"""What Ultralytics finds wrong only when a run has begun."""
BESIDES = {"optimizer": (*dir(optim), *dir(ultralytics.engine.trainer))}
"""Taken too, though not named as valid: where other releases have their optimizers from."""


def is_own(word: str) -> bool:
    """Whether a `key=value` is ours and not Ultralytics'."""
    key = word.lstrip("-").partition("=")[0]
    return key in {"loss", "noise"} or key.startswith(("loss.", "shapes."))


def parse(words: list[str]) -> dict[str, Any]:
    """Read `[TASK] train key=value …` by the rules of `yolo`; a file given by `cfg=` comes before the other words.

    Raises:
        ConfigError: a word is neither a task, a mode, nor an argument.
    """
    arguments: dict[str, Any] = {}
    for raw in words:
        word = raw.removeprefix("--").rstrip(",")
        key, equals, value = word.partition("=")
        if is_own(word):
            if not equals:
                raise ConfigError(f"'{key}' needs a value, with an equals sign: {example(key)}.")
            arguments[key] = value if key == "loss" else own_value(word)
        elif equals:
            arguments.update([in_plain_words(parse_key_value_pair, word)])
        elif word in TASKS:
            arguments["task"] = word
        elif word not in MODES:
            if not isinstance(DEFAULT_CFG_DICT.get(word), bool):
                in_plain_words(check_dict_alignment, KNOWN, {word: ""})
                raise ConfigError(f"'{word}' needs a value, with an equals sign: {example(word)}.")
            arguments[word] = True
    file = arguments.pop("cfg", None)
    if file:
        arguments = {**read_mapping(Path(in_plain_words(checks.check_yaml, file))), **arguments}
    arguments.pop("mode", None)
    return arguments


def example(key: str) -> str:
    """Return an argument as it is to be written."""
    default = KNOWN.get(key)
    return f"{key}={'VALUE' if default is None else default}"


def own_value(word: str) -> Any:
    """Read the value of one of our `key=value` as YAML."""
    key, _, value = word.partition("=")
    if not value:
        raise ConfigError(f"'{key}' needs a value: {key}=...")
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"cannot read the value of '{key}': {value}") from error


def parse_options(words: list[str], defaults: dict[str, Any]) -> dict[str, Any]:
    """Read the `key=value` of one of our own commands; a dotted `loss.…` is taken beside the command's own keys.

    Raises:
        ConfigError: an unknown key, or a value of another type than the default's.
    """
    options = dict(defaults)
    for word in words:
        key, _, value = word.partition("=")
        if key not in defaults and not key.startswith("loss."):
            raise ConfigError(f"unknown option '{key}'. {choices(key, defaults)}")
        default = defaults.get(key)
        given = value if isinstance(default, str) and value else own_value(word)
        if isinstance(default, list):
            given = numbers(key, value)
        if isinstance(default, int) and (type(given) is not int or given < min(default, 1)):
            raise ConfigError(f"'{key}' needs one whole number, {min(default, 1)} or above, not '{value}'.")
        options[key] = given
    return options


def numbers(key: str, value: str) -> list[float]:
    """Read `0.2,0.5` as means of the IoU loss, above 0 and up to 1."""
    try:
        read = [float(item) for item in value.strip("[]").split(",")]
    except ValueError:
        read = []
    if not read or not all(0 < number <= 1 for number in read):
        raise ConfigError(f"'{key}' needs numbers above 0, up to 1, e.g. {key}=0.2,0.5, not '{value}'.")
    return read


def check_arguments(arguments: dict[str, Any], known: Mapping[str, Any] = KNOWN) -> None:
    """Check what Ultralytics will be given before anything is written: names, values, the data file, the device.

    Args:
        arguments: what the user wrote.
        known: what a misspelt name may have been meant to be.

    Raises:
        ConfigError: in Ultralytics' own words.
    """
    in_plain_words(check_dict_alignment, known, arguments)
    in_plain_words(get_cfg, DEFAULT_CFG_DICT, arguments)
    for key in CHOICES.keys() & arguments.keys():
        valid, word = CHOICES[key], str(arguments[key])
        if word.lower() not in map(str.lower, (*valid, *BESIDES.get(key, ()))):
            raise ConfigError(f"'{key}={word}' is unknown. {choices(word, valid)}")
    if isinstance(pretrained := arguments.get("pretrained"), str):
        in_plain_words(torch_safe_load, pretrained)
    imgsz = arguments.get("imgsz", 640)
    for size in imgsz if isinstance(imgsz, list | tuple) else [imgsz]:
        if type(size) is not int or size <= 0:
            raise ConfigError(f"'imgsz={imgsz}' is not an image size: pixels as a whole number, e.g. imgsz=640.")
    for data in several(arguments.get("data")):
        if str(data).endswith((".yaml", ".yml")):
            check_data(data)
    if arguments.get("device") is not None:
        in_plain_words(select_device, arguments["device"], verbose=False)
    if Path(str(arguments.get("project") or "")).is_absolute():  # releases differ in where a relative one lies
        out_folder(arguments["project"], "project")


def find_model(name: str, task: str | None) -> YOLO:
    """Build or load the model that a training starts from.

    Raises:
        ConfigError: there is none, it cannot be trained, or it is one of another task.
    """
    try:
        model: YOLO = in_plain_words(YOLO, name, task=task)
    except LookupError as error:
        raise ConfigError(f"'{name}' describes no model: it has no {error}.") from error
    if not isinstance(model.model, nn.Module):
        raise ConfigError(
            f"'{name}' is an exported model, which cannot be trained: model= needs weights (.pt) or a YAML."
        )
    if task and (found := guess_model_task(model.model.yaml) or task) != task:
        raise ConfigError(f"'model={name}' is a model of task {found}, not {task}.")
    return model


def out_folder(option: Any, key: str = "out") -> Path:
    """Read an `out=`, before anything is computed for it.

    Raises:
        ConfigError: a file is in its place, or above it, or nothing may be written there.
    """
    folder = Path(str(option))
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.exists(path))
    if not there.is_dir():
        raise ConfigError(f"'{key}={option}' is to be a folder, and '{there}' is a file.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"'{key}={option}' cannot be made: you may not write in '{there}'.")
    return folder
