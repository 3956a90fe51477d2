"""The experiments behind docs/reliability.md, as commands; the page shows what they saw."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from helpers.running import ROOT, shell

SCRIPTS = ROOT / "scripts" / "reliability"


def experiment(out: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run experiments, what they saw goes to a folder."""
    script = str(SCRIPTS / "reliability.py")
    return shell(script, f"out={out}", *words, cwd=out.parent, check=False, timeout=1800)


def test_a_name_that_is_none_is_told(tmp_path: Path) -> None:
    done = experiment(tmp_path / "out", "full-disc")
    assert done.returncode == 2
    assert "full-disc" in done.stderr
    assert "full-disk" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("random-kills", "kills=8"),
        ("kills-at-saves",),
        ("kills-at-the-end",),
        ("full-disk",),
        ("two-processes",),
        ("moved-and-copied",),
        ("damaged-results",),
        ("foreign-checkpoints",),
        ("dead-ranks",),
        ("thousand-classes",),
    ],
    ids=lambda words: words[0],
)
def test_nothing_is_lost(words: tuple[str, ...], tmp_path: Path) -> None:
    done = experiment(tmp_path / "out", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads((tmp_path / "out" / f"{words[0]}.json").read_text(encoding="utf-8"))["rows"]
    assert rows
    assert not any(row["lost"] for row in rows)


def test_the_page_shows_what_was_lost(tmp_path: Path) -> None:
    good, bad = (
        {"tried": "a", "seen": "it goes on", "lost": ""},
        {"tried": "b", "seen": "exit code 1", "lost": "an epoch"},
    )
    seen = {"date": "2026-01-01", "platform": "Linux", "rows": [good, bad]}
    (tmp_path / "full-disk.json").write_text(json.dumps(seen))
    shell(str(SCRIPTS / "reliability_page.py"), str(tmp_path), str(tmp_path / "page.md"), cwd=tmp_path)
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "| a | it goes on | nothing |\n| b | exit code 1 | **an epoch** |\n" in page
    assert "*2026-01-01, Linux.*" in page
    assert page.count("\n## ") == 1
