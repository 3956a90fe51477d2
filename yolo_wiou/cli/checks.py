"""`yolo-wiou checks`: whether everything is as it should be, and what a checkpoint was trained with."""

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ultralytics import __version__ as ultralytics_version

from yolo_wiou.cli.places import pasted
from yolo_wiou.compare.provenance import processor
from yolo_wiou.errors import ConfigError
from yolo_wiou.files import read_json
from yolo_wiou.losses import LossConfig, load_config
from yolo_wiou.training.checkpoint import read_state
from yolo_wiou.training.compatibility import broken_contract, check_contract, check_torchvision
from yolo_wiou.training.inert import DAMAGE, read_inert
from yolo_wiou.training.label_history import LABELS, load_history
from yolo_wiou.training.selftest import self_test
from yolo_wiou.training.weights import is_model, model_of
from yolo_wiou.version import __version__


def versions() -> str:
    """Return what is installed, in one line."""
    return f"yolo-wiou {__version__} (ultralytics {ultralytics_version})"


def check_installation(config: LossConfig) -> str:
    """Try out the installed Ultralytics with a loss on a small head.

    Returns:
        The result as text.

    Raises:
        ConfigError: torchvision does not work.
        ContractError: the loss does not do what its formula says.
    """
    check_torchvision("cuda" if torch.cuda.is_available() else "cpu")
    check_contract()
    result = self_test(config)
    if not result.is_right(config):
        raise broken_contract(f"gives another IoU term with {config.name} on a head than its formula ({result})")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else processor()
    return (
        f"{versions()}, torch {torch.__version__}, Python {platform.python_version()}, {device}\n"
        "Ultralytics' box loss is as this release knows it.\n"
        f"Self-test on a head: IoU term {result.stock:.6f} with stock CIoU, {result.installed:.6f} with {config.name} "
        f"on it, {result.formula:.6f} by the formula of {config.name}."
    )


def describe_checkpoint(path: str) -> str:
    """Say with which loss, and which state of it, a checkpoint was trained; nothing in it is executed.

    Raises:
        ConfigError: there is no such file, or it is no checkpoint.
    """
    file = Path(path)
    if not file.is_file():
        raise ConfigError(f"there is no file '{path}'.")
    content, _ = read_inert(file)
    if not is_model(model_of(content)):
        raise ConfigError(f"'{path}' holds no model of Ultralytics.")
    try:
        return describe_state(path, read_state(content))
    except DAMAGE as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"'{path}' has a loss state that cannot be read ({type(error).__name__}).") from error


def describe_state(path: str, state: Mapping[str, Any] | None) -> str:
    """Say what a checkpoint's loss state is; it has none where stock Ultralytics trained it."""
    if not state:
        return f"{path}: trained by stock Ultralytics, with its own box loss."
    lines = [f"{path}: {load_config(state['loss'])}"]
    for head, mean in state["heads"].items():
        lines.append(
            f"  {head or 'head'}: running mean {mean['mean']:.6g} after {mean['steps']} steps, "
            f"momentum {mean['momentum']:.3g}"
        )
    if balance := state.get("task_balance"):
        lines.append(f"  weight of the classification loss: {balance['weight']:.4g}")
    return "\n".join(lines)


def describe_folder(folder: Path) -> str:
    """Say what a training or an audit has left in a folder.

    Raises:
        ConfigError: neither has.
    """
    if (folder / "audit.json").is_file():
        return describe_audit(folder)
    if not (folder / "args.yaml").is_file():
        raise ConfigError(f"'{folder}' is the folder of neither a training (args.yaml) nor an audit (audit.json).")
    weights = [file for name in ("best", "last") if (file := folder / "weights" / f"{name}.pt").is_file()]
    first = describe_checkpoint(str(weights[0])) if weights else f"{folder}: no checkpoint yet."
    return f"{first}\n{describe_history(folder)}"


def describe_history(folder: Path) -> str:
    """Say what a training recorded of its labels."""
    if not (folder / LABELS).is_file():
        return "  labels: nothing recorded; audit=true records what a training sees of each."
    history = load_history(folder)
    epochs, labels = history.iou.shape
    return f"  labels: {labels} recorded over {epochs} epochs, which counts in yolo-wiou audit run={pasted(folder)}"


def describe_audit(folder: Path) -> str:
    """Say what an audit found."""
    try:
        said = read_json(folder / "audit.json")
        about = f"{folder}: audit of the {said['split']} labels of {said['data']} by {said['model']}"
        return f"{about}, {said['images']} images.\n  {said['found']}"
    except (ValueError, LookupError, TypeError) as error:
        raise ConfigError(f"'{folder / 'audit.json'}' is no audit's, or damaged.") from error
