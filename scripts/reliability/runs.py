"""Tiny trainings as commands of their own, and what they leave."""

from __future__ import annotations

import csv
import hashlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from yolo_wiou.data.shapes import ShapesConfig, render_dataset
from yolo_wiou.training.checkpoint import ATTRIBUTE

ROOT = Path(__file__).parents[2]
HOOKED = str(Path(__file__).with_name("hooked.py"))
MODEL = ROOT / "tests" / "fixtures" / "model.yaml"
ARGUMENTS = f"model={MODEL} imgsz=64 batch=4 nbs=4 workers=0 plots=False exist_ok=True patience=0".split()
BATCHES = 4
"""In an epoch of sixteen images."""
KILLED = -9, -14  # SIGKILL, SIGALRM


@dataclass(frozen=True)
class Row:
    """One line of the page.

    Attributes:
        tried: what was done.
        seen: what came of it.
        lost: what was lost by it, or went another way than it should; empty where nothing did.
    """

    tried: str
    seen: str
    lost: str = ""


@dataclass(frozen=True)
class Ended:
    """A command that has ended: exit code (minus the signal that killed it), seconds, peak MB, and all that it said."""

    code: int
    seconds: float
    megabytes: float
    said: str

    @property
    def message(self) -> str:
        """What it said last, the command itself if it did, as that may stand in a table."""
        lines = [line.strip() for line in self.said.splitlines() if line.strip()] or [""]
        own = [line for line in lines if line.startswith("yolo-wiou: ")] or lines
        return own[-1][:500].replace("|", "¦")


class Command:
    """A command that runs: `yolo-wiou` or, as `yolo`, stock."""

    def __init__(
        self, argv: list[str], log: Path, hooks: str = "", command: str = "yolo-wiou", safe: bool = False
    ) -> None:
        """Start it in the folder of its log, with what is to happen to it; `safe`, with Ultralytics' safe load."""
        self.log, self.started = log, time.monotonic()
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, HOOKED, hooks, command, *argv],
                cwd=log.parent,
                env={
                    **os.environ,
                    "OMP_NUM_THREADS": "1",
                    "PYTHONPATH": str(ROOT),
                    "COLUMNS": "200",
                    "ULTRALYTICS_SAFE_LOAD": str(int(safe)),
                },
                stdout=stream,
                stderr=stream,
            )

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def wait(self, limit: float = 600) -> Ended:
        """Wait for its end; where that does not come in time, kill it."""
        while True:
            pid, status, used = os.wait4(self.process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() - self.started > limit:
                self.process.kill()
            time.sleep(0.01)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        said = self.log.read_text(encoding="utf-8", errors="replace")
        return Ended(self.process.returncode, time.monotonic() - self.started, used.ru_maxrss / 1024, said)


def run(
    argv: list[str], log: Path, hooks: str = "", command: str = "yolo-wiou", limit: float = 600, safe: bool = False
) -> Ended:
    """Run a command to its end, or for `limit` seconds."""
    return Command(argv, log, hooks, command, safe).wait(limit)


def render(folder: Path) -> Path:
    """Render a tiny data set; returns its data.yaml."""
    return render_dataset(folder, ShapesConfig(train=16, val=4, imgsz=64, classes=("disc", "box"), sizes=(0.3, 0.7)))


def training(folder: Path, data: Path, epochs: int, loss: str = "wiou3") -> list[str]:
    """The command line of a training in a folder."""
    where = [f"project={folder.parent}", f"name={folder.name}"]
    return ["train", f"data={data}", f"epochs={epochs}", f"loss={loss}", *where, *ARGUMENTS]


def going_on(folder: Path, argv: list[str]) -> list[str]:
    """The command line that goes on with a run, or start it anew where it has no checkpoint."""
    last = folder / "weights" / "last.pt"
    return ["train", "resume", f"model={last}"] if last.exists() else argv


def orderly(folder: Path, argv: list[str], stops: list[int]) -> Path:
    """Train with a stop after each of these epochs, and go on each time to the end; returns the run's folder."""
    for stop in [*stops, None]:
        hooks = f"stop_after={stop}" if stop else ""
        ended = run(going_on(folder, argv), folder.with_suffix(".log"), hooks)
        if ended.code:
            raise RuntimeError(f"a run that nothing happened to has failed: {ended.message}")
    return folder


def rows(folder: Path) -> list[dict[str, str]]:
    """results.csv, without the time."""
    with (folder / "results.csv").open(newline="") as text:
        return [{key: value for key, value in row.items() if key != "time"} for row in csv.DictReader(text)]


def checkpoint(folder: Path) -> dict[str, Any]:
    """last.pt; {} where there is none."""
    last = folder / "weights" / "last.pt"
    found: dict[str, Any] = torch.load(last, weights_only=False) if last.exists() else {}
    return found


def epochs_saved(folder: Path) -> int:
    """How many epochs last.pt holds; those of results.csv where the run is over."""
    found = checkpoint(folder)
    return (found["epoch"] + 1 or len(found["train_results"]["epoch"])) if found else 0


def loss_state(folder: Path) -> dict[str, Any]:
    """State of the loss in last.pt."""
    found = checkpoint(folder)
    state: dict[str, Any] = getattr(found["ema"] or found["model"], ATTRIBUTE) if found else {}
    return state


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """The leaves of nested dicts and lists, by dotted name."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else None
    if items is None:
        return {name: value}
    return {key: leaf for head, part in items for key, leaf in flat(part, f"{name}.{head}").items()}


def differences(folder: Path, other: Path) -> list[str]:
    """In what a finished run differs from another: rows, weights, the loss's state; to the last bit."""
    found = []
    if rows(folder) != rows(other):
        found.append(f"results.csv has epochs {[row['epoch'] for row in rows(folder)]}, or other figures")
    ours, theirs = checkpoint(folder), checkpoint(other)
    if not same(ours["model"].state_dict(), theirs["model"].state_dict()):
        found.append("other weights")
    if loss_state(folder) != loss_state(other):
        found.append("another state of the loss")
    if ours["optimizer"] is not None or sorted(os.listdir(folder / "weights")) != ["best.pt", "last.pt"]:
        found.append(f"an unfinished end: {sorted(os.listdir(folder / 'weights'))}")
    return found


def same(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Whether two nested values are equal, tensors bit for bit."""
    ours, theirs = flat(ours), flat(theirs)
    return ours.keys() == theirs.keys() and all(
        torch.equal(value, theirs[key]) if isinstance(value, Tensor) else value == theirs[key]
        for key, value in ours.items()
    )


def contents(folder: Path) -> dict[str, str]:
    """A checksum of every file below a folder, by its place; and its time, which a rewritten file would not keep."""
    return {
        str(file.relative_to(folder)): f"{hashlib.sha256(file.read_bytes()).hexdigest()} {file.stat().st_mtime_ns}"
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def listed(found: list[str]) -> str:
    """What was lost, without repetitions."""
    return "; ".join(dict.fromkeys(found))
