"""A folder that one process at a time works in."""

import contextlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from yolo_wiou.errors import ConfigError

OPTIONS: dict[str, Any] = {"timeout": 0}
if "fallback_to_soft" in inspect.signature(FileLock.__init__).parameters:
    OPTIONS["fallback_to_soft"] = False  # a mark in place of a lock would outlive its process, on another host say


@contextlib.contextmanager
def locked(file: Path, refusal: str, *, again: bool = False) -> Iterator[None]:
    """Hold a lock for this process; a killed one holds nothing. Where a file system has no locks, nobody is stopped.

    Args:
        file: the lock, in a folder that is there. It stays: removed, it would let in whoever makes it anew.
        refusal: what is said where it is held.
        again: whether this process may take it while it holds it.

    Raises:
        ConfigError: it is held.
    """
    lock = FileLock(file, is_singleton=again, **OPTIONS)
    try:
        lock.acquire()
    except Timeout as error:
        raise ConfigError(refusal) from error
    except (OSError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        lock.release()
