"""Files are written at once, by nobody's leave but the user's, and leave nothing of a failure."""

from __future__ import annotations

import os
import re
import stat
import sys
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NoReturn

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from yolo_wiou import ConfigError
from yolo_wiou.files import DRAFT, RESERVED, check_folder, file_name, forget_drafts, read_mapping, write_whole

LAUGHS = "a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]\n"
LAUGHS += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
"""A billion laughs, and nine times as many."""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS, "holds more than 1,000,000 bytes or 100,000 values"),
        ("a: &a [*a]", "holds more than"),
        ("#" + "x" * 1_000_000, "holds more than"),
        ("a: " + "[" * 100_000, "is nested too deeply to be read"),
        ("a: 2024-13-41", "is not YAML: month must be in 1..12"),
        ("a: !!bool perhaps", "is not YAML"),
        ("a: !!python/object/apply:os.abort []", "could not determine a constructor"),
        ("[a]", "holds no mapping"),
        ("gain:\n  alpha: 2\n  alpha: 3\n", "line 3, column 3: 'alpha' stands in line 2 already"),
        ("a: 1\nb: 2\n'a': 3", "line 3, column 1: 'a' stands in line 1 already"),
        ("a: [1", r"is not YAML: line 1, column 6: expected ',' or '\]'[^\n]*\.$"),
    ],
    ids=lambda text: text[:20],
)
def test_a_file_that_is_no_file_of_settings_is_refused_in_a_sentence(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match=said) as refused:
        read_mapping(tmp_path / "mine.yaml")
    assert len(str(refused.value)) < 1000


def test_an_alias_is_taken(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("a: &a [1, 2]\nb: *a\n")
    assert read_mapping(tmp_path / "mine.yaml") == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize("text", ["a: &a {x: 1}\nb: {<<: *a, x: 2}\n", "a: {x: 1}\nb: {x: 2}\n"])
def test_a_key_may_stand_again_in_another_mapping(text: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    assert read_mapping(tmp_path / "mine.yaml") == {"a": {"x": 1}, "b": {"x": 2}}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8", "utf-8-sig"])
def test_a_file_is_taken_as_any_shell_or_editor_writes_it(encoding: str, tmp_path: Path) -> None:
    """With `>`, Windows' PowerShell writes UTF-16, marked as such."""
    mark = "\ufeff" * encoding.endswith(("le", "be"))
    (tmp_path / "mine.yaml").write_bytes(f"{mark}a: größer\n".encode(encoding))
    assert read_mapping(tmp_path / "mine.yaml") == {"a": "größer"}


def test_what_is_no_text_is_refused_with_its_encoding(tmp_path: Path) -> None:
    for content, encoding in ((b"a: \xff\n", "UTF-8"), (b"\xff\xfea", "UTF-16")):
        (tmp_path / "mine.yaml").write_bytes(content)
        with pytest.raises(ConfigError, match=f"is not YAML in {encoding}"):
            read_mapping(tmp_path / "mine.yaml")


LABELS = st.one_of(
    st.text(),
    st.text(alphabet="./\\ \0:coNanul1é"),
    st.sampled_from(
        ["", ".", "..", "...", "../..", "/etc", "C:\\x", "con", "NUL.yaml", "com1", "lpt9.txt", "a.", "ä" * 300]
    ),
)


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(LABELS)
def test_a_label_becomes_one_safe_component(label: str) -> None:
    name = file_name(label)
    assert PurePosixPath(name).parts == PureWindowsPath(name).parts == (name,)
    assert name.rstrip(". ") == name
    assert name.isprintable()
    assert len(name.encode()) <= 200
    assert name.partition(".")[0].lower() not in {"con", "prn", "aux", "nul", *(f"com{i}" for i in range(10))}
    assert name == file_name(label)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9*=., /+-]{0,60}[A-Za-z0-9*]", fullmatch=True))
def test_an_ordinary_label_is_its_own_folder_as_it_always_was(label: str) -> None:
    assume(not RESERVED.match(label))
    assert file_name(label) == re.sub(r"[^\w.=+-]", "_", label)


@given(st.text(min_size=250, max_size=300), st.text(min_size=1, max_size=5))
def test_long_labels_are_told_apart_by_their_ends(label: str, end: str) -> None:
    assert file_name(label + end) != file_name(label)


def test_a_file_has_the_mode_that_a_plain_open_gives(tmp_path: Path) -> None:
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


def test_a_copy_that_was_moved_aside_is_no_leftover(tmp_path: Path) -> None:
    """Whoever was killed just then has it nowhere else."""
    (tmp_path / f".corrected.1{DRAFT}").mkdir()
    (tmp_path / f".last.pt.1{DRAFT}").touch()
    forget_drafts(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f".corrected.1{DRAFT}"]


def test_a_planted_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_a_failure_leaves_the_old_file_and_nothing_else(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "results.json"
    file.write_text("old")

    def full(*_: object) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, moment, full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(file, "new")
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_text() == "old"


def test_drafts_of_killed_writers_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    monkeypatch.setattr(os, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_whole(tmp_path / "loss.yaml", "half")
    monkeypatch.undo()
    (tmp_path / ".mine").touch()
    assert len(list(tmp_path.iterdir())) == 2
    forget_drafts(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / ".mine"]


def test_a_folder_that_can_be_made_leaves_no_trace_of_the_trial(tmp_path: Path) -> None:
    check_folder(tmp_path / "a" / "b", "out=a/b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_a_folder_where_modes_permit_what_the_system_refuses_is_told() -> None:
    with pytest.raises(ConfigError, match=r"'out=/proc/x' cannot be made: nothing can be written in '/proc' \("):
        check_folder(Path("/proc/x"), "out=/proc/x")
