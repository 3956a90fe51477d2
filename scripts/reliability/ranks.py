"""Trainings in two processes of which one dies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from helpers.ranks import two_processes
from runs import MODEL, Row, checkpoint, contents, listed, loss_state, render, rows

ARGUMENTS = {"imgsz": 64, "batch": 4, "nbs": 4, "workers": 0, "plots": False, "exist_ok": True, "amp": False}
EPOCHS = 3
SECONDS = 120
"""By which a rank must have noticed that the other one is gone."""


def dead_ranks(folder: Path) -> Iterator[Row]:
    """Kill the first rank, the second, and both, in the second epoch; then resume with two."""
    data = render(folder / "data")
    for dead in (("0",), ("1",), ("0", "1")):
        yield with_dead(folder / "-".join(dead), data, dead)


def with_dead(folder: Path, data: Path, dead: tuple[str, ...]) -> Row:
    """One training, killed and resumed."""
    folder.mkdir()
    common = {"model": str(MODEL), "data": str(data), "device": "cpu", "epochs": EPOCHS, **ARGUMENTS}
    run, last = folder / "run", folder / "run" / "weights" / "last.pt"
    start = time.monotonic()
    codes = two_processes(folder, {**common, "project": str(folder), "name": "run", "loss": "wiou3"}, *dead)
    seconds = time.monotonic() - start
    lost = ["a rank ended as if nothing had happened"] * (0 in codes) + ["a rank hung"] * (seconds > SECONDS)
    lost += ["the first epoch is lost"] * (checkpoint(run).get("epoch") != 0)
    again = two_processes(folder, {"resume": str(last), "model": str(last), "device": "cpu"})
    lost += [f"the resume ended with {again}"] * (again != [0, 0])
    epochs = [row["epoch"] for row in rows(run)]
    lost += [f"results.csv has epochs {epochs}"] * (epochs != [str(i + 1) for i in range(EPOCHS)])
    (mean,) = loss_state(run)["heads"].values()
    lost += [f"{mean['steps']} steps of the loss"] * (
        mean["steps"] != EPOCHS * len(contents(data.parent / "images" / "train")) // 4
    )
    codes_seen = ", ".join(map(str, codes))
    return Row(
        f"two ranks (gloo, CPU); killed: {' and '.join(dead)}; then resumed with two",
        f"exit codes {codes_seen} after {seconds:.0f} s; resumed: {', '.join(map(str, again))}",
        listed(lost),
    )
