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
            "penalty 'wiou' multiplies the IoU loss, which has no power here: leave 'power' at 1.": penalty == "wiou"
            and self.power != 1,
            "penalty 'd-interp' needs 'low' below 'high', or equal to it.": penalty == "d-interp"
            and getattr(self.penalty, "low", 0) > getattr(self.penalty, "high", 1),
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
        return self.is_plain("ciou")

    def is_plain(self, penalty: str) -> bool:
        """Whether this is IoU with a penalty and nothing else."""
        plain = OVERLAPS.parse("iou"), PENALTIES.parse(penalty), 1.0, Scale(), "none"
        return (self.overlap, self.penalty, self.power, self.scale, self.gain.name) == plain

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as plain data: the sections' classes are made at run time."""
        return load_config, (self.model_dump(),)

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
    """How preset names are compared: case, `_`, `-`, a `v` before the version, and Wise spelt out don't matter."""
    return re.sub(r"v(?=\d)", "", re.sub(r"[\s_-]", "", name.lower())).replace("wise", "w")


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


def _validated(data: Mapping[str, Any]) -> LossConfig:
    try:
        return LossConfig.model_validate(data)
    except ValidationError as error:
        sections = {name: section for name, section in data.items() if isinstance(section, Mapping)}
        unknown = [key for key in data if key not in LossConfig.model_fields]
        places = [f"loss.{name}.{key}" for key in unknown for name, section in sections.items() if key in section]
        hint = f"\nDid you mean {' or '.join(places)}?" if places else ""
        raise ConfigError(explain(error, LossConfig, "loss") + hint) from error


@functools.lru_cache
def _preset(key: str) -> LossConfig:
    """The preset of a comparable name."""
    path = _presets()[key]
    return _validated({"name": path.stem, **read_mapping(path)})


def _find(name: str) -> LossConfig:
    if comparable(name) not in _presets():
        hint = choices(name, available_losses())
        raise ConfigError(f"unknown loss '{name}'. {hint} Ultralytics' own is ciou. A file needs the ending .yaml.")
    return _preset(comparable(name))


def _flat(data: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted key."""
    flat = {}
    for section, value in ((str(key), value) for key, value in data.items()):
        flat.update({f"{section}.{k}": v for k, v in value.items()} if isinstance(value, Mapping) else {section: value})
    return flat


def _apply(data: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Set dotted keys in place, names first: a new `name` starts its section afresh, for settings are a name's own."""
    for dotted, value in sorted(changes.items(), key=lambda c: (c[0].count("."), not c[0].endswith(".name"))):
        *sections, last = dotted.split(".")
        inner = data
        for section in sections:
            there = inner.get(section, {})
            inner[section] = dict(there) if isinstance(there, Mapping) else {"name": there}
            inner = inner[section]
        if last == "name" and sections and inner.get("name") != value:
            inner.clear()
        inner[last] = value


def load_config(loss: Any = DEFAULT_LOSS, overrides: Mapping[str, Any] | None = None) -> LossConfig:
    """Build the validated configuration of a loss.

    A mapping or file whose `name` is a preset's starts from that preset. Where anything differs from the preset in the
    end, the loss is called after its file, or `PRESET*`, so that no name stands for another formula.

    Args:
        loss: a preset's name, a path ending in .yaml, a mapping, or a LossConfig.
        overrides: values by dotted key, e.g. {"gain.delta": 5, "overlap.inner": 0.75}; a `name` is set before the
            settings of its section, wherever it stands.

    Raises:
        ConfigError: anything wrong with it, with the valid choices.
    """
    if isinstance(loss, LossConfig) and not overrides:
        return loss
    base, label = _base(loss)
    if comparable(name := str((overrides or {}).get("name", ""))) in _presets().keys() - {comparable(base["name"])}:
        raise ConfigError(f"'loss.name={name}' would give '{base['name']}' another name. Did you mean loss={name}?")
    _apply(base, overrides or {})
    config = _validated(base)
    key = comparable(config.name)
    if key in _presets() and config.model_copy(update={"name": _preset(key).name}) != _preset(key):
        config = config.model_copy(update={"name": label or f"{_preset(key).name}*"})
    return config


def take_loss(*arguments: dict[str, Any]) -> LossConfig | None:
    """Take `loss` and the dotted `loss.…` out of a run's arguments, the last ones win; None where there are none.

    Raises:
        ConfigError: as `load_config`.
    """
    own = {key: args.pop(key) for args in arguments for key in list(args) if key == "loss" or key.startswith("loss.")}
    if not own:
        return None
    loss = own.pop("loss", DEFAULT_LOSS)
    return load_config(loss, {key.removeprefix("loss."): value for key, value in own.items()})


def _base(loss: Any) -> tuple[dict[str, Any], str]:
    """The unvalidated mapping behind a name, a file, a mapping or a LossConfig; and the file's name."""
    label, data = "", loss
    if isinstance(loss, LossConfig):
        return loss.model_dump(), label
    if isinstance(loss, (str, Path)) and str(loss).strip():
        word = str(loss).strip()
        if not (Path(word).suffix.lower() in {".yaml", ".yml"} or "/" in word or "\\" in word):
            return _find(word).model_dump(), label
        data, stem = read_mapping(Path(word)), comparable(Path(word).stem)
        if stem not in _presets():
            label = Path(word).stem
        elif _validated({"name": _preset(stem).name, **data}) == _preset(stem):  # a preset's own file
            return _preset(stem).model_dump(), label
    if not isinstance(data, Mapping):
        raise ConfigError(f"'loss' needs a name or a YAML file. {choices('', available_losses())}")
    key = comparable(str(data.get("name", "")))
    base = _preset(key).model_dump() if key in _presets() else {"name": label or "custom"}
    _apply(base, _flat(data))
    return base, label


def about() -> Iterator[tuple[str, dict[str, Any], LossConfig]]:
    """Name, description and configuration of every preset."""
    for key, path in _presets().items():
        yield path.stem, read_mapping(path).get("about", {}), _preset(key)
