"""What the studies of the audit share: their command line, training what is missing, and copies with planted errors."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from yolo_wiou.cli.arguments import parse_options
from yolo_wiou.compare.run import Run
from yolo_wiou.compare.runner import LocalJob, train
from yolo_wiou.data.planting import PLANTED, PlantConfig, plant
from yolo_wiou.errors import ConfigError
from yolo_wiou.losses import load_config
from yolo_wiou.losses.presets import as_plain
from yolo_wiou.training.preflight import describe, images_of


class Request(NamedTuple):
    """What a command line asks for.

    Attributes:
        sources: folders of what is needed.
        out: the folder that holds everything.
        options: whatever was given as `key=value`.
    """

    sources: list[Path]
    out: Path
    options: dict[str, Any]


def read(argv: Sequence[str], needed: dict[str, str], out: str, **options: Any) -> Request:
    """Read `SOURCE … [OUT] [key=value …]`, or end with exit code 2 and what is wrong.

    Args:
        argv: of the command line.
        needed: a file that each source's folder must have, by what the usage calls the source.
        out: where OUT is not given.
        **options: the keys, with their defaults.
    """
    folders = [Path(word).resolve() for word in argv if "=" not in word]
    sources, rest = folders[: len(needed)], folders[len(needed) :] or [Path(out).resolve()]
    try:
        given = parse_options([word for word in argv if "=" in word], options)
        if len(sources) < len(needed) or len(rest) > 1:
            raise ConfigError(f"{' '.join(needed)} [OUT] {' '.join(f'[{key}={options[key]}]' for key in options)}")
        for (name, file), source in zip(needed.items(), sources, strict=True):
            if not (source / file).exists():
                raise ConfigError(f"{name} is the folder of {file}, which '{source}' has not.")
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    return Request(sources, rest[0], given)


def a_run(data: str, file: Path, seed: int, arguments: dict[str, Any], loss: str = "ciou", **more: Any) -> Run:
    """Return a training that records its labels, judged by its last epoch."""
    spec = as_plain(load_config(loss))
    arguments = {**arguments, "data": str(file), "audit": True}
    return Run(data=data, loss=loss, seed=seed, spec=spec, arguments=arguments, checkpoints=("last",), **more)


def finish(runs: Iterable[Run], out: Path, jobs: int) -> None:
    """Train what is missing."""
    for run in train(runs, out, LocalJob, jobs):
        print(f"{run}: {'done' if run.is_finished(out) else 'failed'}", flush=True)


def planted_copy(source: Path, folder: Path, seed: int) -> Path:
    """Plant errors into a copy of the training labels, unless it is there; returns its data.yaml."""
    if not (folder / PLANTED).is_file():
        description = describe(source)
        plant(folder, description, images_of(description, "train"), config=PlantConfig(seed=seed))
    return folder / "data.yaml"


def save(results: Any, file: Path) -> None:
    """Write what a study found."""
    file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
