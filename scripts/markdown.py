"""Pages in Markdown: tables, templates, and writing them or seeing that they are up to date."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2


def table(heads: list[str], rows: Iterable[Iterable[str]]) -> str:
    """A table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def render(template: Path, **values: Any) -> str:
    """A page in the words of a template."""
    environment = jinja2.Environment(keep_trailing_newline=True)
    return environment.from_string(template.read_text(encoding="utf-8")).render(**values)


def write_or_check(file: Path, page: str) -> int:
    """Write a page; or, where the command line says --check, see whether the file is that page.

    Returns:
        The exit code: 1 where it is not.
    """
    if "--check" not in sys.argv[1:]:
        file.write_text(page, encoding="utf-8")
    elif file.read_text(encoding="utf-8") != page:
        print(f"{file.name} is not what its script makes of its data: python {sys.argv[0]}", file=sys.stderr)
        return 1
    return 0
