"""`audit folds=N`: labels judged by models that have not seen them, which are trained first."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ultralytics.cfg import DEFAULT_CFG_DICT, get_cfg

from yolo_wiou.auditing.folds import FOLDER, SPLIT, Folds
from yolo_wiou.auditing.report import Report
from yolo_wiou.cli.arguments import absolute
from yolo_wiou.cli.engine import choose_runner
from yolo_wiou.cli.values import as_list
from yolo_wiou.compare.run_study import say
from yolo_wiou.compare.runner import RunnerError
from yolo_wiou.errors import ConfigError
from yolo_wiou.losses import LossConfig, load_config
from yolo_wiou.losses.presets import as_plain
from yolo_wiou.training.families import trainer_for
from yolo_wiou.training.preflight import check_data


def check_folds(options: Mapping[str, Any]) -> None:
    """Refuse what does not go with trainings of its own.

    Raises:
        ConfigError: says why.
    """
    if options["folds"] == 1:
        raise ConfigError("folds=1 leaves nothing to train on: 2 or more, or 0 for one pass of a trained model.")
    if options["run"]:
        raise ConfigError("'run' has a model that is trained, and folds= trains its own: which of the two?")
    if options["split"] != SPLIT:
        raise ConfigError(
            f"folds= is for split={SPLIT}: a model that was trained on that has not seen '{options['split']}' anyway."
        )
    if not options["data"]:
        raise ConfigError("which data set? data=my.yaml")
    if not options["model"]:
        raise ConfigError("which model? model=yolo11n.pt, say, from which every training starts.")


def out_of_fold(
    options: Mapping[str, Any], arguments: Mapping[str, Any], model: Any, loss: LossConfig | None
) -> Report:
    """Train what is missing, and judge every label by the model that has not seen it.

    Args:
        options: of the command, as cfg/audit.yaml has them.
        arguments: of Ultralytics' `train`.
        model: from which every training starts.
        loss: that they train with; None for Ultralytics' own.

    Raises:
        ConfigError: a mistake of the user, before anything is written.
        SystemExit: the exit code, where a training failed.
        KeyboardInterrupt: with what to do.
    """
    if len(as_list(arguments.get("device"))) > 1:
        raise ConfigError(f"'device={arguments['device']}': a training has one device. engine=ray spreads several.")
    loss = loss or load_config(trainer_for(model._smart_load("trainer")).stock_loss)
    model.check_loss(loss)
    settings = {**arguments, "task": model.task, "data": options["data"], "mode": "train"}
    check_data(get_cfg(DEFAULT_CFG_DICT, settings))
    arguments = {**arguments, "model": absolute(options["model"])}
    folds = Folds.plan(absolute(options["data"]), options["folds"], as_plain(loss), arguments)
    folder, jobs = Path(options["out"]) / FOLDER, options["jobs"]
    folds.check(folder)
    runner = choose_runner(options["engine"], options["address"], jobs, arguments, "audit")
    with folds.claim(folder):
        tell(f"{folds.count} trainings, each without the images that it judges, {jobs} at a time, in {folder}.")
        try:
            failed = folds.train(folder, runner, jobs)
        except RunnerError as error:
            tell(f"Trainings can go on no longer: {error} What has finished is kept; the same command trains the rest.")
            sys.exit(1)
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt("The same command goes on; only what was running is lost.") from stop
        if failed:
            tell(f"{len(failed)} of {folds.count} trainings failed; the same command tries them again.")
            sys.exit(1)
        return folds.report(folder, options["threshold"])


def tell(sentence: str) -> None:
    """Tell the user."""
    say(sentence, command="audit")
