"""What happens to a run's folder: the disk is full, somebody else trains there, it is copied or moved."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from runs import (
    Command,
    Ended,
    Row,
    contents,
    differences,
    epochs_saved,
    listed,
    orderly,
    render,
    run,
    training,
)

EPOCHS = 3
ROOMS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
"""What is left on the disk, in checkpoints."""


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[bool]:
    """Mount a disk of its own there; gives whether that is allowed."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    allowed = subprocess.run(mount, capture_output=True).returncode == 0
    try:
        yield allowed
    finally:
        if allowed:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def full_disk(folder: Path) -> Iterator[Row]:
    """A disk that fills up after the first epoch, to different degrees; then there is room again."""
    data = render(folder / "data")
    whole = orderly(folder / "whole", training(folder / "whole", data, EPOCHS), [1])
    with small_disk(folder / "disk", 64) as mounted:
        lost, failed, smallest = [], 0, ROOMS[-1]
        for room in ROOMS:
            one = folder / "disk" / f"run{room}"
            argv = training(one, data, EPOCHS)
            log = folder / f"{room}.log"
            run(argv, log, "stop_after=1")
            last = one / "weights" / "last.pt"
            before, size = contents(one / "weights"), last.stat().st_size
            going_on = ["train", "resume", f"model={last}"]
            with filled(folder / "disk", int(room * size)) if mounted else contextlib.nullcontext():
                ended = run(going_on, log, "" if mounted else f"largest_file={int(min(room, 0.9) * size)}")
                if ended.code:
                    failed += 1
                    lost += problems_on_a_full_disk(one, before, ended, room)
                else:
                    smallest = min(smallest, room)
            if ended.code:
                again = run(going_on, log)
                lost += [f"room {room}, resumed: {again.message}"] * bool(again.code)
            lost += [f"room {room}: {difference}" for difference in differences(one, whole)]
            shutil.rmtree(one)
    how = "a disk that is full" if mounted else "files that may not grow (no right to mount a disk here)"
    yield Row(
        f"{how} after the first epoch, room left for {', '.join(f'{room:g}' for room in ROOMS)} checkpoints; then "
        "room again, and resume",
        f"{failed} runs ended with an error, last.pt as before; room for {smallest:g} checkpoints was enough",
        listed(lost),
    )


def problems_on_a_full_disk(one: Path, before: dict[str, str], ended: Ended, room: float) -> list[str]:
    """What a run that could not save has lost or left behind."""
    found = []
    if not epochs_saved(one):
        found.append(f"room {room}: no last.pt")
    if left := [name for name in contents(one / "weights") if name not in before]:
        found.append(f"room {room}: left {', '.join(left)} on the full disk")
    if not any(word in ended.said for word in ("No space left", "too large", "write failed", "disk")):
        found.append(f"room {room}: ended with '{ended.message}'")
    return found


@contextlib.contextmanager
def filled(disk: Path, room: int) -> Iterator[None]:
    """Fill a disk up to some bytes."""
    stat, filler = os.statvfs(disk), disk / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, stat.f_bavail * stat.f_frsize - room))
    yield
    filler.unlink()


def two_processes(folder: Path) -> Iterator[Row]:
    """While one process trains in a folder, another one wants to."""
    data = render(folder / "data")
    for name, stops, second in (
        ("a training, and a second one with exist_ok", [], lambda argv, last: argv),
        ("a training, and a resume of it", [], lambda argv, last: ["train", "resume", f"model={last}"]),
        ("two resumes of one run", [2], lambda argv, last: ["train", "resume", f"model={last}"]),
    ):
        yield beside(folder / name.replace(" ", "-"), name, data, stops, second)
    yield after_a_kill(folder / "stale", data)


