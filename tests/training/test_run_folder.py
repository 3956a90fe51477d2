"""A run is where its checkpoint lies, and one process at a time writes it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from helpers.running import MODEL, ROOT, TINY, columns
from ultralytics.cfg import DEFAULT_CFG_DICT
from ultralytics.engine.trainer import BaseTrainer

from yolo_wiou import YOLO, ConfigError, DetectionTrainer, locks
from yolo_wiou.cli.main import run_command
from yolo_wiou.data.shapes import ShapesConfig, render_dataset
from yolo_wiou.training import run_folder
from yolo_wiou.training.run_folder import LOCK, claimed, make_folder

FIXTURES = ROOT / "tests" / "fixtures"
HOLD = "import sys, pathlib\nfrom yolo_wiou.training.run_folder import claimed\n"
HOLD += "with claimed(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was stopped after two of four epochs, beside its data; where its checkpoint says that it lies."""
    monkeypatch.chdir(tmp_path)
    run = Path(shutil.copytree(FIXTURES / "run", tmp_path / "runs" / "old"))
    render_dataset(
        tmp_path / "shapes", ShapesConfig(train=12, val=6, imgsz=64, classes=("disc", "box"), sizes=(0.2, 0.6))
    )
    last = run / "weights" / "last.pt"
    checkpoint = torch.load(last, weights_only=False)
    data = str(tmp_path / "shapes" / "data.yaml")
    kept = {key: checkpoint["train_args"][key] for key in (*TINY, "task", "mode", "model")}  # releases differ in others
    checkpoint["train_args"] = {
        **DEFAULT_CFG_DICT,
        **kept,
        "save_dir": str(run),
        "project": str(run.parent),
        "data": data,
    }
    torch.save(checkpoint, last)
    return run


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, but for the lock."""
    files = (file for file in folder.rglob("*") if file.is_file() and file.name != LOCK)
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@contextmanager
def another_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """One that holds a run's folder."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def is_free(folder: Path) -> bool:
    """Whether another thread, to which locks are as foreign as to another process, could hold the folder."""
    free = []

    def hold() -> None:
        try:
            with claimed(folder):
                free.append(True)
        except ConfigError:
            pass

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    return bool(free)


