"""What a command prints, and where."""

import contextlib
import sys
from collections.abc import Iterator

from yolo_wiou.training.ultralytics_errors import log_to


@contextlib.contextmanager
def stdout_free() -> Iterator[None]:
    """Send to stderr what is printed, and Ultralytics' log."""
    log_to(sys.stderr)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        log_to(sys.stdout)
