"""The command `compare`: its arguments become a study, which is checked before anything is written."""

import contextlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from ultralytics.cfg import DEFAULT_CFG_DICT, TASK2MODEL, get_cfg

from yolo_wiou.cli.arguments import KNOWN, absolute, check_arguments, find_model, out_folder, parse, parse_options
from yolo_wiou.cli.demo import DEMO_MODELS, DemoData, demo_data, take_shapes, yaml_section
from yolo_wiou.cli.engine import choose_runner
from yolo_wiou.cli.output import stdout_free
from yolo_wiou.cli.places import where
from yolo_wiou.cli.values import as_list, refuse_repeated, split_argument, values
from yolo_wiou.compare.control import ControlPlan, carrier_of
from yolo_wiou.compare.report.text import table
from yolo_wiou.compare.run import RUNS
from yolo_wiou.compare.run_study import publish, run_study, say
from yolo_wiou.compare.study import Study, name_data, name_losses
from yolo_wiou.errors import ConfigError, choices
from yolo_wiou.files import CFG, read_mapping
from yolo_wiou.losses import LossConfig
from yolo_wiou.training.preflight import check_data, describe

NEEDED = ("faster_coco_eval", "jinja2", "plotly", "scipy")
CONTROL = ("auto", "true", "false")
DEMO = "No 'data=', so this is the demo, on a rendered data set. It shows the way, not which loss is better."
REFUSED = {
    "loss": "losses=A,B names the losses",
    "audit": "train with it",
    "seed": "seeds=N trains every loss under N seeds",
    "project": "out=FOLDER says where the study lies",
    "name": "out=FOLDER says where the study lies",
    "save_dir": "out=FOLDER says where the study lies",
    "exist_ok": "the same command goes on with a study",
    "resume": "the same command goes on with a study",
    "save": "the checkpoints are what is judged",
    "time": "how far a run comes must not depend on what else the machine does. Use epochs=N",
}
"""Training arguments that have no place in a study, and why."""


@dataclass(frozen=True)
class Request:
    """What the command line asks for.

    Attributes:
        study: the study.
        demo: the demo's data set; None where the user has data.
        out: its folder.
        jobs: runs at a time.
        engine: local or ray.
        address: of the Ray cluster.
        controls: which losses are to have a control; None for none.
    """

    study: Study
    demo: DemoData | None
    out: str
    jobs: int
    engine: str
    address: str
    controls: ControlPlan | None


def compare(argv: list[str]) -> None:
    """`[TASK] compare data=A,B model=… losses=A,B seeds=N …`: plan, train what is missing, report.

    Raises:
        ConfigError: a mistake of the user, before anything is written.
        SystemExit: the exit code, 1 where runs failed and 130 after Ctrl-C; the report covers what there is.
    """
    as_json = "--json" in argv
    with stdout_free() if as_json else contextlib.nullcontext():
        request = read([word for word in argv if word not in {"compare", "--json"}])
        folder = out_folder(request.out)
        request.study.check(folder)  # a cluster is started for a study that can go on
        runner = choose_runner(request.engine, request.address, request.jobs, request.study.arguments, "compare")
        with request.study.claim(folder):
            if request.demo:
                say(DEMO)
                request.demo.render()
            code = run_study(request.study, folder, runner, request.jobs, request.controls)
            findings = publish(request.study, folder)
    if findings:
        print(json.dumps(findings.plain(), indent=1) if as_json else table(findings), flush=True)
    data = {"data": request.demo.folder} if request.demo else {}
    say(where(results=folder / "report.html" if findings else folder, weights=folder / RUNS, **data))
    sys.exit(code)


