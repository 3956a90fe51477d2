"""Mistakes, told in the user's words: what is wrong, the valid choices, the nearest match."""

import functools
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, cast

from pydantic import BaseModel, ValidationError


class ConfigError(ValueError):
    """A mistake of the user; the command line ends with exit code 2 and this message."""


class ContractError(RuntimeError):
    """The installed Ultralytics is not built as this package needs it; the command line ends with exit code 1."""


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
            message = item["msg"].removeprefix("Value error, ").removeprefix("Input ")
            wrong = f"{path}={item['input']} is wrong: it {message[0].lower()}{message[1:]}."
            lines.append(wrong if item["loc"] else f"{prefix}: {message}.")
    return "\n".join(lines)
