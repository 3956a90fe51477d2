"""Trainings killed with SIGKILL, and resumed: at random moments, at each file operation of a save and of the end."""

from __future__ import annotations

import pickle
import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

from runs import (
    BATCHES,
    KILLED,
    Command,
    Row,
    checkpoint,
    differences,
    epochs_saved,
    going_on,
    listed,
    loss_state,
    orderly,
    render,
    rows,
    run,
    training,
)

EPOCHS = 3


def random_moments(folder: Path, kills: int = 56) -> Iterator[Row]:
    """Two runs, with a loss whose mean runs, and with ALWA beside it."""
    data = render(folder / "data")
    for seed, loss in enumerate(("wiou3", "alwa")):
        yield killed_at_random(folder / loss, data, loss, kills // 2, random.Random(seed))


def killed_at_random(folder: Path, data: Path, loss: str, kills: int, draw: random.Random) -> Row:
    """Kill a run until it has been killed often enough; compare it with one that stopped after the same epochs."""
    killed, argv = folder / "killed", training(folder / "killed", data, 2 * kills + 4, loss)
    three_epochs = seconds_of_three_epochs(folder / "timed", data, loss)
    ends: Counter[int] = Counter()
    stops, ahead, wrong = [0], 0, []
    while sum(ends[code] for code in KILLED) < kills and not ends[0] and ends.total() < 2 * kills:
        ends[kill_at(killed, draw.uniform(0, three_epochs), going_on(killed, argv))] += 1
        saved = epochs_saved(killed)
        stops += [saved] * (saved > stops[-1])
        ahead += len(rows(killed)) > saved if (killed / "results.csv").exists() else 0
        if saved and steps(killed) != saved * BATCHES:
            wrong.append(f"{steps(killed)} steps of the loss in {saved} epochs")
    if not ends[0]:
        ends[run(going_on(killed, argv), killed.with_suffix(".log")).code] += 1
    whole = folder / "whole"
    orderly(whole, training(whole, data, 2 * kills + 4, loss), stops[1:])
    lost = [*wrong, *differences(killed, whole), *(f"exit code {code}" for code in set(ends) - {0, *KILLED})]
    number = sum(ends[code] for code in KILLED)
    return Row(
        f"`{loss}`: {number} kills at random moments of a run of {2 * kills + 4} epochs, resumed each time",
        f"{ahead} kills between an epoch's row and its checkpoint; {len(stops) - 1} places to go on from",
        listed(lost),
    )


def seconds_of_three_epochs(folder: Path, data: Path, loss: str) -> float:
    """How long an undisturbed run takes for them."""
    orderly(folder, training(folder, data, EPOCHS, loss), [])
    text = (folder / "results.csv").read_text().splitlines()
    return float(text[-1].split(",")[text[0].split(",").index("time")])


def kill_at(folder: Path, moment: float, argv: list[str]) -> int:
    """Start or resume a run, and kill it some seconds after its loss is in place; returns its exit code."""
    sign = folder / "loss.yaml"
    before = sign.stat().st_mtime_ns if sign.exists() else 0
    command = Command(argv, folder.with_suffix(".log"))
    while command.process.poll() is None and not (sign.exists() and sign.stat().st_mtime_ns > before):
        time.sleep(0.002)
    try:
        return command.process.wait(moment)
    except subprocess.TimeoutExpired:
        command.process.kill()
        return command.process.wait()


def steps(folder: Path) -> int:
    """Steps that the loss's mean has taken."""
    (mean,) = loss_state(folder)["heads"].values()
    return int(mean["steps"])


def every_save(folder: Path) -> Iterator[Row]:
    """Between the last batch of the second epoch and its saved checkpoint."""
    hooks = (f"die_at={number} in=save" for number in count(1))
    yield killed_by(hooks, folder, 2, "before each file operation of an epoch's end")


def every_end(folder: Path) -> Iterator[Row]:
    """From when the last epoch is saved, while the optimizer is stripped."""
    hooks = (f"die_at={number} in=end" for number in count(1))
    yield killed_by(hooks, folder / "operations", EPOCHS, "before each file operation of a run's end")
    moments = (f"die_after={0.01 * 1.4**number:.3f} in=end" for number in range(12))
    yield killed_by(
        moments, folder / "moments", EPOCHS, "at moments of a run's end, 0.01 to 0.4 s after its last epoch was saved"
    )


def killed_by(hooks: Iterable[str], folder: Path, epochs: int, moments: str) -> Row:
    """Kill a run of three epochs by each of these hooks, until one finds nothing left to kill, and resume it.

    Args:
        hooks: for hooked.py.
        folder: of all the runs.
        epochs: how many are saved at most when it is killed.
        moments: in words.
    """
    data = render(folder / "data")
    references: dict[int, Path] = {}
    lost, saved_when_killed, damaged = [], Counter[int](), 0
    for hook in hooks:
        killed = folder / hook.replace(" ", "-")
        argv = training(killed, data, EPOCHS)
        if (code := run(argv, killed.with_suffix(".log"), hook).code) == 0:
            break
        saved = epochs_saved(killed) if is_whole(killed) else epochs
        saved_when_killed[saved] += 1
        damaged += not is_whole(killed)
        again = run(going_on(killed, argv), killed.with_suffix(".again.log"))
        if saved not in references:
            alone = folder / f"alone{saved}"
            stops = [saved] if 0 < saved < EPOCHS else []
            references[saved] = orderly(alone, training(alone, data, EPOCHS), stops)
        found = [f"exit code {code}"] * (code not in KILLED)
        if not is_whole(killed) or not is_over(killed):
            found.append(again.message)
        else:
            found += differences(killed, references[saved])
        lost += [f"{hook}: {difference}" for difference in found]
    places = ", ".join(f"{number} × {saved}" for saved, number in sorted(saved_when_killed.items()))
    return Row(
        f"killed {moments}",
        f"{saved_when_killed.total()} kills; epochs saved by then: {places}; last.pt half written, until it was "
        f"resumed: {damaged} times",
        listed(lost),
    )


def is_whole(folder: Path) -> bool:
    """Whether last.pt can be read, or is not there yet."""
    try:
        checkpoint(folder)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError):
        return False
    return True


def is_over(folder: Path) -> bool:
    """Whether a run has come to its end."""
    return bool(found := checkpoint(folder)) and found["epoch"] < 0
