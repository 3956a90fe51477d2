"""Reading the command line: the `key=value` grammar by Ultralytics' own helpers, and our keys beside theirs."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from ultralytics.cfg import (
    CLI_HELP_MSG,
    DEFAULT_CFG_DICT,
    MODES,
    TASKS,
    check_dict_alignment,
    get_cfg,
    parse_key_value_pair,
)
from ultralytics.data.utils import check_det_dataset, img2label_paths
from ultralytics.utils import LOGGER, checks
from ultralytics.utils.torch_utils import select_device

from yolo_wiou.config import DEFAULT_LOSS, read_mapping
from yolo_wiou.registry import ConfigError, choices

KNOWN = {**DEFAULT_CFG_DICT, "loss": DEFAULT_LOSS, "noise": 0.3}
"""What a misspelt argument may have been meant to be, with an example."""


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
    imgsz = arguments.get("imgsz", 640)
    for size in imgsz if isinstance(imgsz, list | tuple) else [imgsz]:
        if type(size) is not int or size <= 0:
            raise ConfigError(f"'imgsz={imgsz}' is not an image size: pixels as a whole number, e.g. imgsz=640.")
    if str(arguments.get("data", "")).endswith((".yaml", ".yml")):
        check_data(arguments["data"])
    if arguments.get("device") is not None:
        in_plain_words(select_device, arguments["device"], verbose=False)
    if Path(str(arguments.get("project") or "")).is_absolute():  # releases differ in where a relative one lies
        out_folder(arguments["project"], "project")


def check_data(file: str) -> None:
    """Refuse a file that is no data set."""
    data = read_mapping(Path(in_plain_words(checks.check_yaml, file)))
    if missing := [key for key in ("train", "val") if key not in data and not (key == "val" and "validation" in data)]:
        loss = f" It looks like a loss: loss={file}." if {"overlap", "penalty", "gain"} & set(data) else ""
        raise ConfigError(f"'{file}' is no data set: it has no '{missing[0]}'.{loss} It needs train, val and names.")


def check_images(data: Any) -> dict[str, Any]:
    """See that the images of a data set are there; Ultralytics downloads those of its own that are not.

    Returns:
        What the data set is; nothing is known of one that is converted at the start of a training.

    Raises:
        ConfigError: in Ultralytics' own words.
    """
    if "://" in str(data) or Path(str(data)).suffix == ".ndjson":
        return {}
    found: dict[str, Any] = in_plain_words(check_det_dataset, data)
    return found


def check_labels(found: Mapping[str, Any], task: str) -> None:
    """See that a data set, as `check_images` found it, has labels of the task's kind.

    Raises:
        ConfigError: it has others.
    """
    if found and task == "pose" and "kpt_shape" not in found:
        raise ConfigError(f"'{found['yaml_file']}' has no key points, which task pose needs: no 'kpt_shape' is in it.")
    shape = {"segment": "outlines", "obb": "rotated boxes"}.get(task)
    if found and shape and 0 < numbers_a_row(found["train"]) <= 6:
        raise ConfigError(
            f"the labels of '{found['yaml_file']}' are upright boxes; task {task} needs {shape}. Did you mean detect?"
        )


def numbers_a_row(images: str | list[str]) -> int:
    """Return how many numbers a row of labels has, by the first image in a folder that has any; 0 if there is none."""
    folders = map(Path, images if isinstance(images, list) else [images])
    files = (Path(file) for folder in folders for file in img2label_paths(map(str, folder.rglob("*.*"))))
    texts = (file.read_text(encoding="utf-8", errors="replace") for file in files if file.is_file())
    return next((max(len(row.split()) for row in text.split("\n")) for text in texts if text.strip()), 0)


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


def in_plain_words(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call Ultralytics; what it says of a mistake of the user becomes a message without a traceback."""
    try:
        with no_help():
            return function(*args, **kwargs)
    except (SyntaxError, TypeError, ValueError, AssertionError, OSError, NameError) as error:
        raise ConfigError(without_help(error)) from error


def without_help(error: Exception) -> str:
    """What Ultralytics says of a mistake, without the help of `yolo` that it adds."""
    if isinstance(error, OSError) and error.filename:
        return f"cannot open '{error.filename}': {error.strerror}."
    return str(error).replace(CLI_HELP_MSG, "").strip()


@contextlib.contextmanager
def no_help() -> Iterator[None]:
    """Keep that help out of the log, into which newer releases write it."""
    LOGGER.addFilter(is_no_help)
    try:
        yield
    finally:
        LOGGER.removeFilter(is_no_help)


def is_no_help(record: logging.LogRecord) -> bool:
    """Whether a line of the log is not that help."""
    return bool(record.msg != CLI_HELP_MSG)
