"""LossConfig: a preset's name, a YAML file, a mapping or dotted overrides -> one validated, immutable configuration."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError, model_validator

from yolo_wiou.registry import ConfigError, Number, Part, Settings, choices, explain
from yolo_wiou.sections import (
    GAINS,
    OVERLAPS,
    PENALTIES,
    ClsWeighting,
    Gain,
    Overlap,
    RunningMeanConfig,
    Scale,
    TaskBalance,
)

# The YAML files lie at the top of the repository and, in a wheel, inside the package.
CFG = next(p for p in (Path(__file__).parent / "cfg", Path(__file__).parent.parent / "cfg") if p.is_dir())
DEFAULT_LOSS = "wiou3"


def _named(value: Any) -> Any:
    """A section may be given by its name alone."""
    return {"name": value} if isinstance(value, str) else value


class LossConfig(Settings):
    """One box loss, gain · (1 − overlap + penalty), and the two switches beside it.

    Attributes:
        name: what the run calls it; a preset's name unless a file gives another.
        overlap: how much the boxes share.
        penalty: what IoU does not see.
        gain: how much a box counts.
        power: α-IoU's α: the overlap and each term of the penalty are raised to it (2110.13675).
        scale: Unified-IoU's scaling of both boxes.
        running_mean: the state behind Wise-IoU's gains.
        cls_weighting: IoU-balanced classification.
        task_balance: ALWA.
    """

    name: Annotated[str, Field(min_length=1)] = "custom"
    overlap: Annotated[SerializeAsAny[Overlap], BeforeValidator(OVERLAPS.parse)] = Field(
        default_factory=lambda: OVERLAPS.parse({})
    )
    penalty: Annotated[SerializeAsAny[Part], BeforeValidator(PENALTIES.parse)] = Field(
        default_factory=lambda: PENALTIES.parse({})
    )
    gain: Annotated[SerializeAsAny[Gain], BeforeValidator(GAINS.parse)] = Field(default_factory=lambda: GAINS.parse({}))
    power: Annotated[Number, Field(gt=0, le=10)] = 1.0
    scale: Scale = Scale()
    running_mean: RunningMeanConfig = RunningMeanConfig()
    cls_weighting: Annotated[ClsWeighting, BeforeValidator(_named)] = ClsWeighting()
    task_balance: Annotated[TaskBalance, BeforeValidator(_named)] = TaskBalance()

    @model_validator(mode="before")
    @classmethod
    def _without_description(cls, data: Any) -> Any:
        """Drop `about`, the words for readers of a preset's file."""
        return {k: v for k, v in data.items() if k != "about"} if isinstance(data, Mapping) else data

    @model_validator(mode="after")
    def _makes_sense(self) -> LossConfig:
        """Refuse parts that contradict each other."""
        overlap, penalty, inner = self.overlap.name, self.penalty.name, self.overlap.inner != 1
        low, high = self.overlap.focaler
        contradictions = {
            "overlap 'none' has nothing that 'inner' or 'focaler' could change.": overlap == "none"
            and (inner or (low, high) != (0, 1)),
            "overlap 'none' needs a penalty, or the loss is always 0.": overlap == penalty == "none",
            "penalty 'focal-l1' replaces the overlap: set it 'none'.": penalty == "focal-l1" and overlap != "none",
            "penalty 'wiou' multiplies the IoU loss: it needs overlap 'iou'.": penalty == "wiou" and overlap != "iou",
            "overlap 'nwd' compares sizes, which 'inner' would scale.": overlap == "nwd" and inner,
            "boxes below 'focaler' d > 0 need a penalty to be moved at all.": low > 0 and penalty == "none",
        }
        for reason, is_so in contradictions.items():
            if is_so:
                raise ConfigError(reason)
        return self

    @property
    def spec(self) -> str | dict[str, Any]:
        """The shortest plain value that gives this configuration back: a preset's name, or all of it as a dict."""
        if comparable(self.name) in _presets() and self == load_config(self.name):
            return self.name
        return self.model_dump(mode="json")

    @property
    def is_stock(self) -> bool:
        """Whether this is Ultralytics' own loss, CIoU without any change."""
        plain = OVERLAPS.parse("iou"), PENALTIES.parse("ciou"), 1.0, Scale(), "none"
        return (self.overlap, self.penalty, self.power, self.scale, self.gain.name) == plain

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


