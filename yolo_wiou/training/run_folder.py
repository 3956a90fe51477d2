"""A run's folder: where its checkpoint lies, and written by one process at a time."""

import contextlib
import inspect
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from ultralytics.cfg import get_save_dir

from yolo_wiou.errors import ConfigError

LOCK = ".yolo-wiou-lock"
OPTIONS: dict[str, Any] = {"timeout": 0, "is_singleton": True}
if "fallback_to_soft" in inspect.signature(FileLock.__init__).parameters:
    OPTIONS["fallback_to_soft"] = False  # a mark in place of a lock would outlive its process, on another host say


def folder_of(checkpoint: Path) -> Path:
    """Return the folder of the run that a checkpoint belongs to, wherever the run was trained first.

    Raises:
        ConfigError: it lies in no run's folder.
    """
    weights = checkpoint.absolute().parent
    if weights.name != "weights":
        raise ConfigError(
            f"'{checkpoint}' lies in no run's folder, and a run goes on where its checkpoint lies. Move it into a "
            f"folder 'weights', to RUN/weights/{checkpoint.name}, and resume that; RUN is then the run's folder."
        )
    return weights.parent


def make_folder(args: Namespace) -> Path:
    """Make the folder that Ultralytics gives a new run; two that start at once get two, unless both ask for one.

    Raises:
        ConfigError: it cannot be made.
    """
    is_shared = bool(args.exist_ok or getattr(args, "save_dir", None))
    while True:
        folder = Path(get_save_dir(args))
        try:
            folder.mkdir(parents=True, exist_ok=is_shared)
        except OSError as error:
            if isinstance(error, FileExistsError) and not is_shared:
                continue  # another process has made it just now; Ultralytics counts on
            raise ConfigError(f"the run's folder '{folder}' cannot be made: {error.strerror}.") from error
        return folder


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold a run's folder for this process, which may do so more than once; a killed one holds nothing.

    Where a file system has no locks, nobody is stopped.

    Raises:
        ConfigError: another process holds it.
    """
    lock = FileLock(folder.resolve() / LOCK, **OPTIONS)
    try:
        lock.acquire()
    except Timeout as error:
        raise ConfigError(
            f"another process is training in '{folder}'. Wait for it or stop it; a new run gets a folder of its own "
            f"with another name=, or without exist_ok. If there is none: rm '{lock.lock_file}'."
        ) from error
    except (OSError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        lock.release()
