"""Doing the runs of a study, some at a time, each in a process of its own: here, or wherever another runner has it."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from yolo_wiou.compare.run import LOG, RUNNING, Run
from yolo_wiou.files import file_name, write_json

WORKER = "yolo_wiou.compare.worker"
ROOT = Path(__file__).parents[2]
"""Where this package lies, which may be a checkout beside an installed release."""
START = """
import importlib.util, os, runpy, sys
root, module, *sys.argv[1:] = sys.argv[1:]
sys.path[:] = filter(None, sys.path)
spec = importlib.util.find_spec("yolo_wiou")
if not spec or not os.path.samefile(os.path.dirname(os.path.dirname(spec.origin)), root):
    sys.path.insert(0, root)
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
"""`python -m MODULE`, but of this very package, and never from the working directory: what lies there is not ours."""
PAUSE = 0.1
"""Seconds between two looks at what is running."""


class RunnerError(Exception):
    """A runner that can start or watch nothing any more."""


class Job(Protocol):
    """One process at work in a folder."""

    def has_ended(self) -> bool:
        """Whether it has, well or badly; all that it wrote lies in its folder then."""

    def stop(self) -> None:
        """End it at once."""


Runner: TypeAlias = Callable[[Path], Job]
"""Starts `python -m yolo_wiou.compare.worker FOLDER`, whose output goes to log.txt in the folder.

It raises RunnerError, and so do its jobs, where nothing can be started or watched any more.
"""


class LocalJob:
    """A process of this machine; the class is the local runner.

    Args:
        folder: where it is at work.
        module: what it runs.
        cwd: its working directory, by default this process's.

    Raises:
        RunnerError: the system starts no process.
    """

    def __init__(self, folder: Path, module: str = WORKER, cwd: Path | None = None) -> None:
        """Start it; it ends with this process, which holds its standard input."""
        command = [sys.executable, "-c", START, str(ROOT), module, str(folder.absolute())]
        streams: dict[str, Any] = {"stdin": subprocess.PIPE, "stderr": subprocess.STDOUT}
        try:
            with (folder / LOG).open("wb") as log:
                self.process = subprocess.Popen(command, cwd=cwd, stdout=log, **streams)
        except OSError as error:
            raise RunnerError(f"no process can be started: {error}") from error

    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self.process.poll() is not None

    def stop(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait()


def train(runs: Iterable[Run], study: Path, runner: Runner, jobs: int = 1) -> Generator[Run, None, None]:
    """Train what is not finished, `jobs` at a time; yields each run as it ends, well or badly.

    A run is trained in a folder of its own and moved to its place when it has ended, so nothing that outlives this
    process can spoil a study that goes on. Where the iteration ends early, what is running is stopped.
    """
    waiting = [run for run in runs if not run.is_finished(study)]
    running: list[tuple[Run, Path, Job]] = []
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                run = waiting.pop(0)
                folder = scratch(study, "-".join(run.relative_path.parts))
                run.save(folder)
                running.append((run, folder, runner(folder)))
            ended = [entry for entry in running if entry[2].has_ended()]
            for entry in ended:
                running.remove(entry)
                run, folder, _ = entry
                publish_run(folder, run.folder(study))
                yield run
            if not ended:
                time.sleep(PAUSE)
    finally:
        for _, _, job in running:
            job.stop()
        shutil.rmtree(study / RUNNING, ignore_errors=True)


def run_job(file: str, content: Any, study: Path, name: str, runner: Runner) -> None:
    """Do the job that a JSON file describes and wait for it; its folder ends as `name` below the study's."""
    folder = scratch(study, name)
    write_json(folder / file, content)
    job = runner(folder)
    try:
        while not job.has_ended():
            time.sleep(PAUSE)
    finally:
        job.stop()
    publish_run(folder, study / name)


def scratch(study: Path, name: str) -> Path:
    """Make a folder for a job, which no other process has."""
    folder = study / RUNNING / f"{file_name(name)}-{os.getpid()}"
    folder.mkdir(parents=True)
    return folder


def publish_run(folder: Path, target: Path) -> None:
    """Move the folder of a job that has ended to where its study has it."""
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(target)
