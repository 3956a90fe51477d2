"""The .pt files that users name: found, and known to be loadable, before Ultralytics asks the network or loads one."""

import importlib
import importlib.util
import pickle
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ultralytics.nn.tasks import torch_safe_load
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
IMPORTED = {"ultralytics", "torch"}
"""Packages that are imported already, so that looking for a class in them executes nothing new."""
FAMILIAR = IMPORTED | {"torchvision", "numpy", "collections", "pathlib", "builtins", "__builtin__", "_codecs"}
"""Packages whose classes stand in checkpoints of Ultralytics, by the names that pickle has for them."""


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
    nearest = get_close_matches(file.name, GITHUB_ASSETS_NAMES, n=1)
    hint = f" Did you mean '{nearest[0]}'?" if nearest else ""
    raise ConfigError(f"there is no file '{name}', and Ultralytics has no weights of this name to download.{hint}")


def check_weights(name: Any) -> None:
    """Refuse weights that Ultralytics cannot load; what it will download, and what is no name of a .pt, passes.

    Raises:
        ConfigError: there are none, they are damaged, hold no model, or need a class that is not here.
    """
    if isinstance(name, (str, Path)) and (path := find_weights(name)):
        check_file(path)


def check_file(path: Path) -> None:
    """Refuse a .pt file that Ultralytics cannot load; it is executed only where a class in it is in doubt.

    Raises:
        ConfigError: it is damaged, holds no model, or needs a class that is not here.
    """
    content, names = read_inert(path)
    if not isinstance(model_of(content), Shell):
        raise ConfigError(f"'{path}' holds no model of Ultralytics.")
    absent = [name for name in names if not is_installed(name[0])]
    if absent:  # Ultralytics would install a package of that name
        raise ConfigError(lacking(path, absent))
    missing = [name for name in names if not is_here(*name)]
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
        ckpt: dict[str, Any] = torch_safe_load(str(path))[0]
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
    return getattr(content, "model", None)


def lacking(path: Path, names: Sequence[tuple[str, str]]) -> str:
    """Say which classes a file needs that are not here."""
    shown = ", ".join(f"{module}.{name}"[:120] for module, name in names[:5]) + ", …" * (len(names) > 5)
    origin = "a fork or another release of Ultralytics, which has to be installed here"
    if any(top(module) == "models" for module, _ in names):
        origin = "YOLOv5's own repository or a fork of it, whose models Ultralytics does not load"
    return f"'{path}' needs what is not installed here: {shown}. It comes from {origin}; or take other weights."


def top(module: str) -> str:
    """Return the package of a module.

    >>> top("ultralytics.nn.tasks")
    'ultralytics'
    """
    return module.partition(".")[0]


def is_installed(module: str) -> bool:
    """Whether the package of a module can be imported; it is not."""
    package = top(module)
    return package in FAMILIAR or package in sys.modules or importlib.util.find_spec(package) is not None


def is_here(module: str, name: str) -> bool:
    """Whether a package that is imported anyway has a class or function; of others it is believed."""
    if top(module) not in IMPORTED:
        return True
    try:
        return hasattr(importlib.import_module(module), name.partition(".")[0])
    except ImportError:
        return False
