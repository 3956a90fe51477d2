"""Foreign, damaged and hostile .pt files: one message, by every way in; `checks` executes none of them."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
import ultralytics
from helpers.running import MODEL, ROOT, TINY
from torch import nn
from ultralytics.nn import tasks
from ultralytics.utils import downloads

from yolo_wiou import YOLO, ConfigError, DetectionTrainer
from yolo_wiou.cli.checks import describe_checkpoint
from yolo_wiou.cli.main import run_command
from yolo_wiou.training.weights import check_weights, find_weights

TINY_MODEL = ROOT / "tests" / "fixtures" / "model.yaml"


class Hostile:
    """Makes a folder, where it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.makedirs, (str(self.folder), 0o777, True)


def checkpoint(path: Path, module: nn.Module | None = None, **more: object) -> Path:
    """Save a checkpoint of a small model, with another module in it, in a run's folder."""
    model = ultralytics.YOLO(TINY_MODEL).model
    if module:
        model.foreign = module
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({**more, "epoch": 0, "model": model, "optimizer": {}, "train_args": {}}, path)
    return path


@contextmanager
def passing_class(module: str, name: str) -> Iterator[type[nn.Module]]:
    """Give a class that is gone afterwards, from a module that may be gone too."""
    packages = module.split(".")
    added = [".".join(packages[: i + 1]) for i in range(len(packages))]
    added = [package for package in added if package not in sys.modules]
    for package in added:
        sys.modules[package] = types.ModuleType(package)
    kind = type(name, (nn.Module,), {"__module__": module})
    setattr(sys.modules[module], name, kind)
    try:
        yield kind
    finally:
        delattr(sys.modules[module], name)
        for package in added:
            del sys.modules[package]


FOREIGN = {
    ("ultralytics.nn.modules.block", "C3ForkedAttention"): "a fork or another release",
    ("ultralytics.nn.forked", "Mamba"): "a fork or another release",
    ("ultralytics.yolo.forked", "Mamba"): "a fork or another release",
    ("ultralytics.yolo.utils.forked", "Mamba"): "a fork or another release",
    ("forkedyolo.nn.modules", "Backbone"): "a fork or another release",
    ("helpers.forked", "Backbone"): "a fork or another release",  # beside what is here
    ("models.common", "C3TR"): "YOLOv5's own repository",
    ("torch.nn.modules.newer", "Newer"): "another release of PyTorch",
    ("pathlib._newer", "PosixPath"): "another release of Python or NumPy",
    ("numpy._newer.multiarray", "Newer"): "another release of Python or NumPy",
}


@pytest.mark.parametrize(("module", "name"), FOREIGN)
def test_a_class_that_is_not_here_is_named_by_every_way_in(
    module: str,
    name: str,
    shapes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    installed, made = [], tmp_path / "made"
    for owner in (tasks, ultralytics.utils.checks):
        monkeypatch.setattr(owner, "check_requirements", lambda *args, **_: installed.append(args))
    with passing_class(module, name) as kind:
        file = checkpoint(tmp_path / "run" / "weights" / "last.pt", kind(), first=Hostile(made))
    data = {"data": str(shapes), "device": "cpu", **TINY, "project": str(tmp_path / "runs")}
    ways: dict[str, Callable[[], Any]] = {
        "model": lambda: YOLO(file),
        "load": lambda: YOLO(TINY_MODEL).load(file),
        "pretrained": lambda: YOLO(TINY_MODEL).train(pretrained=str(file), **data),
        "resume": lambda: DetectionTrainer(overrides={"resume": str(file), "device": "cpu"}),
        "trainer": lambda: DetectionTrainer(overrides={"model": str(file), **data}),
    }
    for way in ways.values():
        with pytest.raises(ConfigError, match=rf"{module}\.{name}.*{FOREIGN[module, name]}"):
            way()
    for command in (["model={}"], [f"model={TINY_MODEL}", "pretrained={}"], ["resume", "model={}"]):
        words = [word.format(file) for word in command]
        assert run_command(["train", f"data={shapes}", *words, f"project={tmp_path / 'runs'}"]) == 2
        assert f"{module}.{name}" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
    assert not installed
    assert made.exists() == (module in sys.modules)  # executed only where the module is here, and the class in doubt
    assert "trained by stock Ultralytics" in describe_checkpoint(str(file))


def test_checks_executes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "made"
    for name, content in {
        "beside": checkpoint(tmp_path / "beside.pt", more=Hostile(made)),
        "alone": tmp_path / "alone.pt",
    }.items():
        if name == "alone":
            torch.save(Hostile(made), content)
        assert run_command(["checks", f"model={content}"]) == (0 if name == "beside" else 2)
        assert not made.exists()
    assert "holds no model" in capsys.readouterr().err
    torch.load(tmp_path / "alone.pt", weights_only=False)
    assert made.exists()  # it is hostile indeed


def test_a_hostile_loss_state_is_named(tmp_path: Path) -> None:
    model = ultralytics.YOLO(TINY_MODEL).model
    for state in ({"version": "one"}, {"version": 1}, {"version": 1, "loss": "wiou3", "heads": {"": 3}}, [1], "text"):
        model.yolo_wiou = state
        torch.save({"epoch": 0, "model": model}, tmp_path / "last.pt")
        with pytest.raises(ConfigError, match=r"last\.pt' has a loss state that cannot be read"):
            describe_checkpoint(str(tmp_path / "last.pt"))


def test_a_module_that_ultralytics_knows_by_a_former_name_is_found(tmp_path: Path) -> None:
    with passing_class("ultralytics.yolo.utils", "IterableSimpleNamespace") as kind:
        file = checkpoint(tmp_path / "old.pt", more=kind)
    assert YOLO(file).task == "detect"


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="it is this Python's own")
def test_a_path_of_python_3_13_is_loaded_wherever_stock_loads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with passing_class("pathlib._local", "PosixPath") as kind:
        file = checkpoint(tmp_path / "new.pt", more=kind)
    monkeypatch.setattr(tasks, "SAFE_LOAD", True, raising=False)
    monkeypatch.setattr(tasks, "check_requirements", lambda *_, **__: None)
    try:
        ultralytics.YOLO(file)
    except ImportError:
        with pytest.raises(ConfigError, match="cannot be loaded"):
            YOLO(file)
        return
    assert YOLO(file).task == "detect"


