"""The commands `curves` and `simulate`: a table and a picture of losses, without a detector."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ultralytics.utils import TQDM

from yolo_wiou.arguments import out_folder, parse_options
from yolo_wiou.config import DEFAULT_LOSS, LossConfig, take_loss
from yolo_wiou.registry import ConfigError
from yolo_wiou.studies import curves, simulate


def draw_curves(words: list[str]) -> None:
    """`curves losses=A,B means=0.2,0.5 out=FOLDER`: gain, loss and gradient against IoU, as PNG and CSV."""
    options = parse_options(words, {"losses": DEFAULT_LOSS, "means": list(curves.MEANS), "out": "runs/curves"})
    folder = out_folder(options["out"])
    rows = curves.curves(load_configs(options), options["means"])
    save(rows, folder, "curves", curves.plot)


def draw_simulation(words: list[str]) -> None:
    """`simulate losses=A,B experiment=diou|wiou points=N iterations=K out=FOLDER`: regression without a detector."""
    defaults = {"losses": "ciou,wiou1", "experiment": "diou", "points": 5000, "iterations": 0, "out": "runs/simulate"}
    options = parse_options(words, defaults)
    if options["experiment"] not in simulate.EXPERIMENTS:
        raise ConfigError(f"unknown experiment '{options['experiment']}'. Valid: {', '.join(simulate.EXPERIMENTS)}.")
    folder, rows = out_folder(options["out"]), []
    for config in load_configs(options):
        bar = TQDM(total=0, desc=config.name)

        def progress(done: int, total: int, bar: Any = bar) -> None:
            bar.total = total
            bar.update(done - bar.n)

        rows += simulate.simulate(
            config, options["experiment"], options["points"], options["iterations"] or None, progress
        )
        bar.close()
    save(rows, folder, f"simulate-{options['experiment']}", simulate.plot)


def load_configs(options: dict[str, Any]) -> list[LossConfig]:
    """Load the losses of a study, each with the dotted changes that stand beside them.

    Raises:
        ConfigError: one of them is wrong, or two have one name.
    """
    changes = {key: value for key, value in options.items() if key.startswith("loss.")}
    configs = [take_loss({"loss": name}, dict(changes)) for name in str(options["losses"]).split(",")]
    named = {config.name: config for config in configs if config}
    if len(named) < len(configs):
        raise ConfigError(f"two of the losses have one name: {options['losses']}.")
    return list(named.values())


def save(rows: list[Any], folder: Path, name: str, plot: Callable[[list[Any], Path], None]) -> None:
    """Write a study's table and picture, and say where."""
    folder.mkdir(parents=True, exist_ok=True)
    curves.write_csv(rows, folder / f"{name}.csv")
    plot(rows, folder / f"{name}.png")
    print(f"Wrote {folder / name}.png and {folder / name}.csv")
