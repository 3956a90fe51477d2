"""The command line: Ultralytics' grammar, `yolo-wiou TASK MODE key=value …`, with `loss=` in train."""

import contextlib
import os
import sys
import time
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ultralytics.cfg import DEFAULT_CFG_DICT, MODES, TASK2MODEL, TASKS, entrypoint, get_cfg, merge_equals_args
from ultralytics.utils import LOGGER, checks

from yolo_wiou.cli.advise import advise
from yolo_wiou.cli.arguments import check_arguments, find_model, is_own, parse, parse_options
from yolo_wiou.cli.audit import audit_labels
from yolo_wiou.cli.catalogue import listing
from yolo_wiou.cli.checks import check_installation, describe_checkpoint, describe_folder, versions
from yolo_wiou.cli.compare import compare
from yolo_wiou.cli.demo import DEMO_LOSS, DEMO_MODELS, demo_data, take_shapes, yaml_section
from yolo_wiou.cli.places import pasted, where
from yolo_wiou.cli.plant import plant_labels
from yolo_wiou.cli.plots import draw_curves, draw_simulation
from yolo_wiou.cli.values import refuse_split_paths, unquoted
from yolo_wiou.data.noise import NOISE
from yolo_wiou.errors import ConfigError, ContractError
from yolo_wiou.files import CFG, read_mapping
from yolo_wiou.losses import LossConfig, load_config
from yolo_wiou.losses.presets import take_loss
from yolo_wiou.training.audited import take_audit
from yolo_wiou.training.compatibility import check_torchvision
from yolo_wiou.training.crash_safety import checkpoint_to_resume
from yolo_wiou.training.families import is_untrained
from yolo_wiou.training.model import NO_TUNE, YOLO
from yolo_wiou.training.preflight import check_run_folder
from yolo_wiou.training.ultralytics_errors import users_mistakes
from yolo_wiou.version import __version__

ULTRALYTICS_OWN = ("settings", "cfg", "login", "logout", "copy-cfg", "solutions")
SETTINGS = {"train": "default.yaml", "compare": "compare.yaml", "audit": "audit.yaml"}
"""The commands whose help ends in a file of cfg/ that has their settings."""


