"""A run's files, such that resume goes on from any moment: a process may be killed between any two of its instructions.

Ultralytics writes checkpoints in place, so that a kill leaves half of one, and an epoch's row of results.csv before its
checkpoint, so that the resumed run writes it again.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils import RANK

from yolo_wiou.registry import ConfigError
from yolo_wiou.storage import STUDY, write_whole
from yolo_wiou.training.checkpoint import load_checkpoint

DRAFT = ".yolo-wiou-draft"
"""Beside the checkpoints, while they are written; hidden from Ultralytics, which takes the latest `last*.pt`."""
UNSTRIPPED = ".yolo-wiou-unstripped"
"""The checkpoints as they were, while Ultralytics takes the optimizer out of them."""


class NothingLeft(Exception):
    """Every epoch of the run to resume is trained; holds the number of the last."""


def has_stopped(ckpt: dict[str, Any], patience: int) -> bool:
    """Whether a run has stopped early, as far as its checkpoint knows: those of older releases know nothing of it."""
    best = (ckpt.get("stopper") or {}).get("best_epoch", math.inf)
    return bool(patience and ckpt["epoch"] + 1 - best >= patience)


class KillableMixin(BaseTrainer):
    """A stock trainer whose runs may be killed at any moment: resume then goes on as if nothing had happened."""

    def save_model(self) -> Any:
        """Save the checkpoints, each put in place at once."""
        with written_whole(self):
            return super().save_model()

    def resume_training(self, ckpt: Any) -> None:
        """Go on after the last epoch that was saved, with files that know of no later one."""
        if RANK in {-1, 0}:
            if self.resume:
                drop_rows_after(self.csv, ckpt["epoch"] + 1)
            else:
                forget_leftovers(self.wdir)
        if self.resume and (ckpt["epoch"] + 1 >= self.epochs or has_stopped(ckpt, self.args.patience)):
            raise NothingLeft(ckpt["epoch"])
        super().resume_training(ckpt)

    def _do_train(self, *args: Any) -> None:
        """Train; of a run that was stopped after its last epoch only the end is left to do."""
        try:
            super()._do_train(*args)
        except NothingLeft as over:
            self.epoch = over.args[0]
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
        with kept_aside(self) if RANK in {-1, 0} else contextlib.nullcontext():
            super().final_eval()


@contextlib.contextmanager
def written_whole(trainer: BaseTrainer) -> Iterator[None]:
    """Let the trainer write its checkpoints into a folder of their own, and put them in place when they are whole.

    last.pt comes last: as long as it is the old one, the epoch is run again, and with it what the others hold.
    """
    places = trainer.wdir, trainer.last, trainer.best
    folder, draft = trainer.wdir, trainer.wdir / DRAFT
    forget_leftovers(folder)
    draft.mkdir(parents=True)
    trainer.wdir, trainer.last, trainer.best = draft, draft / "last.pt", draft / "best.pt"
    try:
        yield
    finally:
        trainer.wdir, trainer.last, trainer.best = places
    for file in sorted(draft.iterdir(), key=lambda file: file.name == "last.pt"):
        os.replace(file, folder / file.name)
    draft.rmdir()


@contextlib.contextmanager
def kept_aside(trainer: BaseTrainer) -> Iterator[None]:
    """Keep copies of last.pt and best.pt while the trainer writes over them; `bring_back` finds them after a kill."""
    forget_leftovers(trainer.wdir)
    draft, aside = trainer.wdir / DRAFT, trainer.wdir / UNSTRIPPED
    draft.mkdir(parents=True)
    for file in (trainer.last, trainer.best):
        if file.exists():
            shutil.copy2(file, draft)
    os.replace(draft, aside)
    yield
    os.replace(aside, draft)  # at once, so that a kill leaves none of them to be brought back alone
    shutil.rmtree(draft)


def forget_leftovers(folder: Path) -> None:
    """Remove what a killed process left beside the checkpoints."""
    for name in (DRAFT, UNSTRIPPED):
        shutil.rmtree(folder / name, ignore_errors=True)


def bring_back(folder: Path) -> None:
    """Undo an end of a run that was killed, so that it can end again."""
    aside = folder / UNSTRIPPED
    for file in aside.glob("*.pt"):
        os.replace(file, folder / file.name)
    forget_leftovers(folder)


def latest_checkpoint() -> Path:
    """Find the checkpoint that was written last below this folder; a study's are the study's to go on with."""
    found = (
        path
        for path in Path().glob("**/last*.pt")
        if not {DRAFT, UNSTRIPPED} & set(path.parts) and not any((p / STUDY).exists() for p in path.parents)
    )
    return max(found, key=lambda path: path.stat().st_mtime, default=Path())


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
    """Drop what results.csv says of epochs that will be run again, and a row that was cut off."""
    if not csv.exists():
        return
    header, *rows = csv.read_text(encoding="utf-8").splitlines(keepends=True) or [""]
    whole = [row for row in rows if row.endswith("\n") and row.count(",") == header.count(",")]
    write_whole(csv, "".join([header, *(row for row in whole if float(row.split(",")[0]) <= epochs)]))
