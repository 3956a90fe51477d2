"""What a study calls its losses and data sets: names that are also folders."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from yolo_wiou.compare.run import file_name
from yolo_wiou.errors import ConfigError
from yolo_wiou.losses import LossConfig, load_config


def name_losses(losses: Sequence[str], grid: Mapping[str, Sequence[Any]]) -> dict[str, LossConfig]:
    """Return every loss of a study by its name, the baseline first.

    Args:
        losses: presets or YAML files; the first is the baseline.
        grid: values by dotted setting; every loss but the baseline is trained with every combination of them.

    Raises:
        ConfigError: a loss or a setting is wrong, fewer than two are left, or two have one name.
    """
    if len(losses) < 2:
        rival = "siou" if losses[0] == "wiou3" else "wiou3"
        raise ConfigError(f"a comparison needs two losses or more, the baseline first: losses={losses[0]},{rival}.")
    settings = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    named: dict[str, LossConfig] = {}
    for loss, changes in [(losses[0], {}), *itertools.product(losses[1:], settings)]:
        name = label(load_config(loss).name, changes)
        if is_taken(name, named):
            raise ConfigError(
                f"two of the losses are called '{name}'; a file that only repeats a preset is that preset."
            )
        try:
            named[name] = load_config(loss, changes)
        except ConfigError as error:
            raise ConfigError(f"'{name}': {error}") from error
    return named


def name_data(files: Sequence[str]) -> dict[str, str]:
    """Return the data sets by name: a file's own, and its folder's where it is a mere data.yaml.

    Raises:
        ConfigError: two have one name.
    """
    named: dict[str, str] = {}
    for file in files:
        path = Path(file)
        name = (path.absolute().parent.name if path.stem == "data" else "") or path.stem
        if rival := next((named[taken] for taken in named if is_taken(name, [taken])), None):
            raise ConfigError(f"two of the data sets are called '{name}': '{rival}' and '{file}'.")
        named[name] = file
    return named


def label(loss: str, changes: Mapping[str, Any]) -> str:
    """Return what a study calls a loss with some settings changed.

    >>> label("wiou3", {"gain.delta": 4})
    'wiou3 delta=4'
    """
    return " ".join([loss, *(f"{key.rpartition('.')[2]}={value}" for key, value in changes.items())])


def is_taken(name: str, names: Iterable[str]) -> bool:
    """Whether a name would share its folder with one of the others."""
    return file_name(name).lower() in {file_name(other).lower() for other in names}
