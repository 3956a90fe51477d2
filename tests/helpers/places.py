"""Where things land: the last line of a command, read as a shell would; and where nothing may."""

from __future__ import annotations

import errno
import os
import shlex
from pathlib import Path
from typing import NoReturn


def places(output: str) -> dict[str, Path]:
    """Where a command says that its files are: `Results: PATH  weights: PATH`, by lower-case name."""
    words = shlex.split(output.strip().splitlines()[-1].removeprefix("yolo-wiou compare: "))
    return {name.removesuffix(":").lower(): Path(path) for name, path in zip(words[::2], words[1::2], strict=True)}


def not_permitted(path: object, *mode: int) -> NoReturn:
    """In the place of `os.mkdir`: no folder may be made, not even by root."""
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
