"""The offline demo: a rendered data set, and how to train on it from scratch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from yolo_wiou.config import CFG, read_mapping
from yolo_wiou.data.shapes import ShapesConfig, render_dataset
from yolo_wiou.registry import ConfigError, explain

DEFAULT_TASK = ("task", "detect")
DEMO_MODELS = {
    "detect": "yolo11n.yaml",
    "segment": "yolo11n-seg.yaml",
    "pose": "yolo11n-pose.yaml",
    "obb": "yolo11n-obb.yaml",
}
"""From scratch, so that nothing is downloaded."""


def take_shapes(arguments: dict[str, Any]) -> dict[str, Any]:
    """Take the demo's settings, `noise` and `shapes.…`, out of a command's arguments.

    Raises:
        ConfigError: the task is among them.
    """
    own = {key: arguments.pop(key) for key in list(arguments) if key == "noise" or key.startswith("shapes.")}
    if "shapes.task" in own:
        raise ConfigError("the demo's task stands in front: yolo-wiou segment train, pose train or obb train.")
    return {key.removeprefix("shapes."): value for key, value in own.items()}


def yaml_section(name: str) -> dict[str, Any]:
    """Return one section of cfg/shapes.yaml: the demo's `data` or `train`."""
    section: dict[str, Any] = read_mapping(CFG / "shapes.yaml")[name]
    return section


def demo_place(changes: dict[str, Any]) -> tuple[Path, ShapesConfig]:
    """Return the folder of the demo's data set below ./datasets, one for each set of changes, and what is rendered.

    Raises:
        ConfigError: a setting is unknown or out of range.
    """
    try:
        config = ShapesConfig.model_validate({**yaml_section("data"), **changes})
    except ValidationError as error:
        raise ConfigError(explain(error, ShapesConfig, "shapes")) from error
    changed = (f"{key}={value}".replace(" ", "") for key, value in changes.items() if (key, value) != DEFAULT_TASK)
    return Path("datasets") / "-".join(["shapes", *changed]), config


def render_demo(changes: dict[str, Any]) -> Path:
    """Render the demo's data set; returns its data.yaml.

    Raises:
        ConfigError: a setting is unknown or out of range, or something else lies in the folder.
    """
    try:
        return render_dataset(*demo_place(changes))
    except FileExistsError as error:
        raise ConfigError(str(error)) from error