def read(argv: Sequence[str]) -> Request:
    """Read the arguments of the command.

    Raises:
        ConfigError: any of them is wrong, or a package is missing.
    """
    if missing := [package for package in NEEDED if not find_spec(package)]:
        raise ConfigError(f"compare needs {', '.join(missing)}: pip install 'yolo-wiou[compare]'")
    defaults = read_mapping(CFG / "compare.yaml")
    keys = [(word, split_argument(word)[0]) for word in argv]
    own = [word for word, key in keys if key in defaults["study"]]
    of_losses = [word for word, key in keys if key.startswith("loss.")]
    rest = [word for word, key in keys if key not in defaults["study"] and not key.startswith("loss.")]
    refuse_repeated(of_losses)
    grid = {split_argument(word)[0].removeprefix("loss."): values(word) for word in of_losses}
    options, arguments = parse_options(own, defaults["study"]), parse(rest)
    refuse_arguments(arguments)
    control = options.pop("control").lower()
    if control not in CONTROL:
        raise ConfigError(f"'control={control}' is wrong. {choices(control, CONTROL)}")
    losses = name_losses(as_list(options.pop("losses")) or [""], grid)
    seeds = tuple(range(options.pop("seeds")))

    shapes = take_shapes(arguments)
    files = as_list(arguments.pop("data", None))
    if files and shapes:
        raise ConfigError("'noise' and 'shapes.…' belong to the demo, which has no 'data='.")
    demo = None if files else demo_data({**defaults["demo"]["data"], **shapes})
    if demo and arguments.get("task", "detect") != "detect":
        raise ConfigError("the demo of compare has loose boxes, which it renders for detect alone; give data=.")
    if demo:
        of_demo = {**yaml_section("train"), **defaults["demo"]["train"], "model": DEMO_MODELS["detect"]}
        arguments = {**of_demo, **arguments}
    check_alike(arguments)
    for changes in [{"data": file} for file in files] or [{}]:  # the demo's is not there yet
        check_arguments({**arguments, **changes}, {**KNOWN, **defaults["study"]})
    for file in files:
        describe(file)  # before a model is downloaded
    model, arguments = with_model(arguments, losses)
    controls = plan_controls(control, next(iter(losses.values())), model)
    if demo:
        files = [str(demo.folder.resolve() / "data.yaml")]
    else:
        for file in files:
            check_data(get_cfg(DEFAULT_CFG_DICT, {**arguments, "task": model.task, "data": file}))
    study = Study(
        losses=losses,
        data={name: absolute(path) for name, path in name_data(files).items()},
        seeds=seeds,
        arguments=arguments,
        checkpoints=("last", "best") if arguments.get("val", True) else ("last",),
    )
    return Request(study, demo, **options, controls=controls)


def plan_controls(word: str, baseline: LossConfig, model: Any) -> ControlPlan | None:
    """Return what `control=` means for a study of a model.

    Raises:
        ConfigError: controls are asked for, and the baseline can have none.
    """

    def takes(loss: LossConfig) -> bool:
        with contextlib.suppress(ConfigError):
            model.check_loss(loss)
            return True
        return False

    carrier = carrier_of(baseline, takes)
    if word == "true" and not carrier:
        raise ConfigError(
            f"control=true: a control is the baseline with a constant gain, and '{baseline.name}' has "
            f"'{baseline.gain.name}' for its gain. Name another loss first, ciou say, or leave control=true out."
        )
    return ControlPlan(carrier, always=word == "true") if carrier and word != "false" else None


def refuse_arguments(arguments: dict[str, Any]) -> None:
    """Refuse training arguments that have no place in a study; a file of all settings has their defaults.

    Raises:
        ConfigError: says why.
    """
    for key, why in REFUSED.items():
        if key in arguments and arguments.pop(key) != DEFAULT_CFG_DICT.get(key):
            raise ConfigError(f"'{key}' has no place in a study: {why}.")


def check_alike(arguments: dict[str, Any]) -> None:
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
    if len(as_list(device)) > 1:
        raise ConfigError(f"'device={device}': a run has one device. engine=ray spreads the runs over several GPUs.")


def with_model(arguments: dict[str, Any], losses: dict[str, LossConfig]) -> tuple[Any, dict[str, Any]]:
    """Load the model once, so that no run need download it, and see that the losses fit its task; returns it too.

    Raises:
        ConfigError: there is no such model, or a loss has no meaning for its task.
    """
    task = arguments.get("task")
    name = arguments.get("model") or TASK2MODEL[task or "detect"]
    model = find_model(name, task)
    for config in losses.values():
        model.check_loss(config)
    if model.task != "detect":
        say(f"Task {model.task}: what is compared is the AP of its {'rotated ' * (model.task == 'obb')}boxes.")
    return model, {"patience": 0, **arguments, "model": absolute(name)}
