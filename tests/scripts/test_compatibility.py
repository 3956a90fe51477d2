"""scripts/compatibility/: what pytest writes about a release is read, and the page shows what was read."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
import torch
from helpers.release_suite import CHECKS, outcomes, run_suite
from helpers.running import ROOT, shell

SUITE = """
import pytest
from helpers.running import shell, stock

@pytest.mark.release("parity {task}")
@pytest.mark.parametrize("task", ["detect", "segment"])
def test_parity(task, tmp_path):
    with stock():
        if task == "segment":
            shell("-c", "raise ValueError('stock is broken')", cwd=tmp_path)

@pytest.mark.release("resume")
def test_resume(tmp_path):
    assert tmp_path is None, "ours is broken"

@pytest.mark.release("wiou3")
def test_epoch():
    with stock():
        len(3)

@pytest.mark.release("wiou3")
def test_epochs():
    pass

@pytest.fixture
def lost():
    raise OSError("no run")

@pytest.mark.release("portable")
def test_portable(lost):
    pass

@pytest.mark.release("safe load")
def test_safe_load():
    pytest.skip("this release has no safe load")

@pytest.mark.release("parity pose")
def test_shell(tmp_path):
    shell("-c", "raise ValueError('so is ours')", cwd=tmp_path)

def test_of_no_check():
    assert False
"""


def test_outcomes_of_a_suite(tmp_path: Path) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE)
    env = {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests"))), "YOLO_CONFIG_DIR": str(tmp_path)}
    argv = ("-q", "-p", "conftest", "--junitxml=junit.xml", "test_suite.py")
    assert shell("-m", "pytest", *argv, cwd=tmp_path, env=env, check=False).returncode == 1
    seen = outcomes((tmp_path / "junit.xml").read_text())
    assert seen == {
        "parity detect": {"outcome": "passed"},
        "parity segment": {"outcome": "stock fails", "note": "ValueError: stock is broken"},
        "parity pose": {"outcome": "failed", "note": "helpers.running.Failed: ValueError: so is ours"},
        "resume": {"outcome": "failed", "note": "AssertionError: ours is broken"},
        "wiou3": {"outcome": "stock fails", "note": "TypeError: object of type 'int' has no len()"},
        "portable": {"outcome": "failed", "note": 'failed on setup with "OSError: no run"'},
        "safe load": {"outcome": "absent", "note": "this release has no safe load"},
    }


def test_a_suite_that_cannot_start_is_a_row_of_failures(tmp_path: Path) -> None:
    (tmp_path / "tests" / "training").mkdir(parents=True)
    (tmp_path / "tests" / "conftest.py").write_text("raise ImportError('ContractError: what to do')")
    seen = run_suite(sys.executable, tmp_path)
    assert list(seen) == CHECKS
    assert all(result["outcome"] == "failed" and "what to do" in result["note"] for result in seen.values())


def test_every_check_has_a_test() -> None:
    """Collected where the suite is: no column of the table is without one, and no marked test without a column."""
    argv = ("-m", "release", "-n", "0", "-q", "--collect-only", "--junitxml=/dev/null", "tests/training")
    listed = shell("-c", LISTING, *argv, cwd=ROOT).stdout
    assert set(json.loads(listed.splitlines()[-1])) == set(CHECKS)


LISTING = """
import json, pytest, sys

class Listing:
    def pytest_collection_finish(self, session):
        self.checks = [value for item in session.items for key, value in item.user_properties if key == "check"]

