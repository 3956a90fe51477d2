"""Whether a data set is there, and has labels for the task, before a training begins."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ultralytics.data.utils import check_det_dataset, img2label_paths
from ultralytics.utils import checks

from yolo_wiou.errors import ConfigError
from yolo_wiou.files import read_mapping
from yolo_wiou.training.ultralytics_errors import users_mistakes


def find_yaml(file: Any) -> Path:
    """Find a YAML file as Ultralytics does: here, among its own, or by a download.

    Raises:
        ConfigError: there is none, in Ultralytics' own words.
    """
    with users_mistakes(AssertionError, TypeError, ValueError, OSError):
        return Path(checks.check_yaml(file))


def check_data(file: str) -> None:
    """Refuse a file that is no data set.

    Raises:
        ConfigError: says what is missing from it.
    """
    data = read_mapping(find_yaml(file))
    if missing := [key for key in ("train", "val") if key not in data and not (key == "val" and "validation" in data)]:
        loss = f" It looks like a loss: loss={file}." if {"overlap", "penalty", "gain"} & set(data) else ""
        raise ConfigError(f"'{file}' is no data set: it has no '{missing[0]}'.{loss} It needs train, val and names.")


def check_images(data: Any) -> dict[str, Any]:
    """See that the images of a data set are there; Ultralytics downloads those of its own that are not.

    Returns:
        Ultralytics' description of the data set; empty for one that is converted only when a training starts.

    Raises:
        ConfigError: in Ultralytics' own words.
    """
    if "://" in str(data) or Path(str(data)).suffix == ".ndjson":
        return {}
    with users_mistakes(AssertionError, SyntaxError, TypeError, ValueError, OSError):
        description: dict[str, Any] = check_det_dataset(data)
    return description


def check_labels(description: Mapping[str, Any], task: str) -> None:
    """See that a data set, as `check_images` describes it, has labels of the task's kind.

    Raises:
        ConfigError: it has others.
    """
    if not description:
        return
    if task == "pose" and "kpt_shape" not in description:
        raise ConfigError(
            f"'{description['yaml_file']}' has no key points, which task pose needs: no 'kpt_shape' is in it."
        )
    label = {"segment": "outlines", "obb": "rotated boxes"}.get(task)
    if label and 0 < numbers_per_label(description["train"]) <= 6:
        raise ConfigError(
            f"the labels of '{description['yaml_file']}' are upright boxes; task {task} needs {label}. Did you mean "
            "detect?"
        )


def numbers_per_label(images: str | list[str]) -> int:
    """Return how many numbers a label has, by the first image in a folder that has any; 0 if there is none."""
    folders = map(Path, images if isinstance(images, list) else [images])
    files = (Path(file) for folder in folders for file in img2label_paths(map(str, folder.rglob("*.*"))))
    texts = (file.read_text(encoding="utf-8", errors="replace") for file in files if file.is_file())
    return next((max(len(row.split()) for row in text.split("\n")) for text in texts if text.strip()), 0)
