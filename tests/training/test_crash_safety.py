"""Runs killed at the worst moments, and at random ones: resumed, they have every epoch once and complete files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn, TypeAlias

import pytest
import torch
import ultralytics
from helpers.running import MODEL, TINY, columns
from torch import nn

from yolo_wiou import YOLO, ConfigError, DetectionTrainer
from yolo_wiou.cli.main import run_command
from yolo_wiou.training.checkpoint import ATTRIBUTE, VERSION, read_state
from yolo_wiou.training.checkpoint_files import REMOVED, UNSTRIPPED, bring_back, checkpoints_kept_aside
from yolo_wiou.training.crash_safety import checkpoint_to_resume, has_stopped, latest_checkpoint

Kill: TypeAlias = Callable[[pytest.MonkeyPatch], None]
"""Makes the training that follows die at its moment."""


class Killed(BaseException):
    """Ends a training where a SIGKILL would: nothing that comes after it happens, but for `finally`."""


def before_the_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    def save_model(trainer: DetectionTrainer) -> NoReturn:
        raise Killed

    monkeypatch.setattr(DetectionTrainer, "save_model", save_model)


def in_the_middle_of(name: str) -> Kill:
    def kill(monkeypatch: pytest.MonkeyPatch) -> None:
        sync = os.fsync

        def half(number: int) -> None:
            sync(number)
            file = Path(os.readlink(f"/proc/self/fd/{number}"))
            if file.name.startswith(f".{name}."):
                os.truncate(file, file.stat().st_size // 2)
                monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)  # nobody tidies up
                raise Killed

        monkeypatch.setattr(os, "fsync", half)

    return kill


def between_best_and_last(monkeypatch: pytest.MonkeyPatch) -> None:
    move = os.replace

    def replace(source: Path, target: Path) -> None:
        if Path(target).name == "last.pt":
            raise Killed
        move(source, target)

    monkeypatch.setattr(os, "replace", replace)


def while_stripped(name: str) -> Kill:
    def kill(monkeypatch: pytest.MonkeyPatch) -> None:
        save = torch.save

        def half(data: Any, file: Any) -> None:
            save(data, file)
            if isinstance(file, (str, Path)) and Path(file).name == name:
                os.truncate(file, Path(file).stat().st_size // 2)
                raise Killed

        monkeypatch.setattr(torch, "save", half)

    return kill


MOMENTS = {
    "between results.csv and last.pt": before_the_checkpoint,
    "in the middle of best.pt": in_the_middle_of("best.pt"),
    "in the middle of last.pt": in_the_middle_of("last.pt"),
    "between best.pt and last.pt": between_best_and_last,
    "while last.pt is stripped": while_stripped("last.pt"),
    "while best.pt is stripped": while_stripped("best.pt"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_worst_moments(
    moment: str, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stopped in the second of two epochs, or at the end; resumed by the command line, with nothing but the path."""
    run, last = tmp_path / "run", tmp_path / "run" / "weights" / "last.pt"
    model = YOLO(MODEL)
    ends: list[str] = []
    with monkeypatch.context() as patch:
        model.add_callback("on_train_epoch_end", lambda t: MOMENTS[moment](patch) if t.epoch == 1 else None)
        with pytest.raises(Killed):
            model.train(data=shapes, loss="wiou3", project=tmp_path, name="run", **TINY)
    assert columns(run)["epoch"] == [1, 2]  # the row is there already

    monkeypatch.setattr(DetectionTrainer, "final_eval", watched(DetectionTrainer.final_eval, ends))
    assert run_command(["train", f"resume={last}"]) == 0
    assert columns(run)["epoch"] == [1, 2]
    assert ends == ["final_eval"]
    assert sorted(file.name for file in (run / "weights").iterdir()) == ["best.pt", "last.pt"]
    for file in ("best.pt", "last.pt"):
        stripped = torch.load(run / "weights" / file, weights_only=False)
        assert stripped["optimizer"] is None
        assert stripped["train_results"]["epoch"] == [1, 2]
    state = getattr(torch.load(last, weights_only=False)["model"], ATTRIBUTE)
    assert state["heads"][""]["steps"] == 6
    assert state["heads"][""]["mean"] == pytest.approx(columns(run)["wiou/running_mean"][-1], rel=1e-5)
    assert ultralytics.YOLO(run / "weights" / "best.pt").task == "detect"

    capsys.readouterr()
    assert run_command(["train", f"resume={last}"]) == 2  # or Ultralytics would start a new training
    assert "is over, nothing is left to resume" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="is over"):
        YOLO(last).train(resume=True)


