"""Trainings killed with SIGKILL, and resumed: at random moments, at each file operation of a save and of the end."""

from __future__ import annotations

import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
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
    killed, words = folder / "killed", training(folder / "killed", data, 2 * kills + 4, loss)
    three_epochs = seconds_of_three_epochs(folder / "timed", data, loss)
    ends: Counter[int] = Counter()
    stops, ahead, wrong = [0], 0, []
    while sum(ends[code] for code in KILLED) < kills and not ends[0] and ends.total() < 2 * kills:
        ends[kill_at(killed, draw.uniform(0, three_epochs), going_on(killed, words))] += 1
        saved = epochs_saved(killed)
        stops += [saved] * (saved > stops[-1])
        ahead += len(rows(killed)) > saved if (killed / "results.csv").exists() else 0
        if saved and steps(killed) != saved * BATCHES:
            wrong.append(f"{steps(killed)} steps of the loss in {saved} epochs")
    if not ends[0]:
        ends[run(going_on(killed, words), killed.with_suffix(".log")).code] += 1
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


def kill_at(folder: Path, moment: float, words: list[str]) -> int:
    """Start or resume a run, and kill it some seconds after its loss is in place; returns its exit code."""
    sign = folder / "loss.yaml"
    before = sign.stat().st_mtime_ns if sign.exists() else 0
    command = Command(words, folder.with_suffix(".log"))
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
    """Before each file operation between the second epoch's last batch and its saved checkpoint."""
    return at_operations(folder, "save", "the end of an epoch, its row and its checkpoints")


def every_end(folder: Path) -> Iterator[Row]:
    """Before each file operation of a run's end, in which Ultralytics strips the optimizer; and by the clock."""
    yield from at_operations(folder, "end", "the end of a run, in which the optimizer is stripped")
    seconds = [f"die_after={0.01 * 1.4**n:.3f} in=end" for n in range(12)]
    yield killed(folder, "end", seconds, "12 moments of the end of a run, by the clock, 0.01 to 0.4 s after it began")


def at_operations(folder: Path, phase: str, words: str) -> Iterator[Row]:
    """Kill before the first, the second, ... operation, until there is none left."""
    hooks = (f"die_at={number} in={phase}" for number in count(1))
    yield killed(folder, phase, hooks, f"each file operation of {words}")


def killed(folder: Path, phase: str, hooks: list[str] | Iterator[str], moments: str) -> Row:
    """Kill a run of three epochs by each of these hooks, and resume it."""
    data = folder / "data" / "data.yaml"
    if not data.exists():
        render(data.parent)
    references: dict[int, Path] = {}
    lost, found = [], Counter[int]()
    for number, hook in enumerate(hooks):
        one = folder / f"{phase}-{hook.split()[0]}"
        words = training(one, data, EPOCHS)
        code = run(words, one.with_suffix(".log"), hook).code
        if code not in KILLED:
            lost += [f"{hook}: exit code {code}"] * (code != 0)
            if code == 0 and "die_at" in hook:
                break
        saved = epochs_saved(one)
        found[saved] += 1
        ended = run(going_on(one, words), one.with_suffix(".again.log")) if code else None
        if ended and ended.code and not over(one):
            lost.append(f"{hook}: {ended.message}")
            continue
        if saved not in references:
            name = folder / f"{phase}-orderly{saved}"
            references[saved] = orderly(name, training(name, data, EPOCHS), [saved] if 0 < saved < EPOCHS else [])
        lost += [f"{hook}: {difference}" for difference in differences(one, references[saved])]
        assert number < 100, "it never ends"
    places = ", ".join(f"{times} × {saved}" for saved, times in sorted(found.items()))
    return Row(
        f"killed before {moments}" if "each" in moments else f"killed at {moments}",
        f"{found.total()} kills; epochs saved when killed: {places}",
        listed(lost),
    )


def over(folder: Path) -> bool:
    """Whether a run is over, so that there is nothing to resume."""
    found = checkpoint(folder)
    return bool(found) and found["epoch"] < 0
