"""An axis of the formula: names of pure functions, and the settings that their signatures declare.

A loss registers itself where its formula stands::

    @PENALTIES.register("siou")
    def siou(pair: BoxPair, *, theta: Annotated[FiniteFloat, Field(ge=1, le=10)] = 4.0) -> Terms: ...

The keyword-only parameters of the function, with their ranges and defaults, are the loss's settings: there is no second
place that lists them.
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from pydantic import ValidationError, create_model

from yolo_wiou.errors import ConfigError, choices, explain
from yolo_wiou.losses.plugins import load_plugins
from yolo_wiou.losses.settings import Component

ComponentT = TypeVar("ComponentT", bound=Component)
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
Rule: TypeAlias = Callable[[Any], Iterator[str]]
"""What a function asks of the whole loss (a LossConfig) that it is a part of: a sentence for each objection."""


class Registry(Generic[ComponentT]):
    """Names, functions and settings of one axis.

    Args:
        axis: what the section is called in YAML.
        base: the section's class; its own fields are settings that every function on this axis shares.
        default: the name that a section without one has.
        rule: what every function of this axis asks, beside what its own rule does.
        offers: what a function may ask for, by the names of its positional parameters; () where all get the same.
    """

    def __init__(
        self,
        axis: str,
        base: type[ComponentT],
        default: str,
        rule: Rule | None = None,
        offers: Sequence[str] = (),
    ) -> None:
        """Start without any entry."""
        self.axis, self.base, self.default, self.rule, self.offers = axis, base, default, rule, offers
        self.functions: dict[str, Callable[..., Any]] = {}
        self.components: dict[str, type[ComponentT]] = {}
        self.rules: dict[str, list[Rule]] = {}

    def register(self, name: str, rule: Rule | None = None) -> Callable[[FunctionT], FunctionT]:
        """Give a function a name; its keyword-only parameters become the settings of that name.

        Args:
            name: what a loss calls it.
            rule: yields why a loss that has this function makes no sense, a sentence each.

        Raises:
            ConfigError: the name is taken, or the function asks for what this axis does not offer.
        """
        if name in self.functions:
            raise ConfigError(f"{self.axis} '{name}' exists already.")

        def add(function: FunctionT) -> FunctionT:
            for asked in asks(function) if self.offers else ():
                if asked not in self.offers:
                    raise ConfigError(f"{self.axis} '{name}' asks for '{asked}'. {choices(asked, self.offers)}")
            own: dict[str, Any] = {
                p.name: (p.annotation, p.default)
                for p in inspect.signature(function, eval_str=True).parameters.values()
                if p.kind is p.KEYWORD_ONLY
            }
            own["name"] = (Literal[name], name)
            self.components[name] = create_model(f"{self.axis}_{name}", __base__=self.base, **own)
            self.functions[name] = function
            self.rules[name] = [asked for asked in (rule, self.rule) if asked]
            return function

        return add

    def parse(self, value: Any) -> ComponentT:
        """Validate a section: a name, or a mapping of settings and a name.

        Raises:
            ConfigError: the name is not registered, or a setting is unknown or out of range.
        """
        if isinstance(value, self.base):
            return value
        load_plugins()  # not at import: they import this package
        if not isinstance(value, (str, Mapping)):
            raise ConfigError(f"'{self.axis}' needs a name. {choices('', self.components)}")
        section = {"name": value} if isinstance(value, str) else {"name": self.default, **value}
        if not isinstance(section["name"], str) or section["name"] not in self.components:
            known = choices(section["name"], self.components)
            own = "One of your own is known once its module is imported, or named by an entry point."
            raise ConfigError(f"unknown {self.axis} '{section['name']}'. {known} {own}")
        model = self.components[section["name"]]
        try:
            return model.model_validate(dict(section))
        except ValidationError as error:
            unknown = (item["loc"][0] for item in error.errors() if item["type"] == "extra_forbidden")
            message = explain(error, model, f"loss.{self.axis}") + "".join(map(self._owners, unknown))
            raise ConfigError(message) from error

    def _owners(self, key: object) -> str:
        """Say which names have a setting that the one at hand has not."""
        names = [name for name, component in self.components.items() if key in component.model_fields]
        return (
            f"\n'{key}' belongs to {self.axis} {', '.join(names)}: loss.{self.axis}.name={names[0]}." if names else ""
        )

    def bind(self, component: ComponentT) -> Callable[..., Any]:
        """Return the function of a section with its own settings filled in."""
        own = {
            key: getattr(component, key) for key in type(component).model_fields if key not in self.base.model_fields
        }
        return functools.partial(self.functions[component.name], **own)


def asks(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of a function's positional parameters.

    >>> asks(lambda pair, mean, *, gamma=0.5: None)
    ('pair', 'mean')
    """
    parameters = inspect.signature(function).parameters.values()
    return tuple(p.name for p in parameters if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD})
