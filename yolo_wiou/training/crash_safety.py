"""A run's files, kept so that it can be resumed wherever its process is killed.

Ultralytics writes checkpoints in place, so that a kill leaves half of one, and an epoch's row of results.csv before its
checkpoint, so that the resumed run writes it again.
"""

import contextlib
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils import RANK

from yolo_wiou.errors import ConfigError
from yolo_wiou.files import STUDY, write_whole
from yolo_wiou.training.checkpoint import load_checkpoint

DRAFT = ".yolo-wiou-draft"
"""Beside the checkpoints, while they are written; hidden from Ultralytics, which takes the latest `last*.pt`."""
UNSTRIPPED = ".yolo-wiou-unstripped"
"""The checkpoints as they were, while Ultralytics takes the optimizer out of them."""


class AlreadyFinishedError(Exception):
    """Every epoch of the run to resume is trained; holds the index of the last."""


def has_stopped(ckpt: dict[str, Any], patience: int) -> bool:
    """Return whether a run has stopped early, by its checkpoint; those of older releases don't record it.

    >>> has_stopped({"epoch": 7, "stopper": {"best_epoch": 3}}, patience=5)
    True
    """
    best_epoch = (ckpt.get("stopper") or {}).get("best_epoch", math.inf)  # counted from 1
    return bool(patience and ckpt["epoch"] + 1 - best_epoch >= patience)


class CrashSafeMixin(BaseTrainer):
    """A stock trainer whose runs may be killed at any moment: resume then goes on as if nothing had happened."""

    def save_model(self) -> Any:
        """Save the checkpoints, and put each in place when it is complete."""
        with checkpoints_written_whole(self):
            return super().save_model()

    def resume_training(self, ckpt: Any) -> None:
        """Go on after the last epoch that was saved, and drop what the files say about later ones."""
        if RANK in {-1, 0}:
            if self.resume:
                drop_rows_after(self.csv, ckpt["epoch"] + 1)
            else:
                forget_leftovers(self.wdir)
        if self.resume and (ckpt["epoch"] + 1 >= self.epochs or has_stopped(ckpt, self.args.patience)):
            raise AlreadyFinishedError(ckpt["epoch"])
        super().resume_training(ckpt)

    def _do_train(self, *args: Any) -> None:
        """Train; a run that was killed after its last epoch is only finished."""
        try:
            super()._do_train(*args)
        except AlreadyFinishedError as finished:
            self.epoch = finished.args[0]
            self.lr: dict[str, float] = {}  # what loggers show at the end
            self.tloss: Any = {}
            self.epoch_time = 0.0
            self.final_eval()
            if RANK in {-1, 0}:
                if self.args.plots:
                    self.plot_metrics()
                self.run_callbacks("on_train_end")

    def final_eval(self) -> None:
        """Take the optimizer out of the checkpoints, and validate the best one."""
        with checkpoints_kept_aside(self) if RANK in {-1, 0} else contextlib.nullcontext():
            super().final_eval()


@contextlib.contextmanager
def checkpoints_written_whole(trainer: BaseTrainer) -> Iterator[None]:
    """Let the trainer write its checkpoints into a folder of their own, and move them in place when they are complete.

    last.pt is moved last: as long as the old one is there, resume runs the epoch again and writes all of them again.
    """
    paths = trainer.wdir, trainer.last, trainer.best
    folder, draft = trainer.wdir, trainer.wdir / DRAFT
    forget_leftovers(folder)
    draft.mkdir(parents=True)
    trainer.wdir, trainer.last, trainer.best = draft, draft / "last.pt", draft / "best.pt"
    try:
        yield
    finally:
        trainer.wdir, trainer.last, trainer.best = paths
    for file in sorted(draft.iterdir(), key=lambda file: file.name == "last.pt"):
        os.replace(file, folder / file.name)
    draft.rmdir()


@contextlib.contextmanager
def checkpoints_kept_aside(trainer: BaseTrainer) -> Iterator[None]:
    """Keep copies of last.pt and best.pt while the trainer overwrites them; `bring_back` restores them after a kill."""
    forget_leftovers(trainer.wdir)
    draft, copies = trainer.wdir / DRAFT, trainer.wdir / UNSTRIPPED
    draft.mkdir(parents=True)
    for file in (trainer.last, trainer.best):
        if file.exists():
            shutil.copy2(file, draft)
    os.replace(draft, copies)
    yield
    os.replace(copies, draft)  # both at once, so that a kill leaves no single one of them to be brought back
    shutil.rmtree(draft)


def forget_leftovers(folder: Path) -> None:
    """Remove what a killed process left beside the checkpoints."""
    for name in (DRAFT, UNSTRIPPED):
        shutil.rmtree(folder / name, ignore_errors=True)


def bring_back(folder: Path) -> None:
    """Undo the final stripping of a run that was killed in it, so that resume can finish the run."""
    for file in (folder / UNSTRIPPED).glob("*.pt"):
        os.replace(file, folder / file.name)
    forget_leftovers(folder)


def latest_checkpoint() -> Path:
    """Return the checkpoint below this folder that was written last; not one of a study, which resumes its own runs."""
    checkpoints = (
        path
        for path in Path().glob("**/last*.pt")
        if not {DRAFT, UNSTRIPPED} & set(path.parts) and not any((folder / STUDY).exists() for folder in path.parents)
    )
    return max(checkpoints, key=lambda path: path.stat().st_mtime, default=Path())


def checkpoint_to_resume(resume: Any) -> tuple[Path, dict[str, Any]]:
    """Find and read the checkpoint that `resume` means: a path, or True for the latest below this folder.

    Raises:
        ConfigError: there is none, it is damaged, or its run is over.
    """
    path = Path(resume) if isinstance(resume, (str, Path)) else latest_checkpoint()
    if path.name and (path / "weights" / "last.pt").is_file():  # a run's folder
        path = path / "weights" / "last.pt"
    if RANK in {-1, 0}:
        bring_back(path.parent)
    if not path.is_file():
        where = f"at '{path}'" if path.name else "below this folder"
        raise ConfigError(
            f"there is no checkpoint to resume {where}. A run has one, weights/last.pt, when its first epoch is over; "
            "one that stopped before can only be started anew."
        )
    ckpt = load_checkpoint(path)
    if ckpt["epoch"] < 0 or ckpt.get("optimizer") is None:
        raise ConfigError(
            f"the run of '{path}' is over, nothing is left to resume. Start a new one from its weights, without "
            f"resume: model={path}."
        )
    return path, ckpt


def drop_rows_after(csv: Path, epochs: int) -> None:
    """Drop the rows of results.csv whose epochs will be run again, and a row that was cut off."""
    if not csv.exists():
        return
    header, *rows = csv.read_text(encoding="utf-8").splitlines(keepends=True) or [""]
    complete = [row for row in rows if row.endswith("\n") and row.count(",") == header.count(",")]
    write_whole(csv, "".join([header, *(row for row in complete if float(row.split(",")[0]) <= epochs)]))
