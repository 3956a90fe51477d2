"""Doing the runs of a study, some at a time, each in a process of its own: here, or where another engine has it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol, TypeAlias

from yolo_wiou.studies.compare import proof
from yolo_wiou.studies.compare.plan import PROVED, RUNNING, Study
from yolo_wiou.studies.compare.run import LOG, Run, read_json

PACKAGE = "yolo_wiou.studies.compare"
PAUSE = 0.1
"""Seconds between two looks at what is running."""


class Job(Protocol):
    """One process at work in a folder."""

    def has_ended(self) -> bool:
        """Whether it has, well or badly; all that it wrote lies in its folder then."""

    def stop(self) -> None:
        """End it at once."""


Engine: TypeAlias = Callable[[str, Path], Job]
"""Starts `python -m MODULE FOLDER`, whose output goes to log.txt in the folder."""


class LocalJob:
    """A process of this machine; the class is the local engine."""

    def __init__(self, module: str, folder: Path) -> None:
        """Start it; it ends with this process, which holds its standard input."""
        command = [sys.executable, "-m", module, str(folder)]
        with (folder / LOG).open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT)

    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self.process.poll() is not None

    def stop(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait()


def train(runs: Iterable[Run], study: Path, engine: Engine, jobs: int = 1) -> Iterator[Run]:
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
                folder = scratch(study, "-".join(run.place.parts))
                run.save(folder)
                running.append((run, folder, engine(f"{PACKAGE}.train", folder)))
            ended = [entry for entry in running if entry[2].has_ended()]
            for entry in ended:
                running.remove(entry)
                run, folder, _ = entry
                settle(folder, run.folder(study))
                yield run
            if not ended:
                time.sleep(PAUSE)
    finally:
        for _, _, job in running:
            job.stop()
        shutil.rmtree(study / RUNNING, ignore_errors=True)


def prove(study: Study, folder: Path, engine: Engine) -> list[str]:
    """Train a few batches to see whether a study is paired, unless it is known; returns what speaks against it.

    Raises:
        RuntimeError: not even a few batches can be trained.
    """
    place = folder / PROVED
    if not (place / proof.PROOF).is_file():
        work = scratch(folder, PROVED)
        proof.prepare(study, work)
        job = engine(f"{PACKAGE}.proof", work)
        try:
            while not job.has_ended():
                time.sleep(PAUSE)
        finally:
            job.stop()
        settle(work, place)
    if not (place / proof.PROOF).is_file():
        raise RuntimeError(f"not even the first batches can be trained. {last_words(place)}")
    objections = proof.objections(read_json(place / proof.PROOF)["runs"])
    if objections:  # whoever mends what they name shall not be held to them
        (place / proof.PROOF).unlink()
    return objections


def scratch(study: Path, name: str) -> Path:
    """Make a folder for a job, which no other process has."""
    folder = study / RUNNING / f"{name}-{os.getpid()}"
    folder.mkdir(parents=True)
    return folder


def settle(folder: Path, place: Path) -> None:
    """Move the folder of a job that has ended to its place."""
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(place)


def last_words(folder: Path) -> str:
    """Return the last line that a job wrote to its log, and where the log is."""
    log = folder / LOG
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.is_file() else []
    words = next((line.strip() for line in reversed(lines) if line.strip()), "nothing was written")
    return f"{words} ({log})"
