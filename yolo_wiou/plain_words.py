"""What Ultralytics says of a mistake of the user, without its traceback and without its page of help."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

from ultralytics.cfg import CLI_HELP_MSG
from ultralytics.utils import LOGGER

from yolo_wiou.registry import ConfigError


def in_plain_words(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call Ultralytics; what it says of a mistake of the user becomes a message without a traceback."""
    try:
        with no_help():
            return function(*args, **kwargs)
    except (SyntaxError, TypeError, ValueError, AssertionError, OSError, NameError) as error:
        raise ConfigError(without_help(error)) from error


def without_help(error: Exception) -> str:
    """What Ultralytics says of a mistake, without the help of `yolo` that it adds."""
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
