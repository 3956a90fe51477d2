"""A study that release 0.1.0 has trained, tests/fixtures/study: it goes on, and its report says the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.old_study import copy_study
from helpers.running import shell

from yolo_wiou.cli.compare import read
from yolo_wiou.compare.analysis import analyse
from yolo_wiou.compare.report.html import page, table_of_runs
from yolo_wiou.compare.study import Study

COMMAND = [
    *("data=study-shapes/data.yaml", "model=model.yaml", "losses=ciou,wiou3", "seeds=6", "jobs=2", "out=study"),
    *("imgsz=64", "epochs=30", "batch=8", "nbs=8", "workers=0", "close_mosaic=10", "max_det=20"),
    *("lr0=0.002", "optimizer=AdamW", "warmup_epochs=1"),
]
STATISTICS = {"sd", "interval", "student", "bca", "seeds_and_images", "detectable"}


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The study in a folder beside its data and its model, as the command left it."""
    return copy_study(tmp_path / "old").parent


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every number and word of a JSON value, by its path."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, f"{path}/{key}")
    else:
        yield path, value


def is_same(path: str, then: Any, now: Any) -> bool:
    """To the last bit; what NumPy's and SciPy's statistics give, to the rounding in which their releases differ."""
    may_differ = isinstance(then, float) and STATISTICS & set(path.split("/"))
    return bool(now == (pytest.approx(then, rel=1e-6) if may_differ else then))


def test_it_reports_the_same(kept: Path) -> None:
    study = Study.load(kept / "study")
    records = study.records(kept / "study")
    findings = analyse(records, kept / "study", study.baseline, study.arguments)
    then = dict(leaves(json.loads((kept / "study" / "report.json").read_text())))
    now = dict(leaves(findings.plain()))
    del then["/provenance/command"], now["/provenance/command"]
    assert now.keys() == then.keys()
    assert [path for path in then if not is_same(path, then[path], now[path])] == []
    assert "No detectable difference between wiou3 and ciou: +0.07 AP points" in page(findings, records)
    assert len(table_of_runs(findings).splitlines()) == 25


def test_the_command_still_means_it(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(kept)
    study = read(COMMAND).study
    assert study == Study.load(kept / "study")
    assert study.plain() == json.loads((kept / "study" / "study.json").read_text())
    with study.claim(kept / "study"):  # nothing that has finished is lost
        assert all(run.is_finished(kept / "study") for run in study.runs())


@pytest.mark.slow
def test_it_goes_on(kept: Path) -> None:
    *others, last = Study.load(kept / "study").runs()
    shutil.rmtree(last.folder(kept / "study"))
    before = [run.result(kept / "study") for run in others]
    done = shell("-m", "yolo_wiou", "compare", *COMMAND, cwd=kept)
    assert "Finished: 11." in done.stderr
    assert "12/12 study-shapes, wiou3, seed 5:" in done.stderr
    assert [run.result(kept / "study") for run in others] == before
    assert "6 seeds" in done.stdout
