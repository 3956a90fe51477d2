"""What `loss=` may be -> a LossConfig: a preset's name, a YAML file, a mapping, and dotted overrides."""

import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from yolo_wiou.errors import ConfigError, choices, explain
from yolo_wiou.files import CFG, read_mapping
from yolo_wiou.losses.config import LossConfig

DEFAULT_LOSS = "ciou"
"""Ultralytics' own: no other is shown yet to help on loose boxes and to do no harm elsewhere (docs/study.md)."""


def available_losses() -> list[str]:
    """Names of all presets, in the order of the catalogue.

    >>> available_losses()[:4]
    ['iou', 'giou', 'diou', 'ciou']
    """
    return [path.stem for path in _presets().values()]


def groups() -> dict[str, list[str]]:
    """Names of all presets by group, in the order of the catalogue."""
    text = (CFG / "catalogue.yaml").read_text(encoding="utf-8")
    catalogue: dict[str, list[str]] = yaml.safe_load(text)
    return catalogue


def about() -> Iterator[tuple[str, dict[str, Any], LossConfig]]:
    """Name, description and configuration of every preset."""
    for key, path in _presets().items():
        yield path.stem, read_mapping(path).get("about", {}), _preset(key)


def load_config(loss: Any = DEFAULT_LOSS, overrides: Mapping[str, Any] | None = None) -> LossConfig:
    """Build the validated configuration of a loss.

    A mapping or file whose `name` is a preset's starts from that preset. Where anything differs from the preset in the
    end, the loss is called after its file, or `PRESET*`, so that no name stands for another formula.

    >>> print(load_config("WIoU-v3", {"gain.delta": 5}))
    wiou3* = nonmonotonic(alpha=1.9, delta=5.0) · (1 - iou + wiou)

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
    if comparable(name := (overrides or {}).get("name", "")) in _presets().keys() - {comparable(base["name"])}:
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
    own = {key: args.pop(key) for args in arguments for key in list(args) if belongs_to_loss(key)}
    if not own:
        return None
    loss = own.pop("loss", DEFAULT_LOSS)
    return load_config(loss, {key.removeprefix("loss."): value for key, value in own.items()})


def belongs_to_loss(key: str) -> bool:
    """Whether an argument is `loss` or one of its dotted settings."""
    return key == "loss" or key.startswith("loss.")


def as_plain(config: LossConfig) -> str | dict[str, Any]:
    """Return the shortest plain value that `load_config` takes for this: a preset's name, or all of it as a dict."""
    if comparable(config.name) in _presets() and config == load_config(config.name):
        return config.name
    return config.model_dump(mode="json")


def comparable(name: object) -> str:
    """How preset names are compared: case, `_`, `-`, a `v` before the version, and Wise spelt out don't matter.

    >>> comparable("Wise-IoU_v3") == comparable("wiou3")
    True
    """
    return re.sub(r"v(?=\d)", "", re.sub(r"[\s_-]", "", str(name).lower())).replace("wise", "w")


@functools.lru_cache
def _presets() -> dict[str, Path]:
    """The preset files by comparable name, in the order of the catalogue."""
    return {comparable(name): CFG / "losses" / f"{name}.yaml" for group in groups().values() for name in group}


@functools.lru_cache
def _preset(key: str) -> LossConfig:
    """The preset of a comparable name."""
    path = _presets()[key]
    return _validated({"name": path.stem, **read_mapping(path)})


def _find(name: str) -> LossConfig:
    if comparable(name) not in _presets():
        if "," in name:
            raise ConfigError(f"'{name}' are several losses. To compare them: yolo-wiou compare losses={name}")
        hint = choices(name, available_losses())
        raise ConfigError(f"unknown loss '{name}'. {hint} Ultralytics' own is ciou. A file needs the ending .yaml.")
    return _preset(comparable(name))


def _validated(data: Mapping[str, Any]) -> LossConfig:
    try:
        return LossConfig.model_validate(data)
    except ValidationError as error:
        sections = {name: section for name, section in data.items() if isinstance(section, Mapping)}
        unknown = [key for key in data if key not in LossConfig.model_fields]
        meant = [f"loss.{name}.{key}" for key in unknown for name, section in sections.items() if key in section]
        hint = f"\nDid you mean {' or '.join(meant)}?" if meant else ""
        raise ConfigError(explain(error, LossConfig, "loss") + hint) from error


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
    key = comparable(data.get("name", ""))
    base = _preset(key).model_dump() if key in _presets() else {"name": label or "custom"}
    _apply(base, dotted(data))
    return base, label


def dotted(data: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted key.

    Raises:
        ConfigError: one stands twice, in its section and with a dot.
    """
    flat: dict[str, Any] = {}
    for section, value in ((str(key), value) for key, value in data.items()):
        settings = {f"{section}.{k}": v for k, v in value.items()} if isinstance(value, Mapping) else {section: value}
        if twice := flat.keys() & settings.keys():
            raise ConfigError(f"'loss.{min(twice)}' stands twice in one loss. Which of the two?")
        flat.update(settings)
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
