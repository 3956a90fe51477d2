"""LossConfig: one box loss and the two switches beside it, validated and immutable."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, SerializeAsAny, model_validator

from yolo_wiou.errors import ConfigError
from yolo_wiou.losses.cls_weighting import CLS_WEIGHTINGS
from yolo_wiou.losses.gain import GAINS, Gain
from yolo_wiou.losses.overlap import OVERLAPS, Overlap
from yolo_wiou.losses.penalty import PENALTIES
from yolo_wiou.losses.registry import Registry
from yolo_wiou.losses.settings import (
    Component,
    FiniteFloat,
    RunningMeanConfig,
    Scale,
    Settings,
    TaskBalance,
)

SWITCHES = ("cls_weighting", "task_balance")
AXES: tuple[Registry[Any], ...] = (OVERLAPS, PENALTIES, GAINS, CLS_WEIGHTINGS)
"""The sections that name a registered function; every other one has its settings in settings.py."""
SHARED = {*Overlap.model_fields, *Gain.model_fields} - {"name"}
"""Settings that every function of an axis has."""


def _named(value: Any) -> Any:
    """A section may be given by its name alone."""
    return {"name": value} if isinstance(value, str) else value


def _cls_weighting(value: Any) -> Component:
    """Files of the time when `none` had a setting hold its default, which says nothing."""
    return CLS_WEIGHTINGS.parse("none" if value == {"name": "none", "eta": 1.5} else value)


def _printable(name: str) -> str:
    """A name stands in logs, tables and terminals."""
    if not name.isprintable():
        raise ValueError("should have no control characters")
    return name


class LossConfig(Settings):
    """One box loss, gain · (1 − overlap + penalty), and the two switches beside it.

    >>> print(LossConfig(penalty="siou", gain={"name": "iou-power", "gamma": 1}))
    custom = iou-power(gamma=1.0) · (1 - iou + siou(theta=4.0))

    Attributes:
        name: what the run calls it; a preset's name unless a file gives another.
        overlap: how much the boxes share.
        penalty: what IoU does not see.
        gain: how much a box counts.
        power: α-IoU's α: the overlap and each term of the penalty are raised to it (arXiv:2110.13675).
        scale: Unified-IoU's scaling of both boxes.
        running_mean: the state behind Wise-IoU's gains.
        cls_weighting: what an entry of the classification loss counts.
        task_balance: ALWA.
    """

    name: Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_printable)] = "custom"
    overlap: Annotated[SerializeAsAny[Overlap], BeforeValidator(OVERLAPS.parse)] = Field(
        default_factory=lambda: OVERLAPS.parse({})
    )
    penalty: Annotated[SerializeAsAny[Component], BeforeValidator(PENALTIES.parse)] = Field(
        default_factory=lambda: PENALTIES.parse({})
    )
    gain: Annotated[SerializeAsAny[Gain], BeforeValidator(GAINS.parse)] = Field(default_factory=lambda: GAINS.parse({}))
    power: Annotated[FiniteFloat, Field(gt=0, le=10)] = 1.0
    scale: Scale = Scale()
    running_mean: RunningMeanConfig = RunningMeanConfig()
    cls_weighting: Annotated[SerializeAsAny[Component], BeforeValidator(_cls_weighting)] = Field(
        default_factory=lambda: CLS_WEIGHTINGS.parse({})
    )
    task_balance: Annotated[TaskBalance, BeforeValidator(_named)] = TaskBalance()

    @model_validator(mode="before")
    @classmethod
    def _without_description(cls, data: Any) -> Any:
        """Drop `about`, the words for readers of a preset's file."""
        return {k: v for k, v in data.items() if k != "about"} if isinstance(data, Mapping) else data

    @model_validator(mode="after")
    def _parts_fit_together(self) -> LossConfig:
        """Ask each part's own rule whether it makes sense among the others."""
        rules = [registry.rules[getattr(self, registry.axis).name] for registry in AXES]
        for objection in (sentence for rule in itertools.chain(*rules) for sentence in rule(self)):
            raise ConfigError(objection)
        return self

    @property
    def is_stock(self) -> bool:
        """Whether this is Ultralytics' own loss, CIoU without any change; weighted classification is one."""
        return self.is_unmodified("ciou") and self.cls_weighting.name == "none"

    def is_unmodified(self, penalty: str) -> bool:
        """Whether this is IoU with a penalty and nothing else."""
        unmodified = OVERLAPS.parse("iou"), PENALTIES.parse(penalty), 1.0, Scale(), "none"
        return (self.overlap, self.penalty, self.power, self.scale, self.gain.name) == unmodified

    def differs_in_name_alone(self, other: LossConfig) -> bool:
        """Whether this is the other loss, whatever the two are called."""
        return self == other.model_copy(update={"name": self.name})

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as plain data: the sections' classes are made at run time."""
        return LossConfig.model_validate, (self.model_dump(),)

    def to_yaml(self) -> str:
        """The whole configuration as YAML that `loss=FILE` takes."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    def __str__(self) -> str:
        """The formula with its parameters, e.g. `wiou3 = nonmonotonic(alpha=1.9, delta=3.0) · (1 - iou + wiou)`."""
        gain = "" if self.gain.name == "none" else f"{_call(self.gain)} · "
        terms = ["" if self.overlap.name == "none" else f"1 - {_call(self.overlap)}"]
        terms += [_call(self.penalty)] if self.penalty.name != "none" else []
        formula = f"{gain}({' + '.join(filter(None, terms))})"
        extras = [f"each term to the power {self.power:g}"] * (self.power != 1)
        extras += [f"boxes scaled by {self.scale.start:g} to {self.scale.end:g}"] * (self.scale != Scale())
        extras += [f"{name}={_call(part)}" for name, part in self if name in SWITCHES and part.name != "none"]
        return f"{self.name} = {', '.join([formula, *extras])}"


def _call(part: Component | TaskBalance) -> str:
    """`name(setting=value, …)`: every setting of the function's own, and a shared one that is not at its default."""
    own = {k: v for k, v in part if k != "name" and (k not in SHARED or v != type(part).model_fields[k].default)}
    return f"{part.name}({', '.join(f'{k}={v}' for k, v in own.items())})" if own else part.name
