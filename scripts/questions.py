"""Several studies that share runs, one after the other: each asks one question, and has a report of its own.

Holm's correction counts the losses of a study, for each data set by itself: what is asked together must be decided
together, and a question that came after looking says so.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from yolo_wiou.studies.compare.conduct import INTERRUPTED, conduct, write_report
from yolo_wiou.studies.compare.plan import Study
from yolo_wiou.studies.compare.run import Run


def answer(questions: Mapping[str, Study], out: Path, jobs: int = 1) -> int:
    """Train what is missing of every study, the most important first, and report; each lies in a folder of its own.

    Returns:
        The worst exit code.
    """
    worst = 0
    for name, study in questions.items():
        folder = out / name
        with study.claim(folder):
            adopt(study, folder, [out / other for other in questions if other != name])
            code = conduct(study, folder, jobs=jobs)
            write_report(study, folder)
        if code == INTERRUPTED:
            return code
        worst = max(worst, code)
    return worst


def parse(words: Sequence[str], default: str) -> tuple[Path, int]:
    """Read `[OUT] [jobs=1]`."""
    options = dict(word.split("=") for word in words if "=" in word)
    out = next((word for word in words if "=" not in word), default)
    return Path(out).resolve(), int(options.get("jobs", 1))


def is_there(run: Run, study: Path) -> bool:
    """Whether a study has finished this very run, not only one of its name."""
    return run.is_finished(study) and Run.load(run.folder(study)) == run


def adopt(study: Study, folder: Path, others: list[Path]) -> None:
    """Link the runs that another of the studies has finished."""
    for run in study.runs():
        place = run.folder(folder)
        if place.is_symlink() and not place.exists():
            place.unlink()
        there = next((run.folder(other) for other in others if is_there(run, other)), None)
        if there and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(os.path.relpath(there, place.parent), target_is_directory=True)
