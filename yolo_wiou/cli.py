"""The command line: Ultralytics' grammar, `yolo-wiou TASK MODE key=value …`, with `loss=` in train."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from ultralytics.cfg import (
    DEFAULT_CFG_DICT,
    MODES,
    TASK2MODEL,
    TASKS,
    check_dict_alignment,
    entrypoint,
    get_cfg,
    merge_equals_args,
    parse_key_value_pair,
)
from ultralytics.utils import LOGGER, checks

from yolo_wiou.config import CFG, DEFAULT_LOSS, about, load_config, read_mapping
from yolo_wiou.data.shapes import ShapesConfig, render_dataset
from yolo_wiou.registry import ConfigError
from yolo_wiou.training.criterion import check_contract
from yolo_wiou.training.model import YOLO
from yolo_wiou.version import __version__

HELP = f"""
yolo-wiou {__version__}: Ultralytics YOLO with the whole family of IoU losses. Every command of `yolo` works here too.

  yolo-wiou train                                     offline demo: renders a data set, trains {DEFAULT_LOSS} on it
  yolo-wiou train data=my.yaml model=yolo11n.pt loss=wiou3 epochs=100        any argument of `yolo train` passes through
  yolo-wiou train data=my.yaml loss=wiou3 loss.gain.delta=5                  change a setting of the loss
  yolo-wiou train data=my.yaml loss=my_loss.yaml                             a loss of your own
  yolo-wiou train resume model=runs/detect/train/weights/last.pt             continues with the run's own loss
  yolo-wiou val|predict|track|export|benchmark ...                           handed to Ultralytics unchanged
  yolo-wiou losses [NAME]                             the catalogue; or one loss as YAML, ready to edit
  yolo-wiou checks | version | help

Demo settings: noise=0.3 (share of loose boxes), shapes.KEY=value (see cfg/shapes.yaml).
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code, 2 for a mistake of the user."""
    words = sys.argv[1:] if argv is None else argv
    try:
        run(words)
    except ConfigError as error:
        print(f"yolo-wiou: {error}", file=sys.stderr)
        return 2
    return 0


def run(words: list[str]) -> None:
    """Find whose command it is: ours, a training, or Ultralytics'."""
    command = words[0].lstrip("-").lower() if words else "help"
    merged = merge_equals_args(words)
    own = [word for word in merged if is_own(word)]
    if command in COMMANDS:
        COMMANDS[command](words[1:])
    elif "train" in merged or "mode=train" in merged:
        train(merged)
    elif own:
        raise ConfigError(f"'{own[0]}' belongs to train; other modes have no training loss.")
    else:
        sys.argv[1:] = words  # where Ultralytics reads them
        entrypoint()


def is_own(word: str) -> bool:
    """Whether a `key=value` is ours and not Ultralytics'."""
    key = word.lstrip("-").partition("=")[0]
    return key in {"loss", "noise"} or key.startswith(("loss.", "shapes."))


def train(words: list[str]) -> None:
    """`train`: with our trainer, after everything the user wrote is known to be valid."""
    arguments = parse(words)
    own = {key: arguments.pop(key) for key in list(arguments) if is_own(key)}
    dotted = {key.removeprefix("loss."): value for key, value in own.items() if key.startswith("loss.")}
    if "loss" in own or dotted:
        arguments["loss"] = load_config(own.get("loss", DEFAULT_LOSS), dotted).spec
    shapes = {key.removeprefix("shapes."): value for key, value in own.items() if key.startswith("shapes.")}
    if "noise" in own:
        shapes["noise"] = own["noise"]

    is_demo = not arguments.get("data") and not arguments.get("resume")
    if shapes and not is_demo:
        raise ConfigError("'noise' and 'shapes.…' belong to the demo, which has no 'data='.")
    demo = yaml_section("train") if is_demo else {}
    arguments = {**demo, **arguments}
    check_arguments(arguments)
    task = arguments.pop("task", None)
    model = load_model(arguments.pop("model", None) or TASK2MODEL[task or "detect"], task)
    if is_demo:
        arguments["data"] = str(render_demo(shapes))
    model.train(**arguments)
    if is_demo:
        LOGGER.info(
            f"Look at {model.trainer.save_dir}: detections in val_batch0_pred.jpg, curves in results.png, the loss in "
            "loss.yaml.\nNext, your own data: yolo-wiou train data=my.yaml model=yolo11n.pt loss=wiou3"
        )


