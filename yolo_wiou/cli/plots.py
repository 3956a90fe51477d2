"""The commands `curves` and `simulate`: a table and a picture of losses, without a detector."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ultralytics.utils import TQDM

from yolo_wiou.cli.arguments import out_folder, parse_options
from yolo_wiou.cli.demo import DEMO_LOSS
from yolo_wiou.cli.places import where
from yolo_wiou.cli.values import as_list
from yolo_wiou.errors import ConfigError
from yolo_wiou.losses import LossConfig
from yolo_wiou.losses.presets import take_loss
from yolo_wiou.simulation import curves, population, regression
from yolo_wiou.simulation.plotting import write_csv

CURVES = {"losses": DEMO_LOSS, "means": list(curves.MEANS), "out": "runs/curves"}
SIMULATION = {"losses": "ciou,wiou1", "experiment": "diou", "points": 5000, "iterations": 0, "out": "runs/simulate"}


def draw_curves(argv: list[str]) -> None:
    """`curves losses=A,B means=0.2,0.5 out=FOLDER`: gain, loss and gradient against IoU, as PNG and CSV.

    How heavy the gains make the box term is printed.
    """
    options = parse_options(argv, CURVES)
    folder = out_folder(options["out"])
    losses = load_configs(options)
    points = curves.curves(losses, options["means"])
    if rows := population.heaviness(losses, options["means"]):
        print(population.WORDS, population.table(rows), sep="\n")
    save(points, folder, "curves", curves.plot)


def draw_simulation(argv: list[str]) -> None:
    """`simulate losses=A,B experiment=diou|wiou points=N iterations=K out=FOLDER`: regression without a detector."""
    options = parse_options(argv, SIMULATION)
    experiment = options["experiment"]
    if experiment not in regression.EXPERIMENTS:
        raise ConfigError(f"unknown experiment '{experiment}'. Valid: {', '.join(regression.EXPERIMENTS)}.")
    folder = out_folder(options["out"])
    rows: list[regression.Row] = []
    for config in load_configs(options):
        with TQDM(total=0, desc=config.name) as bar:

            def progress(done: int, total: int, bar: Any = bar) -> None:
                bar.total = total
                bar.update(done - bar.n)

            rows += regression.simulate(config, experiment, options["points"], options["iterations"] or None, progress)
    save(rows, folder, f"simulate-{experiment}", regression.plot)


def load_configs(options: dict[str, Any]) -> list[LossConfig]:
    """Load the losses of a command, each with the dotted changes that stand beside them.

    Raises:
        ConfigError: one of them is wrong, or two have one name.
    """
    changes = {key: value for key, value in options.items() if key.startswith("loss.")}
    configs = [take_loss({"loss": name}, dict(changes)) for name in as_list(options["losses"]) or [""]]
    by_name = {config.name: config for config in configs if config}
    if len(by_name) < len(configs):
        raise ConfigError(f"two of the losses have one name: {options['losses']}.")
    return list(by_name.values())


def save(rows: Sequence[Any], folder: Path, name: str, plot: Callable[[Sequence[Any], Path], None]) -> None:
    """Write the rows as a table and a picture, and say where."""
    folder.mkdir(parents=True, exist_ok=True)
    table, picture = folder / f"{name}.csv", folder / f"{name}.png"
    write_csv(rows, table)
    plot(rows, picture)
    print(where(picture=picture, table=table))
