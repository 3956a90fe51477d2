"""The command `audit`: which labels of a data set are wrong, and a corrected copy of them."""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ultralytics.cfg import DEFAULT_CFG_DICT
from ultralytics.utils import LOGGER

from yolo_wiou.auditing.audit import audit
from yolo_wiou.auditing.decisions import Decisions
from yolo_wiou.auditing.export.formats import check_formats, export
from yolo_wiou.auditing.fix import check_addition, why_no_addition
from yolo_wiou.auditing.report import Report
from yolo_wiou.auditing.subject import (
    check_checkpoint,
    check_task,
    known_data,
    of_run,
    reads_one_class,
)
from yolo_wiou.auditing.truth import of_the_known
from yolo_wiou.cli.arguments import KNOWN, check_arguments, find_model, out_folder, parse, parse_options
from yolo_wiou.cli.folds import check_folds, out_of_fold
from yolo_wiou.cli.output import stdout_free
from yolo_wiou.cli.places import where
from yolo_wiou.cli.values import as_list, split_argument
from yolo_wiou.data.relabelled import check_relabelled
from yolo_wiou.errors import ConfigError, visible
from yolo_wiou.files import CFG, read_mapping
from yolo_wiou.losses import LossConfig
from yolo_wiou.losses.presets import take_loss
from yolo_wiou.training.preflight import describe

SHARED = ("data", "model", "split")
"""Settings that are arguments of `val` too, so that a file of them (`cfg=`) may have them."""
REFUSED = {
    **dict.fromkeys(("project", "name", "save_dir"), "out=FOLDER says where the tables lie"),
    **dict.fromkeys(("save_json", "save_txt", "plots", "exist_ok"), "it writes tables of its own"),
    **dict.fromkeys(("loss", "resume"), "it is one pass of a trained model"),
}
"""Arguments that have no place in an audit, and why."""
FOLDS_REFUSE = {
    **{key: why for key, why in REFUSED.items() if key not in {"loss", "plots"}},
    "resume": "the same command goes on",
    "save": "the checkpoints are what judges",
}
"""Likewise, where it trains."""


@dataclass(frozen=True)
class Request:
    """What the command line asks for.

    Attributes:
        model: the detector.
        options: of the command, as cfg/audit.yaml has them.
        arguments: of Ultralytics' `val`.
        decisions: a person's.
        formats: of other tools.
        loss: that models are trained with; None for Ultralytics' own.
    """

    model: Any
    options: dict[str, Any]
    arguments: dict[str, Any]
    decisions: Decisions
    formats: list[str]
    loss: LossConfig | None


def audit_labels(argv: list[str]) -> None:
    """`[TASK] audit data=… model=… [fix=FOLDER] …`: find the labels that are wrong, write tables, correct a copy.

    Raises:
        ConfigError: a mistake of the user, before anything is written.
    """
    as_json = "--json" in argv
    with stdout_free() if as_json else contextlib.nullcontext():
        request = read([word for word in argv if word not in {"audit", "--json"}])
        options, places = request.options, {}
        report = judge(request)
        changes = {key: options[f"fix.{key}"] for key in ("remove", "add")}
        edits = report.edits(**changes, decisions=request.decisions)  # before anything is written
        out = Path(options["out"])
        places["results"] = save(report, out)  # first: whatever fails then, the pass is not lost
        for file in export(report, out, request.formats):
            places.setdefault(file.stem.partition("_")[0], file)
        if folder := options["fix"]:
            places["corrected"] = report.write_fixed(folder, edits)
    lines = [*report.warnings, report.sentence, *filter(None, [of_the_known(report)])]
    print(json.dumps(report.plain(), indent=1) if as_json else visible("\n".join(lines)))
    if not as_json:
        print(where(**places))


def judge(request: Request) -> Report:
    """Judge the labels, by a model that is trained or by several that are to be."""
    options = request.options
    if options["folds"]:
        return out_of_fold(options, request.arguments, request.model, request.loss)
    limits = {key: options[key] for key in ("split", "threshold", "run")}
    return audit(options["data"], request.model, **limits, **request.arguments)


def save(report: Report, folder: Path) -> Path:
    """Write the tables, and the page to look at where it can be drawn; returns what to look at first."""
    tables = report.save(folder)
    if not find_spec("jinja2"):
        LOGGER.warning("yolo-wiou: audit.html needs jinja2: pip install 'yolo-wiou[compare]'")
        return tables
    from yolo_wiou.auditing.page import write_page

    return write_page(report, folder)


def read(argv: Sequence[str]) -> Request:
    """Read the arguments of the command.

    Raises:
        ConfigError: any of them is wrong.
    """
    defaults = read_mapping(CFG / "audit.yaml")
    own = [word for word in argv if split_argument(word)[0] in defaults]
    arguments = parse([word for word in argv if word not in own])
    given = {split_argument(word)[0] for word in own}
    options = parse_options(own, defaults)
    shared = {key: arguments.pop(key, None) for key in SHARED}
    options |= {key: value for key, value in shared.items() if value is not None and key not in given}
    if not options["threshold"]:
        raise ConfigError("'threshold' needs to be above 0: at 0 half of all labels would be flagged.")
    for key, why in (FOLDS_REFUSE if options["folds"] else REFUSED).items():
        if key in arguments and arguments.pop(key) != DEFAULT_CFG_DICT.get(key):
            raise ConfigError(f"'{key}' has no place in an audit: {why}.")
    if further := [key for key in given & {"fix.remove", "fix.add", "decisions"} if not options["fix"]]:
        raise ConfigError(f"'{further[0]}' belongs to a corrected copy: fix=FOLDER.")
    if further := [key for key in given & {"jobs", "engine", "address"} if not options["folds"]]:
        raise ConfigError(f"'{further[0]}' belongs to trainings: folds=N.")
    if options["folds"]:
        check_folds(options)
    elif options["run"]:
        data, weights = of_run(Path(options["run"]), options["data"])
        options |= {"data": data, "model": options["model"] or weights}
    if not options["model"]:
        raise ConfigError("which model? model=best.pt, or run=runs/detect/train for a training's own.")
    check_formats(formats := as_list(options["export"]))
    out_folder(options["out"])
    if options["fix"]:
        fix = check_relabelled(Path(options["fix"]), "fix")
        if Path(options["out"]).resolve().is_relative_to(fix):
            raise ConfigError(f"'out={options['out']}' lies in 'fix={options['fix']}', which is for labels alone.")
        if options["data"] and Path(options["data"]).resolve().is_relative_to(fix):
            raise ConfigError(f"'fix={options['fix']}' holds the data set that is read: take another folder.")
    decisions = Decisions.read(options["decisions"]) if options["decisions"] else Decisions()
    loss = take_loss(arguments) if options["folds"] else None
    of_data = {key: options[key] for key in ("data", "split") if options[key]}
    check_arguments({**arguments, **of_data}, {**KNOWN, **defaults})
    if not options["folds"]:
        check_checkpoint(options["model"])
    model = find_model(str(options["model"]), arguments.pop("task", None))
    check_task(model)
    check_formats(formats, model.task)
    if options["fix.add"]:
        data = options["data"] or known_data(model)
        check_addition(why_no_addition(model.task, describe(data) if data else {}, reads_one_class(model, arguments)))
    return Request(model, options, arguments, decisions, formats, loss)
