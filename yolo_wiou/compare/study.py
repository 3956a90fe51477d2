"""A study: what it trains, data sets x losses x seeds, and the folder that is its own."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from yolo_wiou.compare.control import CONTROLS, control_runs, read_controls
from yolo_wiou.compare.plan import Plan
from yolo_wiou.compare.run import PAIRING, Record, Run, Spec, ended_runs
from yolo_wiou.errors import ConfigError
from yolo_wiou.files import file_name
from yolo_wiou.losses import LossConfig, load_config


class Study(Plan):
    """A study, as its folder remembers it.

    Attributes:
        losses: every loss, as `loss=` takes it, by the name that the study gives it; the first is the baseline.
        data: every data set's YAML by its name.
        seeds: the seeds; each trains every loss on the same stream of data.
        arguments: what else `train` gets, the model among it.
        eval_data: a data YAML whose `val` is evaluated on instead of the training's own, if any.
        checkpoints: which ones are evaluated.
    """

    losses: dict[str, Spec] = Field(min_length=2)
    data: dict[str, str] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(min_length=1)
    arguments: dict[str, Any]
    eval_data: str | None = Field(default=None, alias="judge")
    checkpoints: tuple[str, ...] = ("last", "best")

    @property
    def baseline(self) -> str:
        """The loss that the others are compared with."""
        return next(iter(self.losses))

    def runs(self) -> list[Run]:
        """Every training, seed by seed, so that an unfinished study has whole pairs."""
        evaluation = {"eval_data": self.eval_data, "checkpoints": self.checkpoints}
        arguments = {name: {**self.arguments, "data": data} for name, data in self.data.items()}
        return [
            Run(data=name, loss=loss, seed=seed, spec=spec, arguments=arguments[name], **evaluation)
            for seed in self.seeds
            for name in self.data
            for loss, spec in self.losses.items()
        ]

    def records(self, folder: Path) -> list[Record]:
        """Every run that is planned, controls and all, and whatever else has ended in the study's folder."""
        ended = {record.folder: record for record in ended_runs(folder)}
        runs = [*self.runs(), *control_runs(self.runs(), read_controls(folder))]
        planned = [ended.pop(run.folder(folder), Record(run, run.folder(folder))) for run in runs]
        return [*planned, *ended.values()]

    def differences(self, there: Plan) -> list[str]:
        """Say what differs, the order of the losses too: the first is the baseline."""
        found = super().differences(there)
        is_reordered = isinstance(there, Study) and list(there.losses) != list(self.losses)
        return found or ["its losses stand in another order"] * is_reordered

    def forget(self, folder: Path) -> None:
        """Remove what runs that failed have left, what shows that they are pairs, and the controls."""
        super().forget(folder)
        shutil.rmtree(folder / PAIRING, ignore_errors=True)
        (folder / CONTROLS).unlink(missing_ok=True)


def name_losses(losses: Sequence[str], grid: Mapping[str, Sequence[Any]]) -> dict[str, LossConfig]:
    """Return every loss of a study by its name, the baseline first.

    Args:
        losses: presets or YAML files; the first is the baseline.
        grid: values by dotted setting; every loss but the baseline is trained with every combination of them.

    Raises:
        ConfigError: a loss or a setting is wrong, fewer than two are left, two have one name, or two are the same.
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
            config = load_config(loss, changes)
        except ConfigError as error:
            raise ConfigError(f"'{name}': {error}") from error
        if twin := next((known for known in named if named[known].differs_in_name_alone(config)), None):
            raise ConfigError(f"'{name}' is '{twin}' under another name; trained twice, it would be the same twice.")
        named[name] = config
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
    """Whether a name would share its folder with one of the others, on a file system without capitals too."""
    return file_name(name).casefold() in {file_name(taken).casefold() for taken in names}
