"""A run's folder: where its checkpoint lies, and written by one process at a time."""

import contextlib
from argparse import Namespace
from contextlib import AbstractContextManager
from pathlib import Path

from ultralytics.cfg import get_save_dir

from yolo_wiou.errors import ConfigError
from yolo_wiou.locks import locked

LOCK = ".yolo-wiou-lock"


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


def make_folder(args: Namespace) -> tuple[Path, list[Path]]:
    """Make the folder that Ultralytics gives a new run; two that start at once get two, unless both ask for one.

    Returns:
        It, and which folders had to be made for it, itself first.

    Raises:
        ConfigError: it cannot be made.
    """
    is_shared = bool(args.exist_ok or getattr(args, "save_dir", None))
    while True:
        folder = Path(get_save_dir(args))
        new = [path for path in (folder, *folder.parents) if not path.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=is_shared)
        except OSError as error:
            if isinstance(error, FileExistsError) and not is_shared:
                continue  # another process has made it just now; Ultralytics counts on
            raise ConfigError(f"the run's folder '{folder}' cannot be made: {error.strerror}.") from error
        return folder, new


def unmake(folders: list[Path]) -> None:
    """Remove folders that `make_folder` has made for a run that did not begin, unless something is in them by now."""
    with contextlib.suppress(OSError):
        for folder in folders:
            if {path.name for path in folder.iterdir()} <= {LOCK}:
                (folder / LOCK).unlink(missing_ok=True)
            folder.rmdir()


def claimed(folder: Path) -> AbstractContextManager[None]:
    """Hold a run's folder for this process, which may do so more than once; entering it raises what `locked` does."""
    return locked(
        folder.resolve() / LOCK,
        f"another process is training in '{folder}'. Wait for it or stop it; a new run gets a folder of its own "
        "with another name=, or without exist_ok.",
        again=True,
    )
