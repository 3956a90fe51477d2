"""The command line of every study: folders of what it needs, the folder that it writes, options."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from yolo_wiou.cli.arguments import parse_options
from yolo_wiou.errors import ConfigError


@contextmanager
def one_message() -> Iterator[None]:
    """End with exit code 2 and one message where the command line is wrong."""
    try:
        yield
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


class CommandLine(NamedTuple):
    """What a command line asks for.

    Attributes:
        sources: folders of what is needed.
        out: the folder that holds everything.
        options: whatever was given as `key=value`.
    """

    sources: list[Path]
    out: Path
    options: dict[str, Any]


def read(argv: Sequence[str], needed: Mapping[str, str], out: str, **options: Any) -> CommandLine:
    """Read `SOURCE … [OUT] [key=value …]`, or end with exit code 2 and what is wrong.

    Args:
        argv: of the command line.
        needed: a file that each source's folder must have, by what the usage calls the source.
        out: where OUT is not given; empty of a script that writes nothing and takes none.
        **options: the keys, with their defaults.
    """
    folders = [Path(word).resolve() for word in argv if "=" not in word]
    sources, rest = folders[: len(needed)], folders[len(needed) :]
    with one_message():
        given = parse_options([word for word in argv if "=" in word], options)
        if len(sources) < len(needed) or len(rest) > bool(out):
            usage = [*needed, *["[OUT]"] * bool(out), *(f"[{key}={options[key]}]" for key in options)]
            raise ConfigError(f"usage: {Path(sys.argv[0]).name} {' '.join(usage)}")
        for (name, file), source in zip(needed.items(), sources, strict=True):
            if not (source / file).exists():
                raise ConfigError(f"{name} is the folder of {file}, which '{source}' has not.")
    return CommandLine(sources, rest[0] if rest else Path(out).resolve(), given)
