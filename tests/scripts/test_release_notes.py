"""scripts/release_notes.py: a release says what its section of the changelog says, or there is none."""

from __future__ import annotations

from pathlib import Path

from helpers.running import ROOT, shell

from yolo_wiou import __version__

SCRIPT = str(ROOT / "scripts" / "release_notes.py")


def test_the_version_has_a_section(tmp_path: Path) -> None:
    notes = shell(SCRIPT, __version__, cwd=tmp_path).stdout.strip()
    assert f"\n## {__version__} " in (changelog := (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    assert notes
    assert notes in changelog
    assert "\n## " not in notes


def test_a_tag_that_is_not_the_version_is_refused(tmp_path: Path) -> None:
    done = shell(SCRIPT, "99.0.0", cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert "yolo_wiou/version.py is not 99.0.0" in done.stderr
