"""Where things have landed: the last line of every command that writes."""

import os
import shlex
import subprocess
from pathlib import Path


def where(**places: Path) -> str:
    """Say where things lie, by name: `Results: '/my runs/train'  data: /datasets/shapes`."""
    line = "  ".join(f"{name}: {pasted(path)}" for name, path in places.items())
    return line[0].upper() + line[1:]


def pasted(path: Path) -> str:
    """Return a full path as a shell takes it: in quotes where it needs them."""
    return quoted(str(path.absolute()))


def quoted(word: str) -> str:
    """Return a word as a shell takes it: in quotes where it needs them."""
    return subprocess.list2cmdline([word]) if os.name == "nt" else shlex.quote(word)
