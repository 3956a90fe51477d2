"""scripts/check_releases.py reads what pytest writes, and scripts/compatibility.py shows what was read."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from helpers.running import shell

ROOT = Path(__file__).parents[1]
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


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import check_releases
    import compatibility

    return check_releases, compatibility


def test_outcomes_of_a_suite(scripts, tmp_path):
    (tmp_path / "test_suite.py").write_text(SUITE)
    env = {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests"))), "YOLO_CONFIG_DIR": str(tmp_path)}
    words = ("-q", "-p", "conftest", "--junitxml=junit.xml", "test_suite.py")
    assert shell("-m", "pytest", *words, cwd=tmp_path, env=env, check=False).returncode == 1
    seen = scripts[0].outcomes((tmp_path / "junit.xml").read_text())
    assert seen == {
        "parity detect": {"outcome": "passed"},
        "parity segment": {"outcome": "stock fails", "note": "ValueError: stock is broken"},
        "parity pose": {"outcome": "failed", "note": "conftest.Failed: ValueError: so is ours"},
        "resume": {"outcome": "failed", "note": "AssertionError: ours is broken"},
        "wiou3": {"outcome": "stock fails", "note": "TypeError: object of type 'int' has no len()"},
        "portable": {"outcome": "failed", "note": 'failed on setup with "OSError: no run"'},
        "safe load": {"outcome": "absent", "note": "this release has no safe load"},
    }


def test_a_suite_that_cannot_start_is_a_row_of_failures(scripts, tmp_path, monkeypatch):
    (tmp_path / "tests" / "training").mkdir(parents=True)
    (tmp_path / "tests" / "conftest.py").write_text("raise ImportError('ContractError: what to do')")
    monkeypatch.setattr(scripts[0], "ROOT", tmp_path)
    seen = scripts[0].run_suite(sys.executable)
    assert list(seen) == scripts[0].CHECKS
    assert all(result["outcome"] == "failed" and "what to do" in result["note"] for result in seen.values())


def test_every_check_has_a_test(scripts):
    """Collected where the suite is: no column of the table is without one, and no marked test without a column."""
    words = ("-m", "release", "-n", "0", "-q", "--collect-only", "--junitxml=/dev/null", "tests/training")
    listed = shell("-c", LISTING, *words, cwd=ROOT).stdout
    assert set(json.loads(listed.splitlines()[-1])) == set(scripts[0].CHECKS)


LISTING = """
import json, pytest, sys

class Listing:
    def pytest_collection_finish(self, session):
        self.checks = [value for item in session.items for key, value in item.user_properties if key == "check"]

listing = Listing()
pytest.main(sys.argv[1:], plugins=[listing])
print(json.dumps(listing.checks))
"""


def test_a_row_takes_the_place_of_its_former_one(scripts, tmp_path, monkeypatch):
    _, compatibility = scripts
    monkeypatch.setattr(compatibility, "DATA", tmp_path / "compatibility")
    monkeypatch.setattr(compatibility, "PAGE", tmp_path / "compatibility.md")
    common = {"date": "2026-01-01", "platform": "Linux", "python": "3.11", "torch": "2.9", "numpy": "2.0"}
    for release, outcome in (("8.4.10", "failed"), ("8.4.9", "passed"), ("8.4.10", "stock fails")):
        checks = {"resume": {"outcome": outcome, "note": f"was {outcome}"}}
        compatibility.update_release({"release": release, **common, "checks": checks})
    page = (tmp_path / "compatibility.md").read_text(encoding="utf-8")
    assert "| 8.4.9 | ✓ | 2.0 |\n| 8.4.10 | stock fails | 2.0 |\n" in page
    assert "- 8.4.10, resume: was stock fails\n" in page
    assert "Ran on 2026-01-01, Linux, Python 3.11, torch 2.9.\n" in page


def test_models_and_kills_are_shown_where_they_were_checked(scripts, tmp_path, monkeypatch):
    _, compatibility = scripts
    monkeypatch.setattr(compatibility, "DATA", tmp_path)
    assert "##" not in compatibility.page()
    rows = [
        {"family": "YOLO11", "task": "obb", "model": "yolo11n-obb", "parity": True, "wiou3": True, "note": ""},
        {
            "family": "RT-DETR",
            "task": "detect",
            "model": "rtdetr-l",
            "parity": False,
            "wiou3": True,
            "note": "no parity",
        },
    ]
    (tmp_path / "families.json").write_text(json.dumps({"rows": rows}))
    (tmp_path / "chaos.json").write_text(json.dumps({"each_epoch_once": True, "report": [1, 2]}))
    page = compatibility.page()
    assert "| YOLO11 | obb | yolo11n-obb | ✓ | ✓ |\n| RT-DETR | detect | rtdetr-l | **fails** | ✓ |\n" in page
    assert "- rtdetr-l: no parity\n" in page
    assert "| each epoch once | yes |\n" in page
    assert "report" not in page
