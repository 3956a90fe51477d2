"""Local engine: one process a run, `jobs` side by side."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

from yolo_wiou.studies.compare.run import Run, prepare

LOG = "log.txt"


def train_locally(runs: Iterable[Run], study: Path, jobs: int = 1) -> Iterator[Run]:
    """Train what is not finished; yields each run as it ends, well or badly."""
    waiting = [run for run in runs if not run.is_finished(study)]
    with ThreadPoolExecutor(jobs) as pool:
        pending = {pool.submit(train_one, run, study): run for run in waiting}
        while pending:
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                future.result()
                yield pending.pop(future)


def train_one(run: Run, study: Path) -> None:
    """Train in a process of its own; its output goes into the run's log."""
    folder = prepare(run, study)
    command = [sys.executable, "-m", "yolo_wiou.studies.compare.run", str(folder)]
    with (folder / LOG).open("w", encoding="utf-8") as log:
        subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False)
