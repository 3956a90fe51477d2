"""Planned studies, and what a finished run leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from helpers.finished import leave_results
from yolo_wiou.compare.run import Result, Run
from yolo_wiou.compare.study import Study


def a_study(**changes: Any) -> Study:
    plain = {
        "losses": {"ciou": "ciou", "wiou3": "wiou3"},
        "data": {"a": "/a.yaml", "b": "/b.yaml"},
        "seeds": (0, 1, 2),
        "arguments": {"model": "yolo11n.yaml", "epochs": 3},
    }
    return Study(**{**plain, **changes})


def finish(study: Study, folder: Path) -> None:
    """Leave what a finished run leaves."""
    run = study.runs()[0]
    run.folder(folder).mkdir(parents=True)
    run.save(run.folder(folder))
    leave_results(run.folder(folder))


def result_of(run: Run, folder: Path) -> Result:
    """What a run of the study in a folder says of itself; it must have finished."""
    result = run.result(folder)
    assert result
    return result