def beside(folder: Path, name: str, data: Path, stops: list[int], second: Callable[..., list[str]]) -> Row:
    """Start a first process, then a second one in the same folder; compare with a run that was alone."""
    epochs = 40
    one, alone = folder / "run", folder / "alone"
    argv, last = training(one, data, epochs), one / "weights" / "last.pt"
    orderly(alone, training(alone, data, epochs), stops)
    if stops:
        run(argv, folder / "before.log", f"stop_after={stops[0]}")
    first = Command(["train", "resume", f"model={last}"] if stops else argv, folder / "first.log")
    sign, before = one / "results.csv", (one / "results.csv").stat().st_size if stops else 0
    while first.is_running and not (last.exists() and sign.stat().st_size > before):
        time.sleep(0.01)
    refused = run(second(argv, last), folder / "second.log")
    was_running = first.is_running
    ended = first.wait()
    lost = [f"the first ended with '{ended.message}'"] * bool(ended.code) + differences(one, alone)
    lost += [f"the second was not refused: exit code {refused.code}"] * (refused.code != 2)
    lost += ["the first was over before the second had begun"] * (not was_running and refused.code == 2)
    return Row(name, f"the second: exit code {refused.code}, '{refused.message}'", listed(lost))


def after_a_kill(folder: Path, data: Path) -> Row:
    """A killed process does not stop the next one."""
    one, alone = folder / "run", folder / "alone"
    argv = training(one, data, EPOCHS)
    run(argv, folder / "killed.log", "die_at=1 in=save")
    ended = run(["train", "resume", f"model={one / 'weights' / 'last.pt'}"], folder / "resumed.log")
    orderly(alone, training(alone, data, EPOCHS), [1])
    lost = [ended.message] * bool(ended.code) + differences(one, alone)
    return Row("a killed training, and a resume at once", f"the second: exit code {ended.code}", listed(lost))


def moved_and_copied(folder: Path) -> Iterator[Row]:
    """A run that was stopped after two of four epochs goes on where its checkpoint lies."""
    data = render(folder / "data")
    whole = orderly(folder / "whole", training(folder / "whole", data, 4), [2])

    original, copy = stopped(folder / "original", data), folder / "copy"
    shutil.copytree(original, copy)
    before = contents(original)
    ended = resumed(copy)
    lost = [ended.message] * bool(ended.code) + differences_if_whole(copy, whole)
    lost += ["the original was written to"] * (contents(original) != before)
    yield Row("`cp -r run copy`, then the copy is resumed", f"exit code {ended.code}", listed(lost))

    old, moved = stopped(folder / "old", data), folder / "moved"
    old.rename(moved)
    ended = resumed(moved)
    lost = [ended.message] * bool(ended.code) + differences_if_whole(moved, whole)
    lost += ["something was written to the old place"] * old.exists()
    yield Row("`mv run moved`, then resumed", f"exit code {ended.code}", listed(lost))

    one, other = stopped(folder / "one", data), folder / "other"
    before = contents(one)
    data.parent.rename(other)
    refused = resumed(one)
    lost = ["it was not refused"] * (refused.code != 2) + ["the run was written to"] * (contents(one) != before)
    lost += ["`data=` is not named"] * ("data=" not in refused.said)
    ended = resumed(one, f"data={other / data.name}")
    lost += [ended.message] * bool(ended.code) + differences_if_whole(one, whole)
    seen = f"resume: exit code {refused.code}, '{refused.message}'; with `data=NEW`: exit code {ended.code}"
    yield Row("`mv data other`, then resumed", seen, listed(lost))


def stopped(one: Path, data: Path) -> Path:
    """Train two of four epochs; returns the run's folder."""
    run(training(one, data, 4), one.with_suffix(".log"), "stop_after=2")
    return one


def resumed(one: Path, *argv: str) -> Ended:
    """Resume a run."""
    last = one / "weights" / "last.pt"
    return run(["train", "resume", f"model={last}", *argv], one.parent / "resumed.log")


def differences_if_whole(one: Path, whole: Path) -> list[str]:
    """Differences; a run that has not come to its end has more of them than are worth a line."""
    if epochs_saved(one) < epochs_saved(whole):
        return [f"it has {epochs_saved(one)} of {epochs_saved(whole)} epochs"]
    return differences(one, whole)