def test_what_stock_loads_is_loaded_and_described(tmp_path: Path) -> None:
    """PyTorch's format before 1.6, and a `YOLO` that was saved as a whole."""
    model = ultralytics.YOLO(TINY_MODEL)
    old = {"_use_new_zipfile_serialization": False}
    for name, content, options in (
        ("old", {"epoch": -1, "model": model.model, "train_args": {}}, old),
        ("whole", model, {}),
        ("both", model, old),
    ):
        file = tmp_path / f"{name}.pt"
        torch.save(content, file, **options)
        for load in (lambda file=file: YOLO(file), lambda file=file: YOLO(TINY_MODEL).load(file)):
            loaded = load().model.state_dict()
            assert all(torch.equal(loaded[key].float(), value) for key, value in model.model.state_dict().items())
        assert "trained by stock Ultralytics" in describe_checkpoint(str(file))


def test_the_old_format_is_not_executed_either(tmp_path: Path) -> None:
    made = tmp_path / "made"
    torch.save({"model": Hostile(made)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert describe_checkpoint(str(tmp_path / "old.pt"))
    assert not made.exists()


def test_what_is_no_checkpoint_says_what_it_is(tmp_path: Path) -> None:
    whole = checkpoint(tmp_path / "whole.pt").read_bytes()
    torch.jit.script(nn.Linear(1, 1)).save(str(tmp_path / "script.pt"))
    torch.save(nn.Linear(1, 1).state_dict(), tmp_path / "weights.pt")
    torch.save({"model": nn.Linear(1, 1).state_dict()}, tmp_path / "dict.pt")
    torch.save({"model": nn.Linear(1, 1)}, tmp_path / "layer.pt")
    torch.save([1], tmp_path / "list.pt")
    for name, content in {
        "half": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"hello",
        "pickle": b"cos\n",
        "plain": pickle.dumps(1),
    }.items():
        (tmp_path / f"{name}.pt").write_bytes(content)
    for name, message in {
        **dict.fromkeys(("half", "empty", "text", "pickle", "plain"), "no checkpoint, or a damaged one"),
        "script": "an exported model",
        **dict.fromkeys(("weights", "dict", "layer", "list"), "holds no model of Ultralytics"),
    }.items():
        for way in (YOLO, check_weights, describe_checkpoint):
            with pytest.raises(ConfigError, match=message):
                way(str(tmp_path / f"{name}.pt"))


def test_a_refusal_to_load_what_is_not_safe_is_not_called_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not hasattr(tasks, "SAFE_LOAD"):
        pytest.skip("this Ultralytics has no safe load")
    monkeypatch.setattr(tasks, "SAFE_LOAD", True)
    made = tmp_path / "made"
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "unasked.py").write_text("class Foreign: pass")
    with passing_class("unasked", "Foreign") as kind:
        file = checkpoint(tmp_path / "run" / "weights" / "last.pt", more=[kind, Hostile(made)])
    for words in (["resume", f"model={file}"], [f"model={file}"]):
        assert run_command(["train", *words]) == 2
        said = capsys.readouterr().err
        assert "references types outside the supported" in said
        assert "damaged" not in said
    assert not made.exists()
    assert "unasked" not in sys.modules


def test_a_name_that_is_nowhere_is_refused_without_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ask(*_: object, **__: object) -> NoReturn:
        raise AssertionError("asks the network")

    monkeypatch.chdir(tmp_path)
    for name in ("get_github_assets", "safe_download"):
        monkeypatch.setattr(downloads, name, ask)
    assert run_command(["train", "model=yolo11m1.pt", "data=coco8.yaml"]) == 2
    assert "Did you mean 'yolo11m.pt'?" in capsys.readouterr().err
    for way in (YOLO, lambda file: YOLO(TINY_MODEL).train(data="coco8.yaml", pretrained=file)):
        with pytest.raises(ConfigError, match=r"no file 'runs/train/weights/yolo11m1\.pt'\.$"):
            way("runs/train/weights/yolo11m1.pt")


def test_a_name_that_ultralytics_has_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(url: str, file: Path, **_: object) -> None:
        shutil.copy(source, file)

    monkeypatch.chdir(tmp_path)
    source = tmp_path / "tiny.pt"
    ultralytics.YOLO(TINY_MODEL).save(source)
    monkeypatch.setattr(downloads, "safe_download", download)
    for name in ("yolo11n", "yolo11s.pt", "yolov5nu.pt"):
        assert find_weights(name) is None
        assert YOLO(name).task == "detect"
        assert find_weights(name)
    assert find_weights("https://example.com/best.pt") is None
    assert find_weights(MODEL) is None
