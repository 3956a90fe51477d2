"""`yolo-wiou checks`: the self-test finds what is wrong; a checkpoint tells what it was trained with."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch
import ultralytics
from helpers.audits import a_report
from helpers.running import MODEL, TINY, shell

from yolo_wiou import YOLO, ConfigError
from yolo_wiou.cli.checks import check_installation, describe_checkpoint
from yolo_wiou.cli.main import run_command
from yolo_wiou.errors import ContractError
from yolo_wiou.losses.presets import load_config
from yolo_wiou.training import selftest
from yolo_wiou.training.bbox_loss import IoUTermMixin
from yolo_wiou.training.label_history import HISTORY, LABELS, RECORD

FIXTURE = Path(__file__).parents[1] / "fixtures" / "run"


@pytest.mark.parametrize("loss", ["wiou3", "ciou", "mpdiou"])
def test_the_installed_loss_has_the_value_of_its_formula_and_not_that_of_stock(loss: str) -> None:
    config = load_config(loss)
    result = selftest.self_test(config)
    assert result.installed == pytest.approx(result.formula, rel=1e-5)
    assert (result.installed == result.stock) == (loss == "ciou")
    assert f"{result.installed:.6f} with {loss} on it" in check_installation(config)


def test_a_neutral_setting_is_no_broken_installation() -> None:
    neutral = load_config("ciou", {"gain.name": "iou-power", "gain.gamma": 0})
    assert "with ciou* on it" in check_installation(neutral)


def test_a_loss_that_is_not_active_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "install", lambda criterion, config: {})
    with pytest.raises(ContractError, match="than its formula"):
        check_installation(load_config("wiou3"))


def test_a_loss_in_another_unit_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = IoUTermMixin.pair
    monkeypatch.setattr(IoUTermMixin, "pair", lambda self, p, t, stride=1.0, imgsz=None: pair(self, p, t, 1.0, imgsz))
    with pytest.raises(ContractError, match="than its formula"):
        check_installation(load_config("nwd"))


@pytest.mark.parametrize(
    "broken", [ImportError("no torchvision"), RuntimeError("operator torchvision::nms does not exist")]
)
@pytest.mark.parametrize("command", ["checks", "train"])
def test_a_torchvision_of_another_pytorch_is_named(
    broken: Exception,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    def fails(*args: object) -> NoReturn:
        raise broken

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torchvision.ops.nms", fails)
    assert run_command([command]) == 2
    said = capsys.readouterr()
    assert f"torchvision does not work with torch {torch.__version__} on cpu: {broken}." in said.err
    assert said.out + caplog.text == ""  # nor that this is the demo
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_says_what_it_was_trained_with(shapes: Path, tmp_path: Path) -> None:
    for name, kind, loss in (("ours", YOLO, {"loss": "wiou3"}), ("stock", ultralytics.YOLO, {})):
        kind(MODEL).train(data=shapes, project=tmp_path, name=name, **{**TINY, "epochs": 1}, **loss)
    ours = describe_checkpoint(str(tmp_path / "ours" / "weights" / "best.pt"))
    assert "wiou3 = nonmonotonic(alpha=1.9, delta=3.0) · (1 - iou + wiou)" in ours
    assert "after 3 steps" in ours
    assert "stock Ultralytics" in describe_checkpoint(str(tmp_path / "stock" / "weights" / "best.pt"))
    assert "wiou3" in shell("-m", "yolo_wiou", "checks", "model=ours/weights/best.pt", cwd=tmp_path).stdout


def test_no_file_and_no_checkpoint_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no file 'nothing\.pt'"):
        describe_checkpoint("nothing.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(ConfigError, match="is no checkpoint"):
        describe_checkpoint(str(tmp_path / "text.pt"))


def test_a_run_says_what_it_recorded_of_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(FIXTURE, tmp_path / "run")
    assert run_command(["checks", f"run={tmp_path / 'run'}"]) == 0
    assert "labels: nothing recorded; audit=true records" in capsys.readouterr().out
    (tmp_path / "run" / LABELS).write_text("image,line,class,cx,cy,w,h\na.jpg,1,0,0.5,0.5,0.5,0.5\n")
    np.zeros((3, 1), RECORD).tofile(tmp_path / "run" / HISTORY)
    assert run_command(["checks", f"model={tmp_path / 'run'}"]) == 0
    said = capsys.readouterr().out
    assert "last.pt: " in said
    assert f"1 recorded over 3 epochs, which counts in yolo-wiou audit run={tmp_path / 'run'}" in said


def test_an_audit_says_what_it_found(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = a_report(shapes)
    report.save(tmp_path)
    assert run_command(["checks", f"run={tmp_path}"]) == 0
    said = capsys.readouterr().out
    assert f"audit of the train labels of {shapes} by best.pt, 12 images." in said
    assert report.sentence in said
    (tmp_path / "audit.json").write_text("[]")
    assert run_command(["checks", f"run={tmp_path}"]) == 2
    assert "is no audit's, or damaged" in capsys.readouterr().err


def test_a_folder_of_something_else_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["checks", f"run={tmp_path}"]) == 2
    assert "is the folder of neither a training (args.yaml) nor an audit (audit.json)" in capsys.readouterr().err
    assert run_command(["checks", f"run={tmp_path / 'nothing'}"]) == 2
