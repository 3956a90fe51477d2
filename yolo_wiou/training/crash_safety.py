"""A run's files, kept so that it can be resumed wherever its process is killed, and wherever they have been moved.

Ultralytics writes checkpoints in place, so that a kill leaves half of one, and an epoch's row of results.csv before its
checkpoint, so that the resumed run writes it again.
"""

import contextlib
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ultralytics import __version__
from ultralytics.cfg import get_cfg
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils import LOGGER, RANK
from ultralytics.utils.torch_utils import strip_optimizer

from yolo_wiou.errors import ConfigError
from yolo_wiou.files import STUDY, draft_of, forget_drafts, write_whole
from yolo_wiou.training.inert import read_inert
from yolo_wiou.training.results_csv import drop_rows_after
from yolo_wiou.training.run_folder import claimed, folder_of, make_folder
from yolo_wiou.training.weights import check_file, check_weights, load_checkpoint

if TYPE_CHECKING:
    AnyPath = Path
else:
    AnyPath = type(Path())  # before Python 3.12, only the system's own kind can be extended

UNSTRIPPED = ".yolo-wiou-unstripped"
"""The checkpoints as they were, while Ultralytics takes the optimizer out of them; hidden from it."""
REMOVED = ".yolo-wiou-removed"
"""The same, when it is over and they are no more needed."""


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
        try:
            super().__init__(*args)
        except BaseException:
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
            folder = Path(self.args.save_dir) if self.resume else make_folder(self.args)
            self.claim.enter_context(claimed(folder))
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
