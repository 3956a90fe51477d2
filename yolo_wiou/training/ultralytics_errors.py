"""What Ultralytics says: of a mistake of the user without its traceback and its page of help, and where it logs."""

import contextlib
import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import TextIO

from ultralytics.cfg import CLI_HELP_MSG
from ultralytics.utils import LOGGER

from yolo_wiou.errors import ConfigError


@contextlib.contextmanager
def users_mistakes(*known: type[Exception]) -> Iterator[None]:
    """Around a call of Ultralytics: a mistake of the user becomes a ConfigError with Ultralytics' own message.

    Any other error passes through, so that a mistake of ours keeps its traceback.

    Args:
        known: what the called function is known to raise for a mistake of the user. It counts where Ultralytics raised
            it; an OSError, about a file of the user's, unless we did.

    Raises:
        ConfigError: a mistake of the user.
    """
    try:
        with log_only(is_no_help):  # newer releases write it into the log
            yield
    except known as error:
        if raised_by(error) == "ultralytics" or (isinstance(error, OSError) and raised_by(error) != "yolo_wiou"):
            raise ConfigError(without_help(error)) from error
        raise


def raised_by(error: BaseException) -> str:
    """Return the package that raised an error; PyTorch and the standard library act for the one that called them."""
    modules = [str(frame.f_globals.get("__name__", "")) for frame, _ in traceback.walk_tb(error.__traceback__)]
    packages = [module.partition(".")[0] for module in modules]
    responsible = [package for package in packages if package and package not in {"torch", *sys.stdlib_module_names}]
    return responsible[-1] if responsible else ""


def without_help(error: Exception) -> str:
    """Return what Ultralytics says of a mistake, without the help of `yolo` that it adds."""
    if isinstance(error, OSError) and error.filename:
        return f"cannot open '{error.filename}': {error.strerror}."
    message = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return message.replace(CLI_HELP_MSG, "").partition("\nNote dataset download directory")[0].strip()


@contextlib.contextmanager
def log_only(wanted: Callable[[logging.LogRecord], bool]) -> Iterator[None]:
    """Keep out of Ultralytics' log what is not wanted there."""
    LOGGER.addFilter(wanted)
    try:
        yield
    finally:
        LOGGER.removeFilter(wanted)


def is_no_help(record: logging.LogRecord) -> bool:
    """Whether a line of the log is not that help."""
    return bool(record.msg != CLI_HELP_MSG)


def log_to(stream: TextIO) -> None:
    """Let Ultralytics log there; files that it logs to stay as they are."""
    for handler in LOGGER.handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream in (sys.stdout, sys.stderr):
            handler.setStream(stream)
