"""Whether a data set is there, and is one for the task, before a training begins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ultralytics.data.utils import check_det_dataset, img2label_paths
from ultralytics.utils import checks

from yolo_wiou.config import read_mapping
from yolo_wiou.plain_words import in_plain_words
from yolo_wiou.registry import ConfigError


def several(data: Any) -> list[Any]:
    """Return data sets as a list; newer releases train on several in turn."""
    return list(data) if isinstance(data, list | tuple) else [data]


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