def parse(words: list[str]) -> dict[str, Any]:
    """Read `[TASK] train key=value …` by the rules of `yolo`; a file given by `cfg=` comes before the other words.

    Raises:
        ConfigError: a word is neither a task, a mode, nor an argument.
    """
    arguments: dict[str, Any] = {}
    for raw in words:
        word = raw.removeprefix("--").rstrip(",")
        key, equals, value = word.partition("=")
        if is_own(word):
            arguments[key] = value if key == "loss" else own_value(word)
        elif equals:
            arguments.update([_ultralytics(parse_key_value_pair, word)])
        elif word in TASKS:
            arguments["task"] = word
        elif word not in MODES:
            if not isinstance(DEFAULT_CFG_DICT.get(word), bool):
                _ultralytics(check_dict_alignment, DEFAULT_CFG_DICT, {word: ""})
                raise ConfigError(f"'{word}' needs a value, e.g. {word}={DEFAULT_CFG_DICT[word]}.")
            arguments[word] = True
    file = arguments.pop("cfg", None)
    if file:
        arguments = {**read_mapping(Path(_ultralytics(checks.check_yaml, file))), **arguments}
    arguments.pop("mode", None)
    return arguments


def own_value(word: str) -> Any:
    """Read the value of one of our `key=value` as YAML."""
    key, _, value = word.partition("=")
    if not value:
        raise ConfigError(f"'{key}' needs a value: {key}=...")
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"cannot read the value of '{key}': {value}") from error


def check_arguments(arguments: dict[str, Any]) -> None:
    """Check names and values of Ultralytics' arguments, and that the data file exists, before anything is written.

    Raises:
        ConfigError: in Ultralytics' own words.
    """
    stock = {key: value for key, value in arguments.items() if key != "loss"}
    _ultralytics(check_dict_alignment, DEFAULT_CFG_DICT, stock)
    _ultralytics(get_cfg, DEFAULT_CFG_DICT, stock)
    if str(stock.get("data", "")).endswith((".yaml", ".yml")):
        _ultralytics(checks.check_yaml, stock["data"])


def load_model(name: Any, task: str | None) -> YOLO:
    """Load or build the model.

    Raises:
        ConfigError: there is no such file, or it is no YOLO.
    """
    model = None if "rtdetr" in Path(str(name)).stem.lower() else _ultralytics(YOLO, name, task=task)
    if not isinstance(model, YOLO):
        raise ConfigError(
            f"'{name}' is no YOLO of a kind that has other box losses here; 'yolo train' has CIoU for it."
        )
    return model


def _ultralytics(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call Ultralytics; what it says of a mistake of the user becomes a message without a traceback."""
    try:
        return function(*args, **kwargs)
    except (SyntaxError, TypeError, ValueError, AssertionError, FileNotFoundError, NameError) as error:
        raise ConfigError(str(error).strip()) from error


def yaml_section(name: str) -> dict[str, Any]:
    """Return one section of cfg/shapes.yaml: the demo's `data` or `train`."""
    section: dict[str, Any] = read_mapping(CFG / "shapes.yaml")[name]
    return section


def render_demo(changes: dict[str, Any]) -> Path:
    """Render the demo's data set, once, below ./datasets."""
    config = ShapesConfig.model_validate({**yaml_section("data"), **changes})
    return render_dataset(Path("datasets") / "shapes", config)


def losses(words: list[str]) -> None:
    """`losses`: the catalogue; `losses NAME`: one loss, resolved, as YAML."""
    if words:
        print(load_config(words[0]).to_yaml(), end="")
        return
    rows = [("loss", "formula", "good for"), *((name, d["formula"], d["good_for"]) for name, d, _ in about())]
    widths = [max(len(row[i]) for row in rows) + 2 for i in (0, 1)]
    for name, formula, good_for in rows:
        print(f"{name:{widths[0]}}{formula:{widths[1]}}{good_for}")
    print("\n'yolo-wiou losses NAME' prints one as YAML; edit it and pass it back as loss=FILE.yaml.")


def show_checks(words: list[str]) -> None:
    """`checks`: whether the installed Ultralytics is as we need it, then its own report on the system."""
    check_contract()
    version([])
    LOGGER.info("Ultralytics' box loss is as this release knows it.\n")
    checks.collect_system_info()


def version(words: list[str]) -> None:
    """`version`."""
    from ultralytics import __version__ as ultralytics_version

    print(f"yolo-wiou {__version__} (ultralytics {ultralytics_version})")


def show_help(words: list[str]) -> None:
    """`help`."""
    print(HELP)


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "losses": losses,
    "checks": show_checks,
    "version": version,
    "help": show_help,
    "h": show_help,
}

if __name__ == "__main__":
    sys.exit(main())
