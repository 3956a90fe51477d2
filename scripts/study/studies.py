"""Several studies that share runs, one after the other, each with a report of its own.

Holm's correction counts the losses of a study, for each data set by itself: what is asked together must be decided
together, and a question that came after looking says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from command_line import one_message, read

from yolo_wiou.cli.compare import CONTROL
from yolo_wiou.compare.control import ControlPlan
from yolo_wiou.compare.run import Run
from yolo_wiou.compare.run_study import INTERRUPTED, publish, run_study
from yolo_wiou.compare.study import Study
from yolo_wiou.errors import ConfigError, choices
from yolo_wiou.losses import load_config

Plan = Callable[..., Mapping[str, Study]]
HEAVY = load_config("ciou", {"gain.name": "constant"})
"""What carries the weight of a control: all studies have CIoU for their baseline."""


class Request(NamedTuple):
    """What the command line of a study's script asks for.

    Attributes:
        sources: folders of what is needed.
        out: the folder of all studies.
        jobs: runs at a time.
        studies: by name.
        only: the names of those to run.
        controls: which losses get an equally heavy CIoU beside them; None for none.
    """

    sources: Sequence[Path]
    out: Path
    jobs: int
    studies: Mapping[str, Study]
    only: Sequence[str]
    controls: ControlPlan | None


def parse(argv: Sequence[str], needed: Mapping[str, str], out: str, plan: Plan) -> Request:
    """Read `SOURCE … [OUT] [jobs=1] [only=STUDY,...] [control=false]`, or end with exit code 2 and what is wrong.

    Args:
        argv: of the command line.
        needed: as `command_line.read` takes it.
        out: where OUT is not given.
        plan: the studies, the most important first, by the folder that they lie in and the sources.
    """
    sources, folder, options = read(argv, needed, out, jobs=1, only="", control="false")
    studies = plan(folder, *sources)
    only = options["only"].split(",") if options["only"] else list(studies)
    with one_message():
        for name in only:
            if name not in studies:
                raise ConfigError(f"unknown study '{name}'. {choices(name, studies)}")
        if options["control"] not in CONTROL:
            raise ConfigError(f"'control={options['control']}' is wrong. {choices(options['control'], CONTROL)}")
    plan_of = {"true": ControlPlan(HEAVY, always=True), "auto": ControlPlan(HEAVY)}
    return Request(sources, folder, options["jobs"], studies, only, plan_of.get(options["control"]))


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
