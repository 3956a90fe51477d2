"""A run that release 0.1.0 has begun, tests/fixtures/run: two of four epochs with wiou3; it is resumed as it was."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
import torch
from helpers.running import ROOT, shell

from yolo_wiou.cli.checks import describe_checkpoint
from yolo_wiou.data.shapes import ShapesConfig, render_dataset

FIXTURES = ROOT / "tests" / "fixtures"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The run's folder, beside its data and its model; its checkpoint knows where it lies now."""
    run = Path(shutil.copytree(FIXTURES / "run", tmp_path / "runs" / "old"))
    shutil.copy(FIXTURES / "tiny.yaml", tmp_path)
    render_dataset(
        tmp_path / "shapes", ShapesConfig(train=12, val=6, imgsz=64, classes=("disc", "box"), sizes=(0.2, 0.6))
    )
    last = run / "weights" / "last.pt"
    checkpoint = torch.load(last, weights_only=False)
    checkpoint["train_args"] |= {"save_dir": str(run), "project": str(run.parent)}
    torch.save(checkpoint, last)
    return run


def test_its_checkpoint_says_what_it_was_trained_with() -> None:
    said = describe_checkpoint(str(FIXTURES / "run" / "weights" / "last.pt"))
    assert "wiou3 = nonmonotonic(alpha=1.9, delta=3.0) · (1 - iou + wiou)" in said
    assert "running mean 0.957806 after 6 steps, momentum 0.59" in said


def test_it_is_resumed(run: Path) -> None:
    done = shell("-m", "yolo_wiou", "train", "resume", f"model={run / 'weights' / 'last.pt'}", cwd=run.parents[1])
    assert "running mean 0.9578, momentum 0.59" in done.stdout + done.stderr
    rows = list(csv.DictReader((run / "results.csv").open()))
    old = list(csv.DictReader((FIXTURES / "run" / "results.csv").open()))
    assert rows[:2] == old
    assert list(rows[-1]) == list(old[0])  # what is new in this release has no column there
    assert None not in rows[-1].values()
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    state = torch.load(run / "weights" / "last.pt", weights_only=False)["model"].yolo_wiou
    assert state["version"] == 1
    assert state["heads"][""]["steps"] == 12
    assert float(rows[-1]["wiou/running_mean"]) == pytest.approx(state["heads"][""]["mean"], abs=1e-5)
