"""The command `compare`: its words become a study, which is checked before anything is written."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from ultralytics.cfg import DEFAULT_CFG_DICT, TASK2MODEL
from ultralytics.utils import LOGGER

from yolo_wiou.arguments import KNOWN, check_arguments, find_model, out_folder, parse, parse_options
from yolo_wiou.config import CFG, LossConfig, read_mapping
from yolo_wiou.datasets import check_images, check_labels
from yolo_wiou.demo import DEMO_MODELS, demo_place, render_demo, take_shapes, yaml_section
from yolo_wiou.registry import ConfigError, choices
from yolo_wiou.studies.compare.conduct import conduct, say, write_report
from yolo_wiou.studies.compare.engine import Engine, LocalJob
from yolo_wiou.studies.compare.plan import Study, name_data, name_losses
from yolo_wiou.studies.compare.words import table

NEEDED = ("faster_coco_eval", "jinja2", "plotly", "scipy")
ENGINES = ("local", "ray")
REFUSED = {
    "loss": "losses=A,B names the losses",
    "seed": "seeds=N trains every loss under N seeds",
    "project": "out=FOLDER says where the study lies",
    "name": "out=FOLDER says where the study lies",
    "exist_ok": "the same command goes on with a study",
    "resume": "the same command goes on with a study",
    "save": "the checkpoints are what is judged",
    "time": "how far a run comes must not depend on what else the machine does. Use epochs=N",
}
"""Training arguments that have no place in a study, and why."""


class Plan(NamedTuple):
    """What the words of the command ask for.

    Attributes:
        study: the study.
        shapes: the settings of the demo's data set; None where the user has data.
        options: jobs, engine, address and out.
    """

    study: Study
    shapes: dict[str, Any] | None
    options: dict[str, Any]


def compare(words: list[str]) -> None:
    """`[TASK] compare data=A,B model=… losses=A,B seeds=N …`: plan, train what is missing, report.

    Raises:
        ConfigError: a mistake of the user, before anything is written.
        SystemExit: the exit code, 1 where runs failed and 130 after Ctrl-C; the report covers what there is.
    """
    as_json = "--json" in words
    with stdout_free() if as_json else contextlib.nullcontext():
        plan = read([word for word in words if word not in {"compare", "--json"}])
        folder = out_folder(plan.options["out"])
        plan.study.check(folder)
        engine = choose_engine(plan)
        if plan.shapes is not None:
            say("No 'data=', so this is the demo, on a rendered data set. It shows the way, not which loss is better.")
            render_demo(plan.shapes)
        with plan.study.claim(folder):
            code = conduct(plan.study, folder, engine, plan.options["jobs"])
            analysis = write_report(plan.study, folder)
    if analysis:
        print(json.dumps(analysis, indent=1) if as_json else table(analysis))
    sys.exit(code)


def read(words: list[str]) -> Plan:
    """Understand the words of the command.

    Raises:
        ConfigError: any of them is wrong, or a package is missing.
    """
    if missing := [package for package in NEEDED if not find_spec(package)]:
        raise ConfigError(f"compare needs {', '.join(missing)}. In yolo-wiou's checkout: pip install '.[compare]'")
    defaults = read_mapping(CFG / "compare.yaml")
    keys = {word: word.removeprefix("--").partition("=")[0] for word in words}
    own = [word.removeprefix("--") for word, key in keys.items() if key in defaults["study"]]
    grid = {key.removeprefix("loss."): values(word) for word, key in keys.items() if key.startswith("loss.")}
    rest = [word for word, key in keys.items() if key not in defaults["study"] and not key.startswith("loss.")]
    options, arguments = parse_options(own, defaults["study"]), parse(rest)
    for key, why in REFUSED.items():
        if key in arguments and arguments.pop(key) != DEFAULT_CFG_DICT.get(key):  # a file of all settings has defaults
            raise ConfigError(f"'{key}' has no place in a study: {why}.")
    losses = name_losses(listed(options["losses"]) or [""], grid)

    shapes = take_shapes(arguments)
    data = listed(arguments.pop("data", None))
    is_demo = not data
    if is_demo:
        demo = defaults["demo"]
        shapes = {**demo["data"], **shapes}
        data = [str(demo_place(shapes)[0].resolve() / "data.yaml")]
        arguments = {**yaml_section("train"), **demo["train"], "model": DEMO_MODELS["detect"], **arguments}
        if arguments.get("task", "detect") != "detect":
            raise ConfigError("the demo of compare has loose boxes, which it renders for detect alone; give data=.")
    elif shapes:
        raise ConfigError("'noise' and 'shapes.…' belong to the demo, which has no 'data='.")
    check_fair(arguments)
    for name in data:
        check_arguments(arguments if is_demo else {**arguments, "data": name}, {**KNOWN, **defaults["study"]})
    found = [] if is_demo else [check_images(name) for name in data]
    task, arguments = with_model(arguments, losses)
    for each in found:
        check_labels(each, task)
    study = Study(
        losses={name: config.spec for name, config in losses.items()},
        data={name: absolute(path) for name, path in name_data(data).items()},
        seeds=tuple(range(options["seeds"])),
        arguments=arguments,
        checkpoints=("last", "best") if arguments.get("val", True) else ("last",),
    )
    return Plan(study, shapes if is_demo else None, options)


def values(word: str) -> list[Any]:
    """Read the values of `loss.SETTING=A,B`."""
    key, _, text = word.partition("=")
    with contextlib.suppress(yaml.YAMLError):
        if read := yaml.safe_load(f"[{text}]"):
            return list(read)
    raise ConfigError(f"'{key}' needs a value, or some with commas between them, not '{text}'.")


def listed(value: Any) -> list[str]:
    """Return the items of `A,B`."""
    items = value if isinstance(value, list | tuple) else str(value or "").strip("[]").split(",")
    return [str(item).strip() for item in items if str(item).strip()]


def check_fair(arguments: dict[str, Any]) -> None:
    """Refuse what lets runs differ in more than their loss.

    Raises:
        ConfigError: with the way out.
    """
    batch, device = arguments.get("batch", 16), arguments.get("device")
    if not isinstance(batch, int) or batch < 1:
        raise ConfigError(f"'batch={batch}' depends on the memory that is free when a run starts; give a number.")
    patience, epochs = arguments.get("patience", 0), arguments.get("epochs", DEFAULT_CFG_DICT["epochs"])
    if isinstance(patience, int) and isinstance(epochs, int) and 0 < patience < epochs:
        raise ConfigError(
            f"'patience={patience}' ends runs where the validation images say so, below epochs={epochs}, so that they "
            "would differ in more than their loss. Leave it out, or give patience=0."
        )
    if len(listed(device)) > 1:
        raise ConfigError(f"'device={device}': a run has one device. engine=ray spreads the runs over several GPUs.")


def with_model(arguments: dict[str, Any], losses: dict[str, LossConfig]) -> tuple[str, dict[str, Any]]:
    """Load the model once, so that no run need download it, and see that the losses fit its task; returns that too.

    Raises:
        ConfigError: there is no such model, or a loss has no meaning for its task.
    """
    task = arguments.get("task")
    name = arguments.get("model") or TASK2MODEL[task or "detect"]
    model = find_model(name, task)
    for config in losses.values():
        model.check_loss(config)
    if model.task == "obb":
        raise ConfigError("compare measures AP of upright boxes by COCO's rules, which have none for rotated ones yet.")
    if model.task != "detect":
        say(f"Task {model.task}: what is compared is the AP of its boxes.")
    return model.task, {"patience": 0, **arguments, "model": absolute(name)}


def absolute(path: str) -> str:
    """Return the full path of a file that is there; a name that Ultralytics finds stays as it is."""
    return str(Path(path).resolve()) if Path(path).exists() else path


def choose_engine(plan: Plan) -> Engine:
    """Return what `engine=` names.

    Raises:
        ConfigError: there is no such engine, or it cannot be reached.
    """
    name, address = plan.options["engine"], plan.options["address"]
    if name not in ENGINES:
        raise ConfigError(f"unknown engine '{name}'. {choices(name, ENGINES)}")
    if name == "local":
        if address:
            raise ConfigError("'address' belongs to engine=ray.")
        return LocalJob
    if not find_spec("ray"):
        raise ConfigError("engine=ray needs ray. In yolo-wiou's checkout: pip install '.[compare,ray]'")
    if "device" in plan.study.arguments:
        raise ConfigError("'device' and engine=ray: Ray gives every run its GPU.")
    from yolo_wiou.studies.compare.ray_engine import RayEngine

    engine = RayEngine(address)
    if plan.options["jobs"] < engine.room:
        say(f"The cluster has room for {engine.room} runs at a time; jobs={engine.room} uses it.")
    return engine


@contextlib.contextmanager
def stdout_free() -> Iterator[None]:
    """Send to stderr what is printed, and Ultralytics' log."""
    handlers = [handler for handler in LOGGER.handlers if isinstance(handler, logging.StreamHandler)]
    streams = [handler.setStream(sys.stderr) for handler in handlers]
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        for handler, stream in zip(handlers, streams, strict=True):
            if stream:
                handler.setStream(stream)
