"""What Ultralytics says: of a mistake of the user without its traceback and its page of help, and where it logs."""

import contextlib
import logging
import sys
import traceback
from collections.abc import Iterator
from typing import TextIO

from ultralytics.cfg import CLI_HELP_MSG
from ultralytics.utils import LOGGER

from yolo_wiou.errors import ConfigError


@contextlib.contextmanager
def users_mistakes(*known: type[Exception]) -> Iterator[None]:
    """Around a call of Ultralytics: a mistake of the user becomes a ConfigError with Ultralytics' own message.

    Any other error passes through, so that a mistake of ours keeps its traceback.

    Args:
        known: what the called function is known to raise for a mistake of the user. Of these an OSError counts
            wherever it is raised, any other one only where Ultralytics raised it.

    Raises:
        ConfigError: a mistake of the user.
    """
    try:
        with no_help():
            yield
    except known as error:
        if isinstance(error, OSError) or is_from_ultralytics(error):
            raise ConfigError(without_help(error)) from error
        raise


def is_from_ultralytics(error: BaseException) -> bool:
    """Whether Ultralytics raised an error, or the standard library on its behalf."""
    modules = [str(frame.f_globals.get("__name__", "")) for frame, _ in traceback.walk_tb(error.__traceback__)]
    packages = [module.partition(".")[0] for module in modules]
    responsible = [package for package in packages if package and package not in sys.stdlib_module_names]
    return bool(responsible) and responsible[-1] == "ultralytics"


def without_help(error: Exception) -> str:
    """Return what Ultralytics says of a mistake, without the help of `yolo` that it adds."""
    if isinstance(error, OSError) and error.filename:
        return f"cannot open '{error.filename}': {error.strerror}."
    return str(error).replace(CLI_HELP_MSG, "").strip()


@contextlib.contextmanager
def no_help() -> Iterator[None]:
    """Keep that help out of the log, into which newer releases write it."""
    LOGGER.addFilter(is_no_help)
    try:
        yield
    finally:
        LOGGER.removeFilter(is_no_help)


def is_no_help(record: logging.LogRecord) -> bool:
    """Whether a line of the log is not that help."""
    return bool(record.msg != CLI_HELP_MSG)


def log_to(stream: TextIO) -> None:
    """Let Ultralytics log there; files that it logs to stay as they are."""
    for handler in LOGGER.handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream in (sys.stdout, sys.stderr):
            handler.setStream(stream)
