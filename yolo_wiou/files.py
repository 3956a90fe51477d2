"""Files: those of cfg/, YAML of the user, tables; and small ones written at once, whatever kills the writer."""

import codecs
import contextlib
import csv
import json
import math
import os
import re
import secrets
import shutil
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from yolo_wiou.errors import ConfigError

# The YAML files lie at the top of the repository and, in a wheel, inside the package.
CFG = next(p for p in (Path(__file__).parent / "cfg", Path(__file__).parent.parent / "cfg") if p.is_dir())
DRAFT = ".yolo-wiou-draft"
"""The end of a file's name while it is written."""
LONGEST = 200
"""Bytes of a file's name: file systems take 255, and what writes a file adds something."""
RESERVED = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³])(\.|$)", re.IGNORECASE)
"""Names of devices, on Windows."""
STUDY = "study.json"
"""What makes a folder that of a study of `yolo-wiou compare`, whose runs are the study's to go on with."""


MARKS = codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE
"""How a file in UTF-16 begins."""
LARGEST, MOST = 1_000_000, 100_000
"""Bytes of a YAML file that is read, and values in it, each counted as often as an alias repeats it."""


class UniqueKeysLoader(yaml.SafeLoader):
    """PyYAML's SafeLoader, which takes the last value of a key that stands twice; here that is an error."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping whose keys are all different."""
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in lines:
                    problem = f"'{key.value}' stands in line {lines[key.value]} already"
                    raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
                lines[key.value] = key.start_mark.line + 1
        return node


def load_yaml(text: str) -> Any:
    """Read YAML of plain values.

    Raises:
        yaml.YAMLError: it is none, or a key stands twice.
    """
    return yaml.load(text, UniqueKeysLoader)  # a SafeLoader


def decode(content: bytes) -> str:
    """Decode a text file: UTF-16 where a mark says so, as PowerShell's `>` writes it, else UTF-8."""
    return content.decode("utf-16" if content[:2] in MARKS else "utf-8-sig")


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML file of ours that holds a mapping.

    Raises:
        ConfigError: it is missing, no YAML, no mapping, or holds more than a file of settings does.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
        data = load_yaml(decode(content)) if len(content) <= LARGEST else None
        size = count_values(data, {})
    except OSError as error:
        raise ConfigError(f"cannot read '{path}': {error.strerror}.") from error
    except RecursionError as error:
        raise ConfigError(f"'{path}' is nested too deeply to be read.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"'{path}' is not YAML in {error.encoding.upper()}: byte {error.start + 1} is {error.reason}."
        ) from error
    except Exception as error:  # PyYAML's own, and what Python raises where a date or a number is none
        raise (syntax_error(path, error) or ConfigError(f"'{path}' is not YAML: {error}.")) from error
    if len(content) > LARGEST or size > MOST:
        raise ConfigError(
            f"'{path}' holds more than {LARGEST:,} bytes or {MOST:,} values, as no file of settings does."
        )
    if not isinstance(data, dict):
        raise ConfigError(f"'{path}' holds no mapping of keys to values.")
    return data


def syntax_error(path: Path, error: BaseException | None) -> ConfigError | None:
    """Return where a file stops to be YAML, and why; None where that is not what an error, or its cause, is about."""
    while error and not isinstance(error, yaml.YAMLError):
        error = error.__cause__ or error.__context__
    if error and path.is_file() and path.read_bytes()[:2] in MARKS:
        return ConfigError(f"'{path}' is in UTF-16, which loses all but plain letters here: save it in UTF-8.")
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
    if why := why_not_writable(existing):
        raise ConfigError(f"'{option}' cannot be made: {why}.")


def why_not_writable(folder: Path) -> str:
    """Say why nothing can be made in a folder; empty where it can. It is tried: modes do not tell, for root least."""
    trial = folder / f".{secrets.token_hex(8)}{DRAFT}"
    try:
        os.mkdir(trial)
    except OSError as error:
        return f"nothing can be written in '{folder}' ({error.strerror})"
    with contextlib.suppress(OSError):  # a virus scanner may hold it
        os.rmdir(trial)
    return ""


def from_common_folder(files: Sequence[Path], above: int = 0) -> list[Path]:
    """Return the paths of files from the folder that holds them all, or from so many folders above it.

    Of files on several drives of Windows, the drive is the first folder.

    >>> [file.as_posix() for file in from_common_folder([Path("set/a/1.png"), Path("set/b/1.png")])]
    ['a/1.png', 'b/1.png']
    """
    full = [Path(os.path.abspath(file)) for file in files]
    try:
        common = Path(os.path.commonpath([file.parent for file in full]))
    except ValueError:  # there is no such folder
        return [Path(file_name(file.drive), *file.parts[1:]) for file in full]
    root = [common, *common.parents][min(above, len(common.parents))]
    return [file.relative_to(root) for file in full]


def count_values(data: Any, known: dict[int, float]) -> float:
    """Count the values in parsed YAML: a few lines of aliases stand for billions, one that repeats itself for more."""
    children = data.values() if isinstance(data, dict) else data if isinstance(data, (list, tuple, set)) else ()
    if id(data) not in known:
        known[id(data)] = math.inf
        known[id(data)] = 1 + sum(count_values(child, known) for child in children)
    return known[id(data)]


def file_name(label: str) -> str:
    """Return a label as the name of one file or folder, on every file system; an ordinary one as it is.

    >>> file_name("wiou3 delta=4"), file_name("..")
    ('wiou3_delta=4', '_-9608161c')
    """
    name = re.sub(r"[^\w.=+-]", "_", unicodedata.normalize("NFC", label))
    if name and len(name.encode()) <= LONGEST and not name.endswith(".") and not RESERVED.match(name):
        return name
    start = name.encode()[: LONGEST // 2].decode(errors="ignore").rstrip(".")
    return f"_{start}-{zlib.crc32(label.encode(errors='surrogatepass')):08x}"


def write_whole(file: Path, content: str | bytes) -> None:
    """Write a file at once: a reader sees the old one or the new one, whatever stops the writer."""
    with draft_of(file) as draft, draft.open("xb") as stream:  # a fresh file, never one that a link leads to
        stream.write(content.encode(errors="surrogateescape") if isinstance(content, str) else content)
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
        if not draft.is_dir():  # a folder is a copy of labels that was moved aside, and may be the only one
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
