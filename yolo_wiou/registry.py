"""The three axes of the formula: each maps a name to a pure function and its parameters to validated settings.

A loss registers itself where its formula stands::

    @PENALTIES.register("siou")
    def siou(pair: BoxPair, *, theta: Annotated[float, Field(ge=1, le=10)] = 4.0) -> Terms: ...

The keyword-only parameters of the function, with their ranges and defaults, are the loss's settings: there is no second
place that lists them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Generic, Literal, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from yolo_wiou.plugins import load_plugins


class ConfigError(ValueError):
    """A mistake of the user, told in their words: what is wrong, the valid choices, the nearest match."""


def choices(word: object, valid: Iterable[str]) -> str:
    """Say what is valid in place of `word`, the nearest match first."""
    valid = sorted(valid)
    nearest = get_close_matches(str(word).lower(), valid, n=1)
    hint = f"Did you mean '{nearest[0]}'? " if nearest else ""
    return f"{hint}Valid: {', '.join(valid)}." if valid else f"{hint}It takes no settings."


def _number(value: Any) -> Any:
    """Refuse what pydantic would quietly turn into a number: `true` is not 1."""
    if isinstance(value, bool):
        raise ValueError("should be a number")
    return value


Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
"""A finite float: what a loss's numeric setting is, before its own range (`Annotated[Number, Field(gt=0)]`)."""


def explain(error: ValidationError, model: type[BaseModel], prefix: str) -> str:
    """Turn pydantic's error about `model` into one line a mistake; `prefix` stands before the first dot."""
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


class Settings(BaseModel):
    """Base of all sections: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Part(Settings):
    """One section of a loss (`overlap`, `penalty` or `gain`): the name of a registered function, then its settings."""

    name: str


PartT = TypeVar("PartT", bound=Part)
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


class Registry(Generic[PartT]):
    """Names, functions and settings of one axis.

    Args:
        axis: what the section is called in YAML.
        base: the section's class; its own fields are settings that every function on this axis shares.
        default: the name that a section without one has.
    """

    def __init__(self, axis: str, base: type[PartT], default: str) -> None:
        """Start without any entry."""
        self.axis, self.base, self.default = axis, base, default
        self.functions: dict[str, Callable[..., Any]] = {}
        self.sections: dict[str, type[PartT]] = {}

    def register(self, name: str) -> Callable[[FunctionT], FunctionT]:
        """Give a function a name; its keyword-only parameters become the settings of that name.

        Raises:
            ConfigError: the name is taken.
        """
        if name in self.functions:
            raise ConfigError(f"{self.axis} '{name}' exists already.")

        def add(function: FunctionT) -> FunctionT:
            own: dict[str, Any] = {
                p.name: (p.annotation, p.default)
                for p in inspect.signature(function, eval_str=True).parameters.values()
                if p.kind is p.KEYWORD_ONLY
            }
            own["name"] = (Literal[name], name)
            self.sections[name] = create_model(f"{self.axis}_{name}", __base__=self.base, **own)
            self.functions[name] = function
            return function

        return add

    def parse(self, value: Any) -> PartT:
        """Validate a section: a name, or a mapping of settings and a name.

        Raises:
            ConfigError: the name is not registered, or a setting is unknown or out of range.
        """
        if isinstance(value, self.base):
            return value
        load_plugins()  # not at import: they import this package
        if not isinstance(value, (str, Mapping)):
            raise ConfigError(f"'{self.axis}' needs a name. {choices('', self.sections)}")
        section = {"name": value} if isinstance(value, str) else {"name": self.default, **value}
        if not isinstance(section["name"], str) or section["name"] not in self.sections:
            known = choices(section["name"], self.sections)
            own = "One of your own is known once its module is imported, or named by an entry point."
            raise ConfigError(f"unknown {self.axis} '{section['name']}'. {known} {own}")
        model = self.sections[section["name"]]
        try:
            return model.model_validate(dict(section))
        except ValidationError as error:
            unknown = (item["loc"][0] for item in error.errors() if item["type"] == "extra_forbidden")
            message = explain(error, model, f"loss.{self.axis}") + "".join(map(self._owners, unknown))
            raise ConfigError(message) from error

    def _owners(self, key: object) -> str:
        """Say which names have a setting that the one at hand has not."""
        names = [name for name, section in self.sections.items() if key in section.model_fields]
        return (
            f"\n'{key}' belongs to {self.axis} {', '.join(names)}: loss.{self.axis}.name={names[0]}." if names else ""
        )

    def bind(self, part: PartT) -> Callable[..., Any]:
        """Return the function of a section with its own settings filled in."""
        own = {key: getattr(part, key) for key in type(part).model_fields if key not in self.base.model_fields}
        return functools.partial(self.functions[part.name], **own)
