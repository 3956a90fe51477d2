"""The last line of a command, read as a shell would."""

from __future__ import annotations

import shlex
from pathlib import Path


def places(output: str) -> dict[str, Path]:
    """Where a command says that its files are: `Results: PATH  weights: PATH`, by lower-case name."""
    words = shlex.split(output.strip().splitlines()[-1].removeprefix("yolo-wiou compare: "))
    return {name.removesuffix(":").lower(): Path(path) for name, path in zip(words[::2], words[1::2], strict=True)}
