"""Several studies that share runs, one after the other, each with a report of its own.

Holm's correction counts the losses of a study, for each data set by itself: what is asked together must be decided
together, and a question that came after looking says so.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from yolo_wiou.cli.arguments import parse_options
from yolo_wiou.cli.compare import CONTROL
from yolo_wiou.compare.control import ControlPlan
from yolo_wiou.compare.run import Run
from yolo_wiou.compare.run_study import INTERRUPTED, publish, run_study
from yolo_wiou.compare.study import Study
from yolo_wiou.errors import ConfigError, choices
from yolo_wiou.losses import load_config

HEAVY = load_config("ciou", {"gain.name": "constant"})
"""What carries the weight of a control: all studies have CIoU for their baseline."""


class Request(NamedTuple):
    """What the command line of a study's script asks for.

    Attributes:
        out: the folder of all studies.
        jobs: runs at a time.
        studies: by name.
        only: the names of those to run.
        controls: which losses get an equally heavy CIoU beside them; None for none.
    """

    out: Path
    jobs: int
    studies: Mapping[str, Study]
    only: Sequence[str]
    controls: ControlPlan | None


def parse(argv: Sequence[str], default: str, plan: Callable[[Path], Mapping[str, Study]]) -> Request:
    """Read `[OUT] [jobs=1] [only=STUDY,...] [control=false]`, or end with exit code 2 and what is wrong.

    Args:
        argv: of the command line.
        default: where OUT is not given.
        plan: the studies, the most important first, by the folder that they lie in.
    """
    try:
        options = parse_options([word for word in argv if "=" in word], {"jobs": 1, "only": "", "control": "false"})
        folders = [word for word in argv if "=" not in word] or [default]
        if len(folders) > 1:
            raise ConfigError(f"one folder holds a study, not {' and '.join(folders)}.")
        out = Path(folders[0]).resolve()
        studies = plan(out)
        only = options["only"].split(",") if options["only"] else list(studies)
        for name in only:
            if name not in studies:
                raise ConfigError(f"unknown study '{name}'. {choices(name, studies)}")
        if options["control"] not in CONTROL:
            raise ConfigError(f"'control={options['control']}' is wrong. {choices(options['control'], CONTROL)}")
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    plan_of = {"true": ControlPlan(HEAVY, always=True), "auto": ControlPlan(HEAVY)}
    return Request(out, options["jobs"], studies, only, plan_of.get(options["control"]))


def run_studies(request: Request) -> int:
    """Train what is missing of every study that is asked for, and report; each lies in a folder of its own.

    Returns:
        The worst exit code.
    """
    worst = 0
    for name in request.only:
        study, folder = request.studies[name], request.out / name
        with study.claim(folder):
            adopt(study, folder, [request.out / key for key in request.studies if key != name])
            code = run_study(study, folder, jobs=request.jobs, controls=request.controls)
            publish(study, folder)
        if code == INTERRUPTED:
            return code
        worst = max(worst, code)
    return worst


def is_there(run: Run, study: Path) -> bool:
    """Whether a study has finished this very run, not only one of its name."""
    return run.is_finished(study) and Run.load(run.folder(study)) == run


def adopt(study: Study, folder: Path, siblings: list[Path]) -> None:
    """Link the runs that another of the studies has finished."""
    for run in study.runs():
        link = run.folder(folder)
        if link.is_symlink() and not link.exists():
            link.unlink()
        finished = next((run.folder(sibling) for sibling in siblings if is_there(run, sibling)), None)
        if finished and not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(finished, link.parent), target_is_directory=True)
