"""Reading the values of our own `key=value`: YAML, commas between several, quotes that a shell has left."""

import contextlib
import os
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from yolo_wiou.cli.places import quoted
from yolo_wiou.errors import ConfigError
from yolo_wiou.files import load_yaml

PARENTHESES = str.maketrans("()", "[]")


def split_argument(argument: str) -> tuple[str, str]:
    """Return key and value of a `key=value`, as a shell may have left them.

    >>> split_argument("--loss='siou'")
    ('loss', 'siou')
    """
    key, _, text = argument.removeprefix("--").partition("=")
    return key.strip(), unquoted(text.strip())


def unquoted(text: str) -> str:
    """Take off the quotes around a text, as Ultralytics does.

    >>> unquoted("'my loss.yaml'"), unquoted("wiou3")
    ('my loss.yaml', 'wiou3')
    """
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if is_quoted else text


def refuse_repeated(arguments: Iterable[str]) -> None:
    """Refuse arguments of which one stands twice; of its own, Ultralytics takes the last.

    Raises:
        ConfigError: with both.
    """
    given: dict[str, str] = {}
    for argument in arguments:
        key = split_argument(argument)[0].removeprefix("shapes.")  # noise is shapes.noise
        if key in given:
            raise ConfigError(f"'{given[key]}' and '{argument}': which of the two?")
        given[key] = argument


def refuse_split_paths(argv: Sequence[str]) -> None:
    """Refuse a path that the shell has split at its spaces, for want of quotes; Ultralytics would name a piece of it.

    Raises:
        ConfigError: with the argument as it is to be written.
    """
    for start, argument in enumerate(argv):
        for end in range(start + 2, len(argv) + 1):
            whole = " ".join(argv[start:end])
            if "=" in argument and os.path.exists(split_argument(whole)[1]):
                raise ConfigError(f"a path with spaces needs quotes: {quoted(whole)}")


def values(argument: str) -> list[Any]:
    """Read the values of one of our `key=value` as YAML, with commas between them; a value of several has brackets.

    >>> values("loss.gain.delta=3,5"), values("loss.overlap.focaler=[0.1,0.9],(0.2,0.8)")
    ([3, 5], [[0.1, 0.9], [0.2, 0.8]])

    Raises:
        ConfigError: there is none, or it is no YAML.
    """
    key, text = split_argument(argument)
    if not text:
        raise ConfigError(f"'{key}' needs a value: {key}=...")
    with contextlib.suppress(yaml.YAMLError, RecursionError):
        return list(load_yaml(f"[{text.translate(PARENTHESES)}]"))
    raise ConfigError(f"cannot read the value of '{key}': {text}")


def value(argument: str) -> Any:
    """Read the value of one of our `key=value` as YAML; what has commas is a list, with brackets or without.

    >>> value("loss.gain.delta=5"), value("loss.overlap.focaler=0.1,0.9"), value("loss.overlap.focaler=(0.1,0.9)")
    (5, [0.1, 0.9], [0.1, 0.9])
    """
    found = values(argument)
    return found[0] if len(found) == 1 else found


def as_list(value: Any, separator: str | None = ",") -> list[str]:
    """Return the items of a list, or of a text such as `A,B`, with or without brackets.

    >>> as_list("[a.yaml, 'b.yaml']"), as_list(None)
    (['a.yaml', 'b.yaml'], [])
    >>> as_list("a,b.yaml", separator=None)
    ['a,b.yaml']

    Args:
        value: a list, a text, or None for no items. A file of that very name is one item.
        separator: what stands between the items of a text; None where a text is one item, as in Ultralytics' `data=`.

    Raises:
        ConfigError: nothing stands where an item should.
    """
    if value is None or isinstance(value, list | tuple):
        items = value or []
    elif separator is None or os.path.isfile(str(value)):
        items = [value]
    else:
        items = str(value).strip("[]").split(separator)
    texts = [unquoted(str(item).strip()) for item in items]
    if "" in texts[1:] or "" in texts[:-1]:
        raise ConfigError(f"'{value}' has a comma too many.")
    return [text for text in texts if text]


def parse_means(key: str, text: str) -> list[float]:
    """Read `0.2,0.5` as means of the IoU loss, above 0 and up to 1."""
    try:
        means = [float(item) for item in as_list(text)]
    except ValueError:  # a ConfigError too
        means = []
    if not means or not all(0 < mean <= 1 for mean in means):
        raise ConfigError(f"'{key}' needs numbers above 0, up to 1, e.g. {key}=0.2,0.5, not '{text}'.")
    return means
