"""Files are written at once, by nobody's leave but the user's, and leave nothing of a failure."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from yolo_wiou.files import DRAFT, forget_drafts, write_whole


def test_a_file_has_the_mode_that_a_plain_open_gives(tmp_path):
    plain, file = tmp_path / "plain.txt", tmp_path / "results.json"
    plain.touch()
    write_whole(file, "one")
    assert file.read_text() == "one"
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    file.chmod(0o640)
    write_whole(file, b"two")
    assert file.read_bytes() == b"two"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert sorted(tmp_path.iterdir()) == [plain, file]


def test_a_planted_link_is_not_followed(tmp_path, monkeypatch):
    """Neither at a name that can be guessed, nor at the one that is used."""
    victim, file = tmp_path / "victim", tmp_path / "results.json"
    victim.write_text("mine")
    (tmp_path / f".{file.name}.{os.getpid()}").symlink_to(victim)
    write_whole(file, "one")
    monkeypatch.setattr("secrets.token_hex", lambda _: "guessed")
    (tmp_path / f".{file.name}.guessed{DRAFT}").symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_whole(file, "two")
    assert victim.read_text() == "mine"
    assert file.read_text() == "one"


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(moment, tmp_path, monkeypatch):
    file = tmp_path / "results.json"
    file.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, moment, full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(file, "new")
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_text() == "old"


def test_drafts_of_killed_writers_are_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    monkeypatch.setattr(os, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_whole(tmp_path / "loss.yaml", "half")
    monkeypatch.undo()
    (tmp_path / ".mine").touch()
    assert len(list(tmp_path.iterdir())) == 2
    forget_drafts(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / ".mine"]
