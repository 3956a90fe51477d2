"""The offline demo: a rendered data set, and how to train on it from scratch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from yolo_wiou.data.shapes import ShapesConfig, render_dataset
from yolo_wiou.errors import ConfigError, explain
from yolo_wiou.files import CFG, read_mapping

DEFAULT_TASK = ("task", "detect")
DEMO_MODELS = {
    "detect": "yolo11n.yaml",
    "segment": "yolo11n-seg.yaml",
    "pose": "yolo11n-pose.yaml",
    "obb": "yolo11n-obb.yaml",
}
"""From scratch, so that nothing is downloaded."""
DEMO_LOSS = "wiou3"
"""What is shown where no loss is named: the one that this package is called after."""


def take_shapes(arguments: dict[str, Any]) -> dict[str, Any]:
    """Take the demo's settings, `noise` and `shapes.…`, out of a command's arguments.

    >>> take_shapes({"epochs": 3, "noise": 0.2, "shapes.train": 8})
    {'noise': 0.2, 'train': 8}

    Raises:
        ConfigError: the task is among them.
    """
    settings = {key: arguments.pop(key) for key in list(arguments) if key == "noise" or key.startswith("shapes.")}
    if "shapes.task" in settings:
        raise ConfigError("the demo's task stands in front: yolo-wiou segment train, pose train or obb train.")
    return {key.removeprefix("shapes."): value for key, value in settings.items()}


def yaml_section(name: str) -> dict[str, Any]:
    """Return one section of cfg/shapes.yaml: the demo's `data` or `train`."""
    section: dict[str, Any] = read_mapping(CFG / "shapes.yaml")[name]
    return section


@dataclass(frozen=True)
class DemoData:
    """The demo's data set.

    Attributes:
        folder: below ./datasets, one for each set of changed settings.
        config: what is rendered.
    """

    folder: Path
    config: ShapesConfig

    def render(self) -> Path:
        """Render it, unless it is there; returns its data.yaml.

        Raises:
            ConfigError: something else lies in the folder.
        """
        try:
            return render_dataset(self.folder, self.config)
        except FileExistsError as error:
            raise ConfigError(str(error)) from error


def demo_data(changes: dict[str, Any]) -> DemoData:
    """Return the demo's data set with some settings changed; nothing is rendered yet.

    Raises:
        ConfigError: a setting is unknown or out of range.
    """
    try:
        config = ShapesConfig.model_validate({**yaml_section("data"), **changes})
    except ValidationError as error:
        message = explain(error, ShapesConfig, "shapes")
        raise ConfigError(message.replace("shapes.noise=", "noise=")) from error  # its short name
    changed = (f"{key}={value}".replace(" ", "") for key, value in changes.items() if (key, value) != DEFAULT_TASK)
    return DemoData(Path("datasets") / "-".join(["shapes", *changed]), config)
