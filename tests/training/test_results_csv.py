"""results.csv of a run that goes on keeps what is good, whatever has happened to it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ultralytics.utils import LOGGER

from yolo_wiou.training.results_csv import DAMAGED, drop_rows_after


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ("1,0.5\n2,0.4\n3,0.3\n", "1,0.5\n2,0.4\n"),
        ("1,0.5\n2,0.4\n2", "1,0.5\n2,0.4\n"),  # cut off
        ("1,0.5\n2,0.4\n1", "1,0.5\n2,0.4\n"),  # cut off from epoch 12
        ("1,0.5\n", "1,0.5\n"),
        ("", ""),
    ],
)
def test_rows_of_epochs_to_come_are_dropped(rows: str, kept: str, tmp_path: Path) -> None:
    table = tmp_path / "results.csv"
    drop_rows_after(table, 2)
    assert not table.exists()
    table.write_text(f"epoch,wiou/iou\n{rows}")
    drop_rows_after(table, 2)
    assert table.read_text() == f"epoch,wiou/iou\n{kept}"
    assert list(tmp_path.iterdir()) == [table]


HEADER = b"epoch,wiou/iou\n"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (HEADER + b"1,0.5\n\xff\xfe\n2,0.4\n", HEADER + b"1,0.5\n2,0.4\n", "1 of 3 rows"),  # not UTF-8
        (HEADER + b"1,0.5\nsome,text\n,\n2,0.4\n", HEADER + b"1,0.5\n2,0.4\n", "2 of 4 rows"),
        (HEADER + b"1,0.5\n1,0.6\n2,0.4\n3,0.3\n", HEADER + b"1,0.6\n2,0.4\n", None),  # two processes wrote it
        (b"epo", None, "has lost its header"),
        (b"", None, "has lost its header"),
        (b"\xff\xfe\x00epoch\n1,0.5\n", None, "has lost its header"),
        (b"epoch,wiou/\xff\n1,0.5\n", None, "has lost its header"),
    ],
)
def test_what_is_damaged_is_kept_aside_and_said(
    before: bytes, after: bytes | None, said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(LOGGER, "warning", lambda message, *_: warnings.append(message))
    table = tmp_path / "results.csv"
    table.write_bytes(before)
    drop_rows_after(table, 2)
    assert (table.read_bytes() if table.exists() else None) == after
    aside = tmp_path / DAMAGED
    assert (aside.read_bytes() if aside.exists() else None) == (before if said else None)
    assert len(warnings) == bool(said)
    assert all(said and said in warning for warning in warnings)