def _call(part: Part | ClsWeighting | TaskBalance) -> str:
    """`name(setting=value, …)`: every setting of the function's own, and a shared one that is not at its default."""
    own = {k: v for k, v in part if k != "name" and (k not in SHARED or v != type(part).model_fields[k].default)}
    return f"{part.name}({', '.join(f'{k}={v}' for k, v in own.items())})" if own else part.name


SWITCHES = ("cls_weighting", "task_balance")
SHARED = {*Overlap.model_fields, *Gain.model_fields} - {"name"}


def comparable(name: str) -> str:
    """How preset names are compared: case, `_`, `-` and a `v` before the version don't matter."""
    return re.sub(r"v(?=\d)", "", re.sub(r"[\s_-]", "", name.lower()))


@functools.lru_cache
def _presets() -> dict[str, Path]:
    """The preset files by comparable name, in the order of the catalogue."""
    order = yaml.safe_load((CFG / "catalogue.yaml").read_text(encoding="utf-8"))
    return {comparable(name): CFG / "losses" / f"{name}.yaml" for name in order}


def available_losses() -> list[str]:
    """Names of all presets, in the order of the catalogue."""
    return [path.stem for path in _presets().values()]


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Raises:
        ConfigError: it is missing, no YAML, or no mapping.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read '{path}': {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"'{path}' is not YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(data, dict):
        raise ConfigError(f"'{path}' holds no mapping of keys to values.")
    return data


def _read(path: Path) -> dict[str, Any]:
    """Read a loss file; its name is the loss's unless it gives another."""
    return {"name": path.stem, **read_mapping(path)}


def _plain(loss: Any) -> dict[str, Any]:
    """The unvalidated mapping behind a name, a file, a mapping or a LossConfig."""
    if isinstance(loss, LossConfig):
        return loss.model_dump()
    if isinstance(loss, Mapping):
        return dict(loss)
    if not isinstance(loss, (str, Path)) or not str(loss).strip():
        raise ConfigError(f"'loss' needs a name or a YAML file. {choices('', available_losses())}")
    word = str(loss).strip()
    if Path(word).suffix.lower() in {".yaml", ".yml"} or "/" in word or "\\" in word:
        return _read(Path(word))
    if comparable(word) not in _presets():
        hint = choices(word, available_losses())
        raise ConfigError(f"unknown loss '{word}'. {hint} A file needs the ending .yaml.")
    return _read(_presets()[comparable(word)])


def _override(data: dict[str, Any], dotted: str, value: Any) -> None:
    """Set one dotted key in place. A new `name` starts its section afresh: the old one's settings aren't its own."""
    *sections, last = dotted.split(".")
    for section in sections:
        inner = data.get(section, {})
        data[section] = dict(inner) if isinstance(inner, Mapping) else {"name": inner}
        data = data[section]
    if last == "name" and sections and data.get("name") != value:
        data.clear()
    data[last] = value


def load_config(loss: Any = DEFAULT_LOSS, overrides: Mapping[str, Any] | None = None) -> LossConfig:
    """Build the validated configuration of a loss.

    Args:
        loss: a preset's name, a path ending in .yaml, a mapping, or a LossConfig.
        overrides: values by dotted key, e.g. {"gain.delta": 5, "overlap.inner": 0.75}; a `name` is set before the
            settings of its section, wherever it stands.

    Raises:
        ConfigError: anything wrong with it, with the valid choices.
    """
    data = _plain(loss)
    for dotted, value in sorted((overrides or {}).items(), key=lambda o: (o[0].count("."), not o[0].endswith(".name"))):
        _override(data, dotted, value)
    try:
        return LossConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError(explain(error, LossConfig, "loss")) from error


def about() -> Iterator[tuple[str, dict[str, Any], LossConfig]]:
    """Name, description and configuration of every preset."""
    for path in _presets().values():
        data = _read(path)
        yield path.stem, data.get("about", {}), load_config(path)
