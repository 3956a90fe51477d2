"""Runs killed at the worst moments, and at random ones: resumed, they have every epoch once and complete files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import ultralytics
from helpers.running import MODEL, TINY, columns
from torch import nn

from yolo_wiou import YOLO, ConfigError, DetectionTrainer
from yolo_wiou.cli.main import run_command
from yolo_wiou.training.checkpoint import ATTRIBUTE, VERSION, read_state
from yolo_wiou.training.crash_safety import (
    DRAFT,
    UNSTRIPPED,
    bring_back,
    checkpoint_to_resume,
    checkpoints_kept_aside,
    drop_rows_after,
    has_stopped,
    latest_checkpoint,
)


class Killed(BaseException):
    """Ends a training where a SIGKILL would: nothing that comes after it happens, but for `finally`."""


def before_the_checkpoint(monkeypatch):
    def save_model(trainer):
        raise Killed

    monkeypatch.setattr(DetectionTrainer, "save_model", save_model)


def in_the_middle_of_a_checkpoint(monkeypatch):
    write = Path.write_bytes

    def write_bytes(path, data):
        write(path, data[: len(data) // 2])
        raise Killed

    monkeypatch.setattr(Path, "write_bytes", write_bytes)


def between_best_and_last(monkeypatch):
    move = os.replace

    def replace(source, target):
        if Path(source).parent.name == DRAFT and Path(source).name == "last.pt":
            raise Killed
        move(source, target)

    monkeypatch.setattr(os, "replace", replace)


def while_stripped(name):
    def kill(monkeypatch):
        save = torch.save

        def half(data, file):
            save(data, file)
            if isinstance(file, Path) and file.name == name:
                os.truncate(file, file.stat().st_size // 2)
                raise Killed

        monkeypatch.setattr(torch, "save", half)

    return kill


MOMENTS = {
    "between results.csv and last.pt": before_the_checkpoint,
    "in the middle of a checkpoint": in_the_middle_of_a_checkpoint,
    "between best.pt and last.pt": between_best_and_last,
    "while last.pt is stripped": while_stripped("last.pt"),
    "while best.pt is stripped": while_stripped("best.pt"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_worst_moments(moment, shapes, tmp_path, monkeypatch, capsys):
    """Stopped in the second of two epochs, or at the end; resumed by the command line, with nothing but the path."""
    run, last = tmp_path / "run", tmp_path / "run" / "weights" / "last.pt"
    model, ends = YOLO(MODEL), []
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


def test_an_early_stop_that_is_killed_at_its_end_trains_no_further(shapes, tmp_path, monkeypatch):
    """And callbacks find what those of ClearML and DVCLive read at the end."""
    run, last, seen = tmp_path / "run", tmp_path / "run" / "weights" / "last.pt", []

    def killed(trainer):
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
def test_a_checkpoint_says_whether_its_run_has_stopped_early(epoch, best, patience, stopped):
    assert has_stopped({"epoch": epoch, "stopper": {"best_epoch": best}}, patience) is stopped


@pytest.mark.parametrize("ckpt", [{"epoch": 9}, {"epoch": 9, "stopper": None}, {"epoch": 9, "stopper": {}}])
def test_a_checkpoint_of_an_older_release_does_not_say_that_its_run_has_stopped(ckpt):
    assert not has_stopped(ckpt, patience=1)


def watched(method, calls):
    def call(*args):
        calls.append(method.__name__)
        return method(*args)

    return call


def test_what_cannot_be_resumed_is_named(tmp_path, monkeypatch, capsys):
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
        ("resume=half.pt",): "damaged",
        ("resume=empty.pt",): "damaged",
        ("resume=other.pt",): "damaged",
    }.items():
        assert run_command(["train", *arguments]) == 2
        assert message in capsys.readouterr().err
    for path, message in (("nowhere.pt", absent), ("half.pt", "damaged")):
        with pytest.raises(ConfigError, match=message):
            DetectionTrainer(overrides={"resume": path, "model": MODEL})
    with pytest.raises(ConfigError, match=absent):
        YOLO(MODEL).train(resume=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_state_of_a_later_release_is_named_and_not_misread():
    ema = nn.Module()
    assert read_state({"ema": ema}) is None
    setattr(ema, ATTRIBUTE, {"version": VERSION, "heads": {}})
    assert read_state({"ema": ema}) == {"version": VERSION, "heads": {}}
    setattr(ema, ATTRIBUTE, {"version": VERSION + 1, "means": "anything"})
    with pytest.raises(ConfigError, match=f"version {VERSION + 1}.*pip install -U yolo-wiou"):
        read_state({"model": ema})


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ("1,0.5\n2,0.4\n3,0.3\n", "1,0.5\n2,0.4\n"),
        ("1,0.5\n2,0.4\n2", "1,0.5\n2,0.4\n"),  # cut off
        ("1,0.5\n2,0.4\n1", "1,0.5\n2,0.4\n"),  # cut off from epoch 12
        ("1,0.5\n", "1,0.5\n"),
        ("", ""),
    ],
)
def test_rows_of_epochs_to_come_are_dropped(rows, kept, tmp_path):
    table = tmp_path / "results.csv"
    drop_rows_after(table, 2)
    assert not table.exists()
    table.write_text(f"epoch,wiou/iou\n{rows}")
    drop_rows_after(table, 2)
    assert table.read_text() == f"epoch,wiou/iou\n{kept}"
    assert list(tmp_path.iterdir()) == [table]


def test_an_end_that_is_over_is_not_undone(tmp_path, monkeypatch):
    """Killed while the copies are removed, one of them gone: none of the others may be brought back."""
    last, best = tmp_path / "last.pt", tmp_path / "best.pt"
    trainer = SimpleNamespace(wdir=tmp_path, last=last, best=best)
    for file in (last, best):
        file.write_text("whole")

    def killed(folder, **_):
        (folder / "last.pt").unlink()
        raise Killed

    def end():
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


def test_the_latest_checkpoint_is_no_study_s(tmp_path, monkeypatch):
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


@pytest.mark.parametrize("hidden", [DRAFT, UNSTRIPPED])
def test_what_a_killed_process_left_is_not_the_latest_checkpoint(tmp_path, monkeypatch, hidden):
    monkeypatch.chdir(tmp_path)
    whole, left = (Path("runs/detect/train/weights") / name for name in ("last.pt", f"{hidden}/last.pt"))
    for age, file in enumerate((left, whole)):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        os.utime(file, (1e9 - age, 1e9 - age))
    assert latest_checkpoint() == whole


def test_a_run_s_folder_stands_for_its_last_checkpoint(tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "last.pt").write_text("no checkpoint")
    with pytest.raises(ConfigError, match=r"weights/last\.pt' is no checkpoint"):
        checkpoint_to_resume(tmp_path)
