"""Mistakes, told in the user's words: what is wrong, the valid choices, the nearest match."""

import functools
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, cast

from pydantic import BaseModel, ValidationError

LINES, LINE, WORD, VALUE = 20, 2000, 400, 80
"""How much of a message is shown: lines, and characters of a line, of a word in it, and of a value that it quotes."""


class ConfigError(ValueError):
    """A mistake of the user; the command line ends with exit code 2 and this message.

    Whatever a message quotes, it stays one that can be read: long parts are shortened, and what a terminal would obey
    is shown as an escape.
    """

    def __init__(self, message: object) -> None:
        """Keep the message, made readable."""
        lines = [shorten(re.sub(rf"\S{{{WORD},}}", _shorten_word, line), LINE) for line in str(message).split("\n")]
        more = [f"... and {len(lines) - LINES} lines more."] * (len(lines) > LINES)
        super().__init__(visible("\n".join(lines[:LINES] + more)))


class ContractError(RuntimeError):
    """The installed Ultralytics is not built as this package needs it; the command line ends with exit code 1."""


def shorten(text: str, length: int) -> str:
    """Leave out the middle of what is longer.

    >>> shorten("0123456789", 9)
    '01 ... 89'
    """
    ends = (length - 5) // 2
    return text if len(text) <= length else f"{text[:ends]} ... {text[-ends:]}"


def _shorten_word(match: re.Match[str]) -> str:
    return shorten(match[0], VALUE)


def visible(text: str) -> str:
    """Replace characters that are not printed, but the ends of lines, by their escapes."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def choices(word: object, valid: Iterable[str]) -> str:
    """Say what is valid in place of `word`, the nearest match first.

    >>> choices("wiuo3", ["wiou3", "ciou"])
    "Did you mean 'wiou3'? Valid: ciou, wiou3."
    """
    valid = sorted(valid)
    nearest = get_close_matches(str(word).lower(), valid, n=1)
    hint = f"Did you mean '{nearest[0]}'? " if nearest else ""
    return f"{hint}Valid: {', '.join(valid)}." if valid else f"{hint}It takes no settings."


def explain(error: ValidationError, model: type[BaseModel], prefix: str) -> str:
    """Turn pydantic's error about `model` into one line per mistake; `prefix` stands before the first dot."""
    lines = []
    for item in error.errors(include_url=False):
        path = ".".join((prefix, *map(str, item["loc"])))
        if isinstance(item.get("ctx", {}).get("error"), ConfigError):  # a section's, already in the user's words
            lines.append(str(item["ctx"]["error"]))
        elif item["type"] == "extra_forbidden":
            *sections, key = map(str, item["loc"])
            owner = functools.reduce(lambda m, s: m.model_fields[s].annotation, sections, cast("Any", model))
            lines.append(f"unknown key '{path}'. {choices(key, owner.model_fields)}")
        else:
            said = item["msg"].removeprefix("Value error, ").removeprefix("Input ").removeprefix("String ")
            message = _bounds(item, model) or said
            given = shorten(str(item["input"]).replace("\n", r"\n"), VALUE)
            wrong = f"{path}={given} is wrong: it {message[0].lower()}{message[1:]}."
            lines.append(wrong if item["loc"] else f"{prefix}: {message}.")
    return "\n".join(lines)


BOUNDS = {"gt": "greater than", "ge": "greater than or equal to", "lt": "less than", "le": "less than or equal to"}


def _bounds(item: Any, model: type[BaseModel]) -> str:
    """Return both bounds of a number that is beyond one of them, where pydantic's error names that one alone."""
    field = model.model_fields.get(str(item["loc"][0])) if len(item["loc"]) == 1 else None
    if not field or not BOUNDS.keys() & item.get("ctx", {}).keys():
        return ""
    bounds = (
        f"{words} {getattr(rule, key):g}"
        for rule in field.metadata
        for key, words in BOUNDS.items()
        if hasattr(rule, key)
    )
    return f"should be {' and '.join(bounds)}"
