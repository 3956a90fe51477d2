"""The documentation site, as `make docs` builds it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.running import ROOT

READ = ["Makefile", "mkdocs.yml", "docs", "scripts", "yolo_wiou", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"]


@pytest.mark.slow
@pytest.mark.needs("mkdocs")
def test_a_link_that_leads_nowhere_fails_it(tmp_path: Path) -> None:
    for name in READ:
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)
    with (tmp_path / "docs" / "faq.md").open("a", encoding="utf-8") as page:
        page.write("\n[a](gone.md) [b](losses.md#gone) [c](../cfg/gone.yaml)\n")
    done = subprocess.run(["make", "docs"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode != 0
    for told in ("'gone.md'", "'losses.md#gone'", "'../cfg/gone.yaml'"):
        assert told in done.stderr
