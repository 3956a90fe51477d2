"""Files: those of cfg/, YAML of the user, tables; and small ones written at once, whatever kills the writer."""

import contextlib
import csv
import json
import math
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from yolo_wiou.errors import ConfigError

# The YAML files lie at the top of the repository and, in a wheel, inside the package.
CFG = next(p for p in (Path(__file__).parent / "cfg", Path(__file__).parent.parent / "cfg") if p.is_dir())
DRAFT = ".yolo-wiou-draft"
"""The end of a file's name while it is written."""
STUDY = "study.json"
"""What makes a folder that of a study of `yolo-wiou compare`, whose runs are the study's to go on with."""


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML file of ours, in UTF-8, that holds a mapping.

    Raises:
        ConfigError: it is missing, no YAML, or no mapping.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read '{path}': {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"'{path}' is not YAML in UTF-8: byte {error.start + 1} is {error.reason}.") from error
    except yaml.YAMLError as error:
        raise (syntax_error(path, error) or error) from error
    if not isinstance(data, dict):
        raise ConfigError(f"'{path}' holds no mapping of keys to values.")
    return data


def syntax_error(path: Path, error: BaseException | None) -> ConfigError | None:
    """Return where a file stops to be YAML, and why; None where that is not what an error, or its cause, is about."""
    while error and not isinstance(error, yaml.YAMLError):
        error = error.__cause__ or error.__context__
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        line, column = error.problem_mark.line + 1, error.problem_mark.column + 1
        context = f" {error.context}" if error.context else ""
        return ConfigError(f"'{path}' is not YAML: line {line}, column {column}: {error.problem}{context}.")
    return ConfigError(f"'{path}' is not YAML: {error}.") if error else None


def check_folder(folder: Path, option: str) -> None:
    """See that a folder is there or can be made, before anything is computed for it.

    Args:
        folder: to be written in.
        option: what asks for it, as the user wrote it: `out=runs/curves`.

    Raises:
        ConfigError: a file is in its place, or above it, or nothing may be written there.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not existing.is_dir():
        raise ConfigError(f"'{option}' is to be a folder, and '{existing}' is a file.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError(f"'{option}' cannot be made: you may not write in '{existing}'.")


def write_whole(file: Path, content: str | bytes) -> None:
    """Write a file at once: a reader sees the old one or the new one, whatever stops the writer."""
    with draft_of(file) as draft, draft.open("xb") as stream:  # a fresh file, never one that a link leads to
        stream.write(content.encode() if isinstance(content, str) else content)
        stream.flush()
        os.fsync(stream.fileno())


@contextlib.contextmanager
def draft_of(file: Path) -> Iterator[Path]:
    """Give the path at which to write a file's new content, which takes its place when it is complete.

    Nobody can guess the path. It lies in the same folder, so that one move is enough, and is removed on failure.
    """
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}{DRAFT}")
    try:
        yield draft
        with contextlib.suppress(OSError):  # there is none yet, or a file system has no modes
            shutil.copymode(file, draft)
        os.replace(draft, file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def forget_drafts(folder: Path) -> None:
    """Remove what killed writers left in a folder in which nobody else writes."""
    for draft in folder.glob(f".*{DRAFT}"):
        draft.unlink(missing_ok=True)


def read_json(file: Path) -> Any:
    """Read a JSON file."""
    return json.loads(file.read_text(encoding="utf-8"))


def write_json(file: Path, data: Any) -> None:
    """Write a JSON file at once."""
    write_whole(file, json.dumps(data, indent=1))


def read_table(file: Path) -> list[dict[str, float]]:
    """Read a table of numbers, a mapping per row; NaN where there is no number.

    Ultralytics padded results.csv with blanks once.
    """
    with file.open(newline="", encoding="utf-8", errors="replace") as stream:
        rows = csv.DictReader(stream, skipinitialspace=True)
        return [{name.strip(): _number(row[name]) for name in rows.fieldnames or ()} for row in rows]


def as_text(cell: Any) -> Any:
    """Return a cell of a CSV file as no spreadsheet takes it for a formula: with an apostrophe before it (OWASP).

    >>> as_text("=1+1"), as_text("wiou3"), as_text(-0.5)
    ("'=1+1", 'wiou3', -0.5)
    """
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