def test_a_second_process_is_refused_and_changes_nothing_and_a_killed_one_stops_nobody(
    run: Path, shapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last = run / "weights" / "last.pt"
    before = content(run)
    new = {"data": shapes, "project": run.parent, "name": run.name, **TINY}
    with another_process(run) as other:
        for command in (
            ["train", "resume", f"model={last}"],
            ["train", f"model={MODEL}", *(f"{key}={value}" for key, value in new.items())],
        ):
            assert run_command(command) == 2
            said = capsys.readouterr().err
            assert f"another process is training in '{run}'" in said
            assert LOCK not in said  # whoever removed it would let a second one in
        ways: list[Callable[[], Any]] = [lambda: YOLO(last).train(resume=True), lambda: YOLO(MODEL).train(**new)]
        for train in ways:
            with pytest.raises(ConfigError, match="another process is training in"):
                train()
        assert content(run) == before
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert run_command(["train", "resume", f"model={last}"]) == 0
    assert columns(run)["epoch"] == [1, 2, 3, 4]


def test_a_process_that_resumes_what_another_one_is_ending_does_not_undo_it(run: Path) -> None:
    (run / "weights" / ".yolo-wiou-unstripped").mkdir()
    shutil.copy(run / "weights" / "last.pt", run / "weights" / ".yolo-wiou-unstripped")
    before = content(run)
    with another_process(run), pytest.raises(ConfigError, match="another process"):
        DetectionTrainer(overrides={"resume": str(run / "weights" / "last.pt"), "device": "cpu"})
    assert content(run) == before


def test_a_copy_is_resumed_where_it_lies(run: Path, tmp_path: Path) -> None:
    backup = shutil.copytree(run, tmp_path / "backup")
    before = content(run)
    assert run_command(["train", "resume", f"model={backup / 'weights' / 'last.pt'}"]) == 0
    assert content(run) == before
    assert columns(backup)["epoch"] == [1, 2, 3, 4]
    assert f"save_dir: {backup}" in (backup / "args.yaml").read_text()


def test_a_run_and_data_that_have_moved(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    moved = run.rename(tmp_path / "moved")
    (tmp_path / "shapes").rename(tmp_path / "elsewhere")
    data = tmp_path / "elsewhere" / "data.yaml"
    data.write_text(data.read_text().replace(str(tmp_path / "shapes"), str(data.parent)))
    command, before = ["train", "resume", f"model={moved / 'weights' / 'last.pt'}"], content(moved)
    assert run_command(command) == 2
    assert capsys.readouterr().err.startswith("yolo-wiou: resume with data=NEW.yaml")
    with pytest.raises(ConfigError, match=r"^resume with data=NEW\.yaml"):
        YOLO(moved / "weights" / "last.pt").train(resume=True)
    assert content(moved) == before
    assert run_command([*command, f"data={data}"]) == 0
    assert columns(moved)["epoch"] == [1, 2, 3, 4]
    assert not run.exists()


def test_images_that_have_moved_are_named_too(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "shapes" / "images").rename(tmp_path / "images")
    assert run_command(["train", "resume", f"model={run / 'weights' / 'last.pt'}"]) == 2
    assert "resume with data=NEW.yaml" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["argument_of_the_future", "parameter group"])
def test_what_another_release_wrote_and_this_one_cannot_resume_is_named(
    part: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last = run / "weights" / "last.pt"
    checkpoint = torch.load(last, weights_only=False)
    if part == "parameter group":
        checkpoint["optimizer"]["param_groups"][0]["params"].append(1000)
    else:
        checkpoint["train_args"][part] = 1
    torch.save(checkpoint, last)
    before = content(run)
    assert run_command(["train", "resume", f"model={last}"]) == 2
    assert "cannot resume" in (said := capsys.readouterr().err)
    assert part in said
    after = content(run)
    assert all(after[name] == before[name] for name in before if name != "args.yaml")


def test_a_checkpoint_without_a_run_s_folder_says_where_it_has_to_be(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(run / "weights" / "last.pt", tmp_path / "alone.pt")
    before = content(tmp_path)
    assert run_command(["train", "resume=alone.pt"]) == 2
    assert "RUN/weights/alone.pt" in capsys.readouterr().err
    last = run / "weights" / "last.pt"
    with pytest.raises(ConfigError, match=r"leave out save_dir=elsewhere"):
        DetectionTrainer(overrides={"resume": str(last), "save_dir": "elsewhere", "device": "cpu"})
    assert content(tmp_path) == before


def test_two_runs_that_start_at_once_get_two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = iter(["run", "run2"])  # as Ultralytics counts, who looks and makes nothing
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(run_folder, "get_save_dir", lambda args: tmp_path / next(names))
    assert make_folder(Namespace(exist_ok=False)) == (tmp_path / "run2", [tmp_path / "run2"])


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    arguments = {"project": str(tmp_path / "file"), "model": MODEL, "data": "coco8.yaml", "device": "cpu"}
    with pytest.raises(ConfigError, match=r"file' is a file"):
        DetectionTrainer(overrides=arguments)


def test_a_trainer_holds_its_folder_until_it_lets_the_workers_have_it(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ultralytics trains on several GPUs in processes of their own, which `train` starts from a trainer like theirs."""
    arguments = {**TINY, "model": MODEL, "data": str(shapes), "project": str(tmp_path), "name": "run", "device": "cpu"}
    trainer = DetectionTrainer(overrides=arguments)
    assert not is_free(tmp_path / "run")
    monkeypatch.setattr(BaseTrainer, "train", lambda trainer: is_free(trainer.save_dir))
    assert trainer.train()
    again = DetectionTrainer(overrides=arguments)  # a notebook's cell, run a second time
    assert not is_free(tmp_path / "run")
    del trainer, again
    assert is_free(tmp_path / "run")


def test_a_trainer_that_cannot_be_built_holds_nothing(shapes: Path, tmp_path: Path) -> None:
    arguments = {**TINY, "model": MODEL, "data": "nowhere.yaml", "project": str(tmp_path), "name": "run"}
    with pytest.raises((RuntimeError, ConfigError)) as caught:
        DetectionTrainer(overrides=arguments)
    assert (tmp_path / "run").exists() <= is_free(tmp_path / "run")
    del caught


def test_a_mistake_that_ultralytics_finds_last_leaves_no_folder(shapes: Path, tmp_path: Path) -> None:
    before = content(tmp_path)
    arguments = {"data": shapes, "project": tmp_path / "new" / "runs", "loss": "wiou3", "epochs": 1}
    with pytest.raises(ConfigError, match=r"device"):
        YOLO(MODEL).train(device="7", **arguments)
    assert content(tmp_path) == before
    (tmp_path / "new" / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "new" / "runs" / "mine" / "kept.txt").touch()
    before = content(tmp_path)
    with pytest.raises(ConfigError, match=r"device"):
        YOLO(MODEL).train(device="7", name="mine", exist_ok=True, **arguments)
    assert content(tmp_path).keys() - {tmp_path / "new" / "runs" / "mine" / LOCK} == before.keys()


def test_who_is_refused_leaves_the_other_run_s_folder(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which may have been made, and claimed, after this one looked whether it was there."""

    def is_held(folder: Path) -> NoReturn:
        (folder / LOCK).touch()
        raise ConfigError("another process is training there")

    monkeypatch.setattr("yolo_wiou.training.crash_safety.claimed", is_held)
    with pytest.raises(ConfigError, match="another process"):
        YOLO(MODEL).train(data=shapes, project=tmp_path, name="run", **{**TINY, "exist_ok": True})
    assert (tmp_path / "run" / LOCK).is_file()


@pytest.mark.parametrize("error", [OSError("no locks here"), NotImplementedError("flock")])
def test_where_there_are_no_locks_nobody_is_stopped(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Without:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def acquire(self) -> NoReturn:
            asked.append(self)
            raise error

    monkeypatch.setattr(locks, "FileLock", Without)
    with claimed(tmp_path), claimed(tmp_path):
        assert len(asked) == 2


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files as Linux shows them")
def test_training_over_and_over_leaves_no_open_files(run: Path, shapes: Path, tmp_path: Path) -> None:
    counts = []
    for _ in range(4):
        YOLO(FIXTURES / "model.yaml").train(
            data=shapes, project=tmp_path, name="again", **{**TINY, "epochs": 1, "val": False}
        )
        counts.append(len(os.listdir("/proc/self/fd")))
    assert counts[-1] <= counts[1]
