"""A run's files, kept so that it can be resumed wherever its process is killed, and wherever they have been moved.

Ultralytics writes checkpoints in place, so that a kill leaves half of one, and an epoch's row of results.csv before its
checkpoint, so that the resumed run writes it again.
"""

import contextlib
import math
from pathlib import Path
from typing import Any

from ultralytics import __version__
from ultralytics.cfg import get_cfg
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils import RANK

from yolo_wiou.errors import ConfigError
from yolo_wiou.files import STUDY, forget_drafts
from yolo_wiou.training.checkpoint_files import (
    REMOVED,
    UNSTRIPPED,
    bring_back,
    checkpoints_kept_aside,
    checkpoints_written_whole,
    forget_leftovers,
)
from yolo_wiou.training.inert import read_inert
from yolo_wiou.training.results_csv import drop_rows_after
from yolo_wiou.training.run_folder import claimed, folder_of, make_folder, unmake
from yolo_wiou.training.weights import check_file, check_weights, load_checkpoint


class AlreadyFinishedError(Exception):
    """Every epoch of the run to resume is trained; holds the index of the last."""


def has_stopped(ckpt: dict[str, Any], patience: int) -> bool:
    """Return whether a run has stopped early, by its checkpoint; those of older releases don't record it.

    >>> has_stopped({"epoch": 7, "stopper": {"best_epoch": 3}}, patience=5)
    True
    """
    best_epoch = (ckpt.get("stopper") or {}).get("best_epoch", math.inf)  # counted from 1
    return bool(patience and ckpt["epoch"] + 1 - best_epoch >= patience)


def cannot_resume(checkpoint: Any, error: BaseException) -> str:
    """Say that a run cannot be gone on with, and what Ultralytics or PyTorch says of it."""
    why = (str(error).splitlines() or [type(error).__name__])[0]
    return f"Ultralytics {__version__} cannot resume '{checkpoint}', which may be another release's: {why}"


class CrashSafeMixin(BaseTrainer):
    """A stock trainer whose runs may be killed at any moment: resume then goes on as if nothing had happened.

    A run goes on where its checkpoint lies, and one process at a time writes into its folder: this one from
    `claim_folder` to the end of its training. The processes of several GPUs are started by one that has built the
    trainer too and trains nothing, so it lets go, and their first one claims the folder.
    """

    def __init__(self, *args: Any) -> None:
        """Build the stock trainer."""
        self.claim = contextlib.ExitStack()
        self.made: list[Path] = []
        try:
            super().__init__(*args)
        except BaseException:  # what Ultralytics checks last, a device that is not there say
            unmake(self.made)  # while it is held, or another process could have taken it
            self.claim.close()
            raise

    def check_resume(self, overrides: dict[str, Any]) -> None:
        """Check what the run starts from; a resumed one, that its data is there and that it stays in its folder."""
        if not self.args.resume and RANK in {-1, 0}:
            for key in ("model", "pretrained", "distill_model"):
                check_weights(getattr(self.args, key, None))
        path = self.args.resume
        try:
            super().check_resume(overrides)
            if self.resume:
                get_cfg(overrides=dict(vars(self.args)))  # as the validator will
        except (FileNotFoundError, SyntaxError, TypeError, ValueError) as error:  # an argument that is none here
            raise ConfigError(cannot_resume(path, error.__cause__ or error)) from error
        if not self.resume:
            return
        folder, asked = folder_of(Path(self.args.resume)), overrides.get("save_dir")
        if asked and Path(asked).resolve() != folder.resolve():
            raise ConfigError(f"resume goes on in the checkpoint's own folder, '{folder}': leave out save_dir={asked}.")
        self.args.save_dir = str(folder)
        if RANK in {-1, 0}:
            try:
                self.get_dataset()
            except (RuntimeError, ConfigError) as error:
                raise ConfigError(
                    f"resume with data=NEW.yaml, the run's data '{self.args.data}' cannot be used any more: {error}"
                ) from error

    def claim_folder(self) -> None:
        """Make and hold the run's folder, before anything is written into it.

        Raises:
            ConfigError: another process trains there, or it cannot be made.
        """
        if RANK in {-1, 0}:
            folder, made = (Path(self.args.save_dir), []) if self.resume else make_folder(self.args)
            self.claim.enter_context(claimed(folder))
            self.made = made  # who is refused has nothing to remove: the folder is another's by now
            self.args.save_dir = str(folder)

    def train(self) -> Any:
        """Train, here or in processes that are started for it."""
        self.claim.close()
        return super().train()

    def save_model(self) -> Any:
        """Save the checkpoints, and put each in place when it is complete."""
        with checkpoints_written_whole(self):
            return super().save_model()

    def resume_training(self, ckpt: Any) -> None:
        """Go on after the last epoch that was saved, and drop what the files say about later ones."""
        is_over = self.resume and (ckpt["epoch"] + 1 >= self.epochs or has_stopped(ckpt, self.args.patience))
        if not is_over:
            try:
                super().resume_training(ckpt)
            except ValueError as error:  # PyTorch's, of an optimizer with other groups of parameters
                raise ConfigError(cannot_resume(self.args.resume, error)) from error
        if RANK in {-1, 0}:
            forget_leftovers(self.wdir)
            forget_drafts(self.save_dir)
            if self.resume:
                drop_rows_after(self.csv, ckpt["epoch"] + 1)
        if is_over:
            raise AlreadyFinishedError(ckpt["epoch"])

    def _do_train(self, *args: Any) -> None:
        """Train; a run that was killed after its last epoch is only finished."""
        with claimed(self.save_dir) if RANK in {-1, 0} else contextlib.nullcontext():
            try:
                super()._do_train(*args)
            except AlreadyFinishedError as finished:
                self._finish(finished.args[0])

    def _finish(self, epoch: int) -> None:
        """Do what comes after the last epoch, which an earlier process has trained."""
        self.epoch = epoch
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


def latest_checkpoint() -> Path:
    """Return the checkpoint below this folder that was written last; not one of a study, which resumes its own runs."""
    checkpoints = (
        path
        for path in Path().glob("**/last*.pt")
        if UNSTRIPPED not in path.parts and not any((folder / STUDY).exists() for folder in path.parents)
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
    if not path.is_file():
        where = f"at '{path}'" if path.name else "below this folder"
        raise ConfigError(
            f"there is no checkpoint to resume {where}. A run has one, weights/last.pt, when its first epoch is over; "
            "one that stopped before can only be started anew."
        )
    if path.suffix != ".pt":
        raise ConfigError(f"'{path}' is no checkpoint. A run's are weights/last.pt and, with save_period, epochN.pt.")
    if RANK in {-1, 0} and any((path.parent / name).is_dir() for name in (UNSTRIPPED, REMOVED)):
        with claimed(folder_of(path)):
            bring_back(path.parent)
    try:
        content = read_inert(path)
    except ConfigError as error:
        whole = "Another one of its run may be whole: best.pt or, with save_period, epochN.pt beside it."
        raise ConfigError(f"{error} {whole}") from error
    check_file(path, *content)
    ckpt = load_checkpoint(path)
    if ckpt.get("epoch", -1) < 0 or ckpt.get("optimizer") is None:
        raise ConfigError(
            f"the run of '{path}' is over, nothing is left to resume. Start a new one from its weights, without "
            f"resume: model={path}."
        )
    return path, ckpt