listing = Listing()
pytest.main(sys.argv[1:], plugins=[listing])
print(json.dumps(listing.checks))
"""


def page_of(tmp_path: Path, **seen: object) -> str:
    """The page of what the checking scripts have left."""
    for name, content in seen.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    script = str(ROOT / "scripts" / "compatibility" / "compatibility_page.py")
    shell(script, str(tmp_path), str(tmp_path / "page.md"), cwd=tmp_path)
    return (tmp_path / "page.md").read_text(encoding="utf-8")


def test_releases_are_shown_with_what_is_not_simply_passed(tmp_path: Path) -> None:
    common = {"date": "2026-01-01", "platform": "Linux", "python": "3.11", "torch": "2.9", "numpy": "2.0"}
    rows = [
        {"release": "8.4.9", **common, "checks": {"resume": {"outcome": "passed"}}},
        {"release": "8.4.10", **common, "checks": {"resume": {"outcome": "stock fails", "note": "it fails"}}},
    ]
    page = page_of(tmp_path, releases={"rows": rows})
    assert "| 8.4.9 | ✓ | 2.0 |\n| 8.4.10 | stock fails | 2.0 |\n" in page
    assert "- 8.4.10, resume: it fails\n" in page
    assert "Ran on 2026-01-01, Linux, Python 3.11, torch 2.9.\n" in page


def test_models_are_shown_where_they_were_checked(tmp_path: Path) -> None:
    assert "##" not in page_of(tmp_path)
    good = {"family": "YOLO11", "task": "obb", "model": "yolo11n-obb", "parity": True, "wiou3": True, "note": ""}
    bad = {"family": "RT-DETR", "task": "detect", "model": "rtdetr-l", "parity": False, "wiou3": True, "note": "no"}
    page = page_of(tmp_path, families={"rows": [good, bad]})
    assert "| YOLO11 | obb | yolo11n-obb | ✓ | ✓ |\n| RT-DETR | detect | rtdetr-l | **fails** | ✓ |\n" in page
    assert "- rtdetr-l: no\n" in page


GPU = ROOT / "scripts" / "compatibility" / "gpu.py"


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a GPU")
@pytest.mark.parametrize("argument", [[], ["device=mps"]])
def test_without_a_gpu_nothing_is_checked_and_nothing_written(argument: list[str], tmp_path: Path) -> None:
    done = shell(str(GPU), *argument, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "device=cpu" in done.stderr
    assert not (ROOT / "docs" / "compatibility" / "gpu.json").exists()


def test_a_check_says_what_it_saw_or_why_it_did_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(GPU.parent))
    look = importlib.import_module("gpu").look
    assert "2 rank" in look("collectives", "cpu", 120)["note"]
    assert look("two GPUs", "cpu", 60) == {
        "check": "two GPUs",
        "outcome": "not run",
        "note": "needs 2 GPU(s), and there are 0",
    }
    assert "time was over" in look("resume", "cpu", 0)["note"]
    assert "time was over" in look("resume", "cpu", 0.1)["note"]
    failed = look("host syncs", "nowhere", 60)
    assert failed["outcome"] == "failed"
    assert "nowhere" in failed["note"]


STARTS_ANOTHER = """
import subprocess, sys, time
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open(sys.argv[1], "w").write(str(other.pid))
time.sleep(60)
"""


def test_what_a_check_has_started_ends_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(GPU.parent))
    file = tmp_path / "pid"
    assert importlib.import_module("gpu").run([sys.executable, "-c", STARTS_ANOTHER, str(file)], 3) is None
    with contextlib.suppress(psutil.NoSuchProcess):
        other = psutil.Process(int(file.read_text()))
        while other.status() != psutil.STATUS_ZOMBIE:  # nobody may be there to take its leave
            assert time.time() - other.create_time() < 30
            time.sleep(0.1)


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of the checks."""
    monkeypatch.syspath_prepend(str(GPU.parent))
    return importlib.import_module("gpu_checks")


@pytest.mark.parametrize("steps", [8, 16])
def test_two_processes_are_judged_by_what_they_leave(
    steps: int, checks: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trainer of the process that has started them never begins, and has no `amp`."""
    monkeypatch.setattr(checks, "trained", lambda *_, **__: SimpleNamespace())
    monkeypatch.setattr(checks, "saved", lambda trainer: {"steps": steps})
    with pytest.raises(AssertionError, match="16 steps, not 8") if steps == 16 else contextlib.nullcontext():
        assert checks.CHECKS["two GPUs"].run("cuda", tmp_path) == {"note": "8 steps"}


@pytest.mark.parametrize(("amp", "outcome"), [(True, "not run"), ("bf16", "not run"), (False, "passed")])
def test_a_training_in_mixed_precision_that_was_none_has_not_run(
    amp: bool | str, outcome: str, checks: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ultralytics turns it off where it finds that a device cannot."""
    monkeypatch.setattr(checks, "trained", lambda *_, **__: SimpleNamespace(amp=False))
    assert {"outcome": "passed", **checks.training("cuda", tmp_path, amp=amp)}["outcome"] == outcome


@pytest.mark.slow
def test_the_rehearsal_goes_through_all_that_a_processor_can(tmp_path: Path) -> None:
    done = shell(str(GPU), "device=cpu", cwd=tmp_path, timeout=900)
    outcomes = [line.split(": ")[1].split(",")[0] for line in done.stdout.splitlines()[:-1]]
    assert outcomes.count("passed") == 9
    assert outcomes.count("not run") == 4  # mixed precision of both kinds, torch.compile, two GPUs
    assert "nothing is written" in done.stdout


def test_the_page_shows_what_a_gpu_has_said(tmp_path: Path) -> None:
    cell = {"ms": 2.0, "ratio": 0.9, "low": 0.85, "high": 0.95}
    rows = [
        {"check": "resume", "outcome": "passed", "note": "12 steps"},
        {"check": "two GPUs", "outcome": "not run", "note": "needs 2"},
        {"check": "criterion", "outcome": "passed", "note": "", "figures": {"criterion": {"wiou3": cell}}},
    ]
    (tmp_path / "gpu.json").write_text(json.dumps({"machine": {"GPU": "H200"}, "rows": rows}))
    script = str(ROOT / "scripts" / "compatibility" / "compatibility_page.py")
    shell(script, str(tmp_path), str(tmp_path / "page.md"), cwd=tmp_path)
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "saw on GPU H200" in page
    assert "| two GPUs | not run | needs 2 |" in page
    assert "| wiou3 | 0.90 (0.85–0.95) |" in page
