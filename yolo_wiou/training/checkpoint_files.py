"""Checkpoints, put in place when they are complete, and kept until nothing that follows can lose them.

Ultralytics writes and strips them in place, so that a kill leaves half of one.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils import LOGGER
from ultralytics.utils.torch_utils import strip_optimizer

from yolo_wiou.files import draft_of, forget_drafts, write_whole

if TYPE_CHECKING:
    AnyPath = Path
else:
    AnyPath = type(Path())  # before Python 3.12, only the system's own kind can be extended

UNSTRIPPED = ".yolo-wiou-unstripped"
"""The checkpoints as they were, while Ultralytics takes the optimizer out of them; hidden from it."""
REMOVED = ".yolo-wiou-removed"
"""The same, when it is over and they are no more needed."""


class WholeFile(AnyPath):
    """A path at which Ultralytics' writing puts a file in place when it is complete."""

    def write_bytes(self, data: Any) -> int:
        """Write a checkpoint at once."""
        write_whole(Path(self), bytes(data))
        return len(data)


class HeldFile(WholeFile):
    """The same, later: what Ultralytics writes is only remembered."""

    data: Any = None

    def write_bytes(self, data: Any) -> int:
        """Remember a checkpoint."""
        self.data = data
        return len(data)


@contextlib.contextmanager
def checkpoints_written_whole(trainer: BaseTrainer) -> Iterator[None]:
    """Let the trainer put each checkpoint in place when it is complete, one after the other, so one draft takes room.

    last.pt comes last: as long as the old one is there, resume runs the epoch again and writes all of them again.
    """
    paths = trainer.wdir, trainer.last, trainer.best
    last = HeldFile(trainer.last)
    trainer.wdir, trainer.last, trainer.best = WholeFile(trainer.wdir), last, WholeFile(trainer.best)
    try:
        yield
    finally:
        trainer.wdir, trainer.last, trainer.best = paths
    if last.data is not None:
        write_whole(trainer.last, last.data)


@contextlib.contextmanager
def checkpoints_kept_aside(trainer: BaseTrainer) -> Iterator[None]:
    """Keep last.pt and best.pt as they are while the trainer strips them; `bring_back` restores them after a kill.

    Ultralytics strips in place. So that what is kept takes no room of its own, stripped ones take their places first,
    which it strips once more.
    """
    forget_leftovers(trainer.wdir)
    kept = trainer.wdir / UNSTRIPPED
    kept.mkdir()
    files = [file for file in (trainer.last, trainer.best) if file.exists()]
    for file in files:
        link(file, kept / file.name)
    for file in files:
        with draft_of(file) as draft:
            strip(file, draft)
    yield
    os.replace(kept, trainer.wdir / REMOVED)  # both at once, so that a kill leaves no single one to be brought back
    forget_leftovers(trainer.wdir)


def link(file: Path, copy: Path) -> None:
    """Give a file a second name, or make a copy where the file system has no links."""
    try:
        os.link(file, copy)
    except OSError:
        with draft_of(copy) as draft:
            shutil.copy2(file, draft)


def strip(file: Path, stripped: Path) -> None:
    """Write a checkpoint without its optimizer; one that Ultralytics would leave alone as it is."""
    is_disabled, LOGGER.disabled = LOGGER.disabled, True  # it will say so when it does it
    try:
        strip_optimizer(str(file), str(stripped))
    finally:
        LOGGER.disabled = is_disabled
    if not stripped.exists():
        shutil.copy2(file, stripped)


def forget_leftovers(folder: Path) -> None:
    """Remove what a killed process left beside the checkpoints."""
    forget_drafts(folder)
    for name in (UNSTRIPPED, REMOVED):
        shutil.rmtree(folder / name, ignore_errors=True)


def bring_back(folder: Path) -> None:
    """Undo the final stripping of a run that was killed in it, so that resume can finish the run."""
    for file in (folder / UNSTRIPPED).glob("*.pt"):
        os.replace(file, folder / file.name)
    forget_leftovers(folder)