def run_command(argv: list[str]) -> int:
    """Run one command; returns the exit code: 2 for a mistake of the user, 1 for an Ultralytics we do not know.

    130 after Ctrl-C, 141 where nobody reads the output any more.
    """
    try:
        dispatch(argv)
    except (ConfigError, ContractError) as error:
        print(f"yolo-wiou: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    except KeyboardInterrupt as stop:
        print(" ".join(["yolo-wiou: stopped.", *map(str, stop.args)]), file=sys.stderr)
        return 130
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return 0


def dispatch(argv: list[str]) -> None:
    """Find whose command it is: one of ours, a training, or Ultralytics'."""
    command = argv[0].lstrip("-").lower() if argv else "help"
    refuse_split_paths(argv)
    with users_mistakes(SyntaxError):
        merged: list[str] = merge_equals_args(argv)
    own = [argument for argument in merged if is_own(argument)]
    if {"-h", "--help", "help"} & set(argv):
        show_help(argv)
    elif command in COMMANDS:
        COMMANDS[command](argv[1:])
    elif suggestion := correction_of(command):
        raise ConfigError(f"unknown command '{argv[0]}'. Did you mean '{suggestion}'? 'yolo-wiou help' lists all.")
    elif {"tune", "mode=tune"} & set(merged):
        raise ConfigError(NO_TUNE)
    elif "compare" in merged[:2]:
        compare(merged)
    elif {"train", "mode=train"} & set(merged):  # of which `audit` is an argument
        train(merged)
    elif "audit" in merged[:2]:
        audit_labels(merged)
    elif own:
        raise ConfigError(f"'{own[0]}' belongs to train; other modes train nothing.")
    else:
        run_as_ultralytics(argv)


def correction_of(command: str) -> str | None:
    """Return the command that a misspelt one was meant to be; None where it is one, or may be an argument."""
    if "=" in command or command in DEFAULT_CFG_DICT:
        return None
    nearest = get_close_matches(
        command, {"compare", "audit", *COMMANDS, *MODES, *TASKS, *ULTRALYTICS_OWN}, n=1, cutoff=0.6
    )
    return nearest[0] if nearest and nearest[0] != command else None


def run_as_ultralytics(argv: list[str]) -> None:
    """Let Ultralytics run a command: it reads sys.argv, and predict saves its results for `yolo` alone."""
    sys.argv[:] = ["yolo", *argv]
    with users_mistakes(SyntaxError, FileNotFoundError):  # unknown argument; no such weights, data, source
        entrypoint()


def train(argv: list[str]) -> None:
    """`train`: with our trainer, after everything the user wrote is known to be valid."""
    arguments = parse(argv)
    if foreign := sorted(read_mapping(CFG / "compare.yaml")["study"].keys() & arguments.keys()):
        raise ConfigError(
            f"'{foreign[0]}' belongs to compare: yolo-wiou compare data=my.yaml losses=ciou,wiou3 seeds=6"
        )
    task = arguments.get("task") or "detect"
    is_demo = not arguments.get("data") and not arguments.get("resume") and task in DEMO_MODELS
    if is_demo:
        arguments.setdefault("loss", DEMO_LOSS)
    loss = take_one_loss(arguments)
    audit = take_audit(arguments)
    shapes = take_shapes(arguments)
    if shapes and not is_demo:
        raise ConfigError("'noise' and 'shapes.…' belong to the demo, which has no 'data='.")
    if is_demo:
        arguments = {**yaml_section("train"), "model": DEMO_MODELS[task], **arguments}
    check_arguments(arguments)
    model = take_model(arguments)
    if loss:
        model.check_loss(loss)
    if is_demo:
        demo = demo_data({"task": model.task, **shapes})
        check_torchvision()
        check_run_folder(get_cfg(DEFAULT_CFG_DICT, {**arguments, "task": model.task, "mode": "train"}))
        arguments["data"] = str(demo.render())
        LOGGER.warning("yolo-wiou: no 'data=', so this is the demo, on a rendered data set.")
    started = time.time()
    try:
        model.train(loss=loss, audit=audit, **arguments)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(resume_hint(model.trainer, started)) from stop
    if is_demo:
        print(after_the_demo(model, Path(arguments["data"]).parent))
    print(where(**places(model.trainer), **({"data": Path(arguments["data"]).parent} if is_demo else {})))


def take_one_loss(arguments: dict[str, Any]) -> LossConfig | None:
    """Take the loss out of a training's arguments; None where there is none.

    Raises:
        ConfigError: as `load_config`; where a setting has several values, with the command that compares them.
    """
    several = {key: values for key, values in arguments.items() if key.startswith("loss.") and isinstance(values, list)}
    firsts = {**arguments, **{key: values[0] for key, values in several.items() if values}}
    try:
        return take_loss(arguments)
    except ConfigError as error:
        with contextlib.suppress(ConfigError):
            take_loss(firsts)
            words = " ".join(f"{key}={','.join(map(str, values))}" for key, values in several.items())
            error = ConfigError(f"{error} To compare several values: yolo-wiou compare losses=ciou,wiou3 {words}")
        raise error from None


def take_model(arguments: dict[str, Any]) -> YOLO:
    """Take `model` and `task` out of a training's arguments and load the model; with `resume`, the checkpoint.

    Raises:
        ConfigError: there is no such model or checkpoint, or it cannot be trained.
    """
    name, task = arguments.pop("model", None), arguments.pop("task", None)
    if resume := arguments.get("resume"):
        name, arguments["resume"] = str(checkpoint_to_resume(resume if resume is not True else name or True)[0]), True
    default = TASK2MODEL[task or "detect"]
    if is_untrained(name or default):
        raise ConfigError(f"Ultralytics has no training for '{name}'.")
    model = find_model(name or default, task)
    if not name:
        LOGGER.warning(f"yolo-wiou: no 'model=', so this is Ultralytics' default, model={default}.")
    return model


def resume_hint(trainer: Any, started: float) -> str:
    """Say how to resume a training that was stopped; a checkpoint from before its start is another run's."""
    last: Path | None = getattr(trainer, "last", None)  # there is none of a training on several data sets
    saved = last.stat().st_mtime if last and last.exists() else 0.0
    if last and saved and (trainer.resume or saved > started):
        return f"This goes on with it: yolo-wiou train resume model={pasted(last)}"
    return "It had written no checkpoint, so there is nothing to resume: start it anew."


def after_the_demo(model: YOLO, data: Path) -> str:
    """Say what the demo has left, and what to do next."""
    pretrained = Path(DEMO_MODELS[model.task]).with_suffix(".pt")
    lines = [
        f"Next, your own data: yolo-wiou {model.task} train data=my.yaml model={pretrained} loss=wiou3",
        "Look first at what this run has left: results.csv, loss.yaml and, unless plots=False, detections in "
        "val_batch0_pred.jpg and curves in results.png.",
    ]
    if (data / NOISE).is_file():
        run = pasted(Path(model.trainer.save_dir))
        lines.append(f"It is known which boxes are loose. How many of them are found: yolo-wiou audit run={run}")
    return "\n".join(lines)


def places(trainer: Any) -> dict[str, Path]:
    """Return where a training's results are, and its weights: the best ones, or the last where no epoch was judged.

    One on several data sets has weights below its results, for each of them.
    """
    results = {"results": Path(trainer.save_dir)}
    if not hasattr(trainer, "best"):
        return results
    return {**results, "weights": trainer.best if trainer.best.exists() else trainer.last}


def show_losses(argv: list[str]) -> None:
    """`losses`: the catalogue; `losses NAME [loss.…=…]`: one loss, resolved, as YAML."""
    if not argv:
        print(listing())
        return
    if others := [word for word in argv[1:] if "=" not in word]:
        raise ConfigError(f"'losses' shows one loss at a time, not {argv[0]} and {' and '.join(others)}.")
    config = take_loss({"loss": unquoted(argv[0].removeprefix("loss=")), **parse_options(argv[1:], {})})
    print(config.to_yaml() if config else "", end="")


def show_checks(argv: list[str]) -> None:
    """`checks loss=NAME`: is everything as it should be; `checks model=best.pt`, `checks run=FOLDER`: what is it."""
    options = parse_options(argv, {"model": "", "run": "", "loss": DEMO_LOSS})
    if place := options.pop("run") or options["model"]:
        print(describe_folder(Path(place)) if Path(place).is_dir() else describe_checkpoint(place))
        return
    del options["model"]
    print(check_installation(take_loss(options) or load_config(DEMO_LOSS)))
    checks.collect_system_info()


def show_version(argv: list[str]) -> None:
    """`version`."""
    parse_options(argv, {})  # it has none
    print(versions())


def show_help(argv: list[str]) -> None:
    """`help`; of a command that has a page of its own, that, and its settings."""
    pages = {page.stem.removeprefix("help-"): page.name for page in CFG.glob("help-*.txt")}
    if asked := next((word for word in argv if word in pages), None):
        print(*map(cfg_text, filter(None, (pages[asked], SETTINGS.get(asked)))), sep="\n")
    else:
        print(cfg_text("help.txt").format(version=__version__, loss=DEMO_LOSS))


def cfg_text(name: str) -> str:
    """Return a file of cfg/."""
    return (CFG / name).read_text(encoding="utf-8")


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "losses": show_losses,
    "advise": advise,
    "curves": draw_curves,
    "simulate": draw_simulation,
    "plant": plant_labels,
    "checks": show_checks,
    "version": show_version,
    "v": show_version,
    "help": show_help,
    "h": show_help,
}
