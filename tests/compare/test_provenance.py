"""Where a run comes from."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import torch

from yolo_wiou.compare.provenance import commit, provenance, version_of
from yolo_wiou.version import __version__


def git(folder: Path, *argv: str) -> None:
    who = ("-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *argv], cwd=folder, check=True, capture_output=True)


def test_it_is_json_and_names_the_versions() -> None:
    stored = json.loads(provenance().model_dump_json())
    assert stored["versions"]["yolo-wiou"] == __version__
    assert stored["versions"]["torch"] == version_of("torch")
    assert stored["versions"]["torch"] in (torch.__version__, torch.__version__.partition("+")[0])
    assert stored["processor"]
    assert stored["cores"] >= 1


def test_a_missing_package_has_no_version() -> None:
    assert version_of("no-such-package-anywhere") is None


def test_the_commit_is_the_packages_own(tmp_path: Path) -> None:
    package, elsewhere = tmp_path / "yolo_wiou", tmp_path / "venv" / "lib" / "yolo_wiou"
    for folder in (package, elsewhere):
        folder.mkdir(parents=True)
    assert commit(package) is None  # no checkout at all
    git(tmp_path, "init", "-q")
    (package / "a.py").write_text("")
    git(tmp_path, "add", "yolo_wiou")
    git(tmp_path, "commit", "-qm", "first")
    clean = commit(package)
    assert clean is not None
    assert len(clean) == 12
    assert commit(elsewhere) is None  # it was installed into somebody else's checkout
    (package / "a.py").write_text("changed")
    assert commit(package) == clean + "+"
