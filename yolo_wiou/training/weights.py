"""The .pt files that users name: found, and known to be loadable, before Ultralytics asks the network or loads one."""

import importlib.util
import io
import pickle
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from ultralytics.nn import tasks
from ultralytics.utils import SETTINGS
from ultralytics.utils.checks import check_model_file_from_stem, check_yolov5u_filename
from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES

from yolo_wiou.errors import ConfigError
from yolo_wiou.training.inert import Shell, read_inert

UNLOADABLE = (
    *(AssertionError, AttributeError, ImportError, OSError, EOFError, RuntimeError, LookupError, TypeError, ValueError),
    pickle.PickleError,
)
"""What loading a file raises, by what is wrong with it and by the releases of Ultralytics and PyTorch."""
PYTORCH = {"torch", "torchvision"}
PYTHON = {"numpy", "collections", "pathlib", "builtins", "__builtin__", "_codecs"}
FAMILIAR = {"ultralytics"} | PYTORCH | PYTHON
"""Packages whose classes stand in checkpoints of Ultralytics, by the names that pickle has for them."""
ALIASES = {
    "ultralytics.yolo.utils": "ultralytics.utils",
    "ultralytics.yolo.v8": "ultralytics.models.yolo",
    "ultralytics.yolo.data": "ultralytics.data",
    "torch.tensor": "torch._tensor",
}
"""Modules that Ultralytics and PyTorch find by their former names while they load a file."""


def find_weights(name: str | Path) -> Path | None:
    """Return the file that a name of weights means to Ultralytics; None where it will download one.

    Raises:
        ConfigError: there is none, neither here nor to be downloaded.
    """
    file = Path(check_model_file_from_stem(str(name).strip().replace("'", "")))
    if "://" in str(name) or file.suffix.lower() != ".pt":
        return None
    file = Path(check_yolov5u_filename(str(file), verbose=False))
    for path in (file, Path(SETTINGS["weights_dir"]) / file):
        if path.is_file():
            return path
    if file.name in GITHUB_ASSETS_NAMES:
        return None
    if file.parent != Path():  # a name in a folder is none that is downloaded
        raise ConfigError(f"there is no file '{name}'.")
    nearest = get_close_matches(file.name, GITHUB_ASSETS_NAMES, n=1)
    hint = f" Did you mean '{nearest[0]}'?" if nearest else ""
    raise ConfigError(
        f"there is no file '{name}', and this release of Ultralytics knows no weights of that name.{hint}"
    )


def check_weights(name: Any) -> None:
    """Refuse weights that Ultralytics cannot load; what it will download, and what is no name of a .pt, passes.

    Raises:
        ConfigError: there are none, they are damaged, hold no model, or need a class that is not here.
    """
    if isinstance(name, (str, Path)) and (path := find_weights(name)):
        check_file(path, *read_inert(path))


def check_file(path: Path, content: Any, names: Sequence[tuple[str, str]]) -> None:
    """Refuse a .pt file that Ultralytics cannot load; it is executed only where a class in it is in doubt.

    Args:
        path: the file.
        content: what `read_inert` finds in it.
        names: the classes and functions that it asks for, as (module, name).

    Raises:
        ConfigError: it holds no model, or needs a class that is not here.
    """
    if not is_model(model_of(content)):
        raise ConfigError(f"'{path}' holds no model of Ultralytics.")
    if is_loaded_safely():
        load_checkpoint(path)
        return
    absent = [name for name in names if not is_installed(name[0])]
    absent = absent or [name for name in names if not can_find(known_as(name[0]))]
    if absent:  # Ultralytics would install a package of that name
        raise ConfigError(lacking(path, absent))
    missing = [name for name in names if not can_find(*name)]
    if missing or any(top(module) not in FAMILIAR for module, _ in names):
        load_checkpoint(path, missing)  # Ultralytics knows some of them by other names


def load_checkpoint(path: Path, missing: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    """Load a checkpoint of Ultralytics.

    Args:
        path: the file, known to be whole.
        missing: classes in it that were looked for in vain, as (module, name).

    Raises:
        ConfigError: Ultralytics refuses it, or a class in it is not here.
    """
    try:
        ckpt: dict[str, Any] = tasks.torch_safe_load(str(path))[0]
    except UNLOADABLE as error:
        if missing:
            raise ConfigError(lacking(path, missing)) from error
        said = (str(error).splitlines() or [type(error).__name__])[0][:300]
        raise ConfigError(f"'{path}' cannot be loaded: {said}") from error
    return ckpt


def model_of(content: Any) -> Any:
    """Return the model in a checkpoint, as Ultralytics looks for it; None where there is none."""
    if isinstance(content, dict):
        return content.get("ema") or content.get("model")
    modules = getattr(content, "_modules", None)  # of an empty shell; a module finds its own
    return getattr(content, "model", modules.get("model") if isinstance(modules, dict) else None)


def is_model(shell: Any) -> bool:
    """Whether what a checkpoint has in a model's place is one, by the class it had; a layer of PyTorch is none."""
    return isinstance(shell, Shell) and top(type(shell).__module__) != "torch"


def lacking(path: Path, names: Sequence[tuple[str, str]]) -> str:
    """Say which classes a file needs that are not here."""
    shown = ", ".join(f"{module}.{name}"[:120] for module, name in names[:5]) + ", …" * (len(names) > 5)
    packages = {top(module) for module, _ in names}
    origin = "a fork or another release of Ultralytics, which has to be installed here"
    if "models" in packages:
        origin = "YOLOv5's own repository or a fork of it, whose models Ultralytics does not load"
    elif packages <= PYTHON:
        origin = "another release of Python or NumPy, under which it has to be loaded"
    elif packages <= PYTORCH:
        origin = "another release of PyTorch, which has to be installed here"
    return f"'{path}' needs what is not installed here: {shown}. It comes from {origin}; or take other weights."


def top(module: str) -> str:
    """Return the package of a module.

    >>> top("ultralytics.nn.tasks")
    'ultralytics'
    """
    return module.partition(".")[0]


def known_as(module: str) -> str:
    """Return the present name of a module that is loaded by a former one.

    >>> known_as("ultralytics.yolo.utils.loss")
    'ultralytics.utils.loss'
    """
    former = next((name for name in ALIASES if f"{module}.".startswith(f"{name}.")), "")
    return ALIASES[former] + module.removeprefix(former) if former else module


def is_installed(module: str) -> bool:
    """Whether the package of a module can be imported; it is not."""
    package = top(module)
    return package in FAMILIAR or package in sys.modules or bool(package and importlib.util.find_spec(package))


def can_find(module: str, name: str = "__name__") -> bool:
    """Whether pickle finds a class or function, or without a name the module; imports it, as loading would."""
    try:
        pickle.Unpickler(io.BytesIO()).find_class(module, name.partition(".")[0])
    except (ModuleNotFoundError, AttributeError):
        return False
    except UNLOADABLE:
        return True  # something else is wrong with the module, and loading says what
    return True


def is_loaded_safely() -> bool:
    """Whether Ultralytics has been told to make only what it knows, whatever a file names, and to install nothing."""
    return getattr(tasks, "SAFE_LOAD", False) and hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint")
