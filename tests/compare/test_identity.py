"""What a study says of runs that differ in nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.synthetic import write_study

from yolo_wiou.compare.analysis import analyse
from yolo_wiou.compare.findings import Findings
from yolo_wiou.compare.report.html import page
from yolo_wiou.compare.report.text import table
from yolo_wiou.compare.run import ended_runs
from yolo_wiou.files import read_json, write_json

LOSSES = ("ciou", "siou")


def study(folder: Path, seeds: int = 6, **result: Any) -> Path:
    """A study of two losses; `result` is what every run says of itself."""
    write_study(folder, dict.fromkeys(LOSSES, 0.0), seeds=seeds)
    for loss in LOSSES:
        for place in (folder / "runs" / "shapes" / loss).iterdir():
            write_json(place / "run.json", {**read_json(place / "run.json"), "spec": loss})
            write_json(place / "result.json", {**read_json(place / "result.json"), **result})
    return folder


def same_detections(folder: Path, *seeds: int) -> None:
    for seed in seeds:
        base, rival = (folder / "runs" / "shapes" / loss / f"seed{seed}" for loss in LOSSES)
        for file in base.glob("detections-*.npz"):
            shutil.copy(file, rival)


def found(folder: Path) -> Findings:
    return analyse(ended_runs(folder), folder)


@pytest.mark.parametrize("seeds", [2, 6])
def test_runs_of_the_same_weights_get_no_verdict(seeds: int, tmp_path: Path) -> None:
    same_detections(study(tmp_path, seeds, steps=2), *range(seeds))
    findings = found(tmp_path)
    (comparison,) = findings.data["shapes"].comparisons
    assert comparison.verdict == "nothing compared"
    assert (comparison.mean, comparison.interval, comparison.p, comparison.p_holm) == (None, None, None, None)
    assert comparison.sentence == (
        "Nothing was compared between siou and ciou: Under every seed both detect exactly the same, so their weights "
        "have not parted. The longest run took 2 optimizer steps, and the learning rate rises from 0 in the warm-up: "
        "train longer."
    )
    for text in (table(findings), page(findings, ended_runs(tmp_path))):
        assert comparison.sentence in text
        assert "AP points" not in text
        assert "No detectable difference" not in text


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"optimizer": {"name": "SGD", "lr": 0.0, "momentum": 0.9}}, "The learning rate is 0."),
        ({}, "They took few steps, and the learning rate rises from 0"),  # as release 0.1.0 wrote it
    ],
)
def test_it_says_why_weights_have_not_parted(changes: dict[str, Any], why: str, tmp_path: Path) -> None:
    same_detections(study(tmp_path, **changes), *range(6))
    assert why in found(tmp_path).data["shapes"].comparisons[0].sentence


def test_the_baseline_under_another_name_is_told(tmp_path: Path) -> None:
    same_detections(study(tmp_path), *range(6))
    for file in tmp_path.glob("runs/shapes/*/*/run.json"):
        name = file.parent.parent.name
        write_json(file, {**read_json(file), "spec": {"name": name, "penalty": "ciou"}})
    assert found(tmp_path).data["shapes"].comparisons[0].nothing == "siou is ciou under another name."


@pytest.mark.parametrize("rows", [0, 1])
def test_losses_that_find_nothing_are_not_called_equal(rows: int, tmp_path: Path) -> None:
    for number, file in enumerate(study(tmp_path).glob("runs/*/*/*/detections-*.npz")):
        np.savez(file, detections=np.array([[0, 0, 0, 1, 1, 0.3 + number / 100, 0]])[:rows])
    (comparison,) = found(tmp_path).data["shapes"].comparisons
    assert comparison.verdict == "nothing compared"
    assert comparison.nothing == "AP is 0 for both under every seed. Train longer, or start from trained weights."


def test_a_pair_that_is_one_run_twice_is_told(tmp_path: Path) -> None:
    same_detections(study(tmp_path), 1, 4)
    data = found(tmp_path).data["shapes"]
    assert data.comparisons[0].verdict != "nothing compared"
    assert data.warnings == ("siou and ciou detect exactly the same under 2 seeds (1, 4): nothing was compared there.",)