def test_an_early_stop_that_is_killed_at_its_end_trains_no_further(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And callbacks find what those of ClearML and DVCLive read at the end."""
    run, last, seen = tmp_path / "run", tmp_path / "run" / "weights" / "last.pt", []

    def killed(trainer: DetectionTrainer) -> NoReturn:
        raise Killed

    model = YOLO(MODEL)
    model.add_callback("on_train_start", lambda trainer: setattr(trainer.stopper, "best_fitness", 1.0))
    with monkeypatch.context() as patch:
        patch.setattr(DetectionTrainer, "final_eval", killed)
        with pytest.raises(Killed):
            model.train(**{**TINY, "epochs": 5, "patience": 1}, data=shapes, loss="wiou3", project=tmp_path, name="run")
    if "stopper" not in torch.load(last, weights_only=False):
        pytest.skip("checkpoints of this release know nothing of an early stop")
    model = YOLO(last)
    for event in ("on_fit_epoch_end", "on_train_end"):
        model.add_callback(event, lambda t: seen.append((t.epoch_time, *t.label_loss_items(t.tloss))))
    model.train(resume=True)
    assert columns(run)["epoch"] == [1]
    assert set(seen) == {(0.0,)}
    assert torch.load(last, weights_only=False)["optimizer"] is None


def room(folder: Path) -> int:
    """The bytes that a folder takes; a file with two names takes them once."""
    files = {stat.st_ino: stat.st_size for file in folder.rglob("*") if not file.is_dir() for stat in [file.stat()]}
    return sum(files.values())


def test_saving_needs_room_for_three_checkpoints(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """last.pt, best.pt and one draft, at the end too; an `epochN.pt` stays, by the user's wish."""
    weights, seen = tmp_path / "run" / "weights", [0]
    for module, name in ((os, "replace"), (torch, "save")):
        stock = getattr(module, name)

        def watch(*args: Any, stock: Callable[..., Any] = stock, **kwargs: Any) -> None:
            seen.append(room(weights))
            stock(*args, **kwargs)
            seen.append(room(weights))

        monkeypatch.setattr(module, name, watch)
    model, sizes = YOLO(MODEL), []
    model.add_callback("on_model_save", lambda trainer: sizes.append(trainer.last.stat().st_size))
    model.train(data=shapes, project=tmp_path, name="run", **TINY)
    assert 2.9 * min(sizes) < max(seen) < 3.1 * max(sizes)
    assert room(weights) < 2 * min(sizes)


@pytest.mark.parametrize("name", ["best.pt", "last.pt"])
def test_a_full_disk_loses_no_checkpoint_and_is_not_filled_further(
    name: str, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, sync = tmp_path / "run", os.fsync
    model = YOLO(MODEL)

    def full(number: int) -> None:
        if getattr(model.trainer, "epoch", 0) == 1 and f"/.{name}." in os.readlink(f"/proc/self/fd/{number}"):
            raise OSError(28, "No space left on device")
        sync(number)

    model.add_callback("on_train_epoch_end", lambda trainer: setattr(trainer, "best_fitness", None))  # a best one
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            model.train(data=shapes, loss="wiou3", project=tmp_path, name="run", **TINY)
    assert sorted(file.name for file in (run / "weights").iterdir()) == ["best.pt", "last.pt"]
    assert run_command(["train", "resume", f"model={run}"]) == 0
    assert columns(run)["epoch"] == [1, 2]


@pytest.mark.parametrize(
    ("epoch", "best", "patience", "stopped"),
    [
        (5, 3, 3, True),  # epochs 4, 5 and 6 were no better than epoch 3
        (4, 3, 3, False),
        (9, 3, 3, True),
        (9, 3, 0, False),  # no early stop is asked for
        (0, 0, 1, True),
    ],
)
def test_a_checkpoint_says_whether_its_run_has_stopped_early(
    epoch: int, best: int, patience: int, stopped: bool
) -> None:
    assert has_stopped({"epoch": epoch, "stopper": {"best_epoch": best}}, patience) is stopped


@pytest.mark.parametrize("ckpt", [{"epoch": 9}, {"epoch": 9, "stopper": None}, {"epoch": 9, "stopper": {}}])
def test_a_checkpoint_of_an_older_release_does_not_say_that_its_run_has_stopped(ckpt: dict[str, Any]) -> None:
    assert not has_stopped(ckpt, patience=1)


def watched(method: Callable[..., Any], calls: list[str]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        calls.append(method.__name__)
        return method(*args)

    return call


def test_what_cannot_be_resumed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "half.pt").write_bytes(b"PK\x03\x04 half a checkpoint")
    (tmp_path / "empty.pt").touch()
    torch.save({"weights": 1}, tmp_path / "other.pt")
    for folder in (".draft", ".unstripped"):  # somebody else's
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.pt").touch()
    before = sorted(tmp_path.rglob("*"))
    absent = "no checkpoint to resume"
    for arguments, message in {
        ("resume",): f"{absent} below this folder",
        ("resume=run/weights/last.pt",): f"{absent} at 'run/weights/last.pt'",
        ("resume", "model=run/weights/last.pt"): f"{absent} at 'run/weights/last.pt'",
        ("resume=half.pt",): "Another one of its run may be whole",
        ("resume=empty.pt",): "damaged",
        ("resume=other.pt",): "holds no model",
    }.items():
        assert run_command(["train", *arguments]) == 2
        assert message in capsys.readouterr().err
    for path, message in (("nowhere.pt", absent), ("half.pt", "damaged")):
        with pytest.raises(ConfigError, match=message):
            DetectionTrainer(overrides={"resume": path, "model": MODEL})
    with pytest.raises(ConfigError, match=absent):
        YOLO(MODEL).train(resume=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_state_of_a_later_release_is_named_and_not_misread() -> None:
    ema = nn.Module()
    assert read_state({"ema": ema}) is None
    setattr(ema, ATTRIBUTE, {"version": VERSION, "heads": {}})
    assert read_state({"ema": ema}) == {"version": VERSION, "heads": {}}
    setattr(ema, ATTRIBUTE, {"version": VERSION + 1, "means": "anything"})
    with pytest.raises(ConfigError, match=f"version {VERSION + 1}.*pip install -U yolo-wiou"):
        read_state({"model": ema})


def test_an_end_that_is_over_is_not_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while the copies are removed, one of them gone: none of the others may be brought back."""
    last, best = tmp_path / "last.pt", tmp_path / "best.pt"
    trainer = SimpleNamespace(wdir=tmp_path, last=last, best=best)
    for file in (last, best):
        file.write_text("whole")

    def killed(folder: Path, **_: object) -> None:
        if folder.exists():
            (folder / "last.pt").unlink()
            raise Killed

    def end() -> None:
        with checkpoints_kept_aside(trainer):
            for file in (last, best):
                file.write_text("stripped")
            monkeypatch.setattr(shutil, "rmtree", killed)

    with pytest.raises(Killed):
        end()
    monkeypatch.undo()
    bring_back(tmp_path)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        "last.pt": "stripped",
        "best.pt": "stripped",
    }


def test_the_latest_checkpoint_is_no_study_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert latest_checkpoint() == Path()
    own, study = (
        Path("runs/detect/train/weights/last.pt"),
        Path("runs/compare/runs/set/wiou3/seed0/train/weights/last.pt"),
    )
    for age, file in enumerate((study, own)):
        file.parent.mkdir(parents=True)
        file.touch()
        os.utime(file, (1e9 - age, 1e9 - age))
    assert latest_checkpoint() == study
    Path("runs/compare/study.json").touch()
    assert latest_checkpoint() == own


def test_what_a_killed_process_left_is_not_the_latest_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    whole, left = (Path("runs/detect/train/weights") / name for name in ("last.pt", f"{UNSTRIPPED}/last.pt"))
    for age, file in enumerate((left, whole)):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        os.utime(file, (1e9 - age, 1e9 - age))
    assert latest_checkpoint() == whole


def test_a_run_s_folder_stands_for_its_last_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "last.pt").write_text("no checkpoint")
    with pytest.raises(ConfigError, match=r"weights/last\.pt' is no checkpoint"):
        checkpoint_to_resume(tmp_path)


def test_what_a_kill_at_the_very_end_left_is_removed_by_the_next_resume(tmp_path: Path) -> None:
    """Copies that were being removed: the run is over, and nobody would come by again."""
    left = tmp_path / "weights" / REMOVED
    left.mkdir(parents=True)
    (left / "last.pt").write_text("a copy")
    (tmp_path / "weights" / "last.pt").write_text("no checkpoint")
    with pytest.raises(ConfigError):
        checkpoint_to_resume(tmp_path)
    assert not left.exists()
