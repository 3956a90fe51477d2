"""The command `plant`: a copy with errors, what it says of it, and mistakes that write nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolo_wiou.cli.main import run_command
from yolo_wiou.data.planting import PLANTED
from yolo_wiou.data.relabelled import MANIFEST


def test_the_command_says_what_was_planted_and_where(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(["plant", f"data={shapes}", "out=wrong", "split=val", "loose=0.5", "seed=1", "dropped=0"]) == 0
    out = capsys.readouterr().out.splitlines()
    rows = Path("wrong", PLANTED).read_text().splitlines()
    assert out[-2].startswith(f"Planted {len(rows) - 1} errors: ")
    assert f"{sum(',loose,' in row for row in rows)} loose" in out[-2]
    assert "dropped" not in out[-2]
    assert out[-1] == f"Data: {tmp_path / 'wrong' / 'data.yaml'}  truth: {tmp_path / 'wrong' / PLANTED}"
    assert "val: images/val" in Path("wrong", "data.yaml").read_text()
    assert {path.name for path in Path("wrong").iterdir()} == {"data.yaml", PLANTED, "images", "labels", MANIFEST}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("out=there", "plant needs 'data': yolo-wiou plant data=my.yaml out=planted"),
        ("data={shapes}", "plant needs 'out'"),
        ("data={shapes} out=there loose=2", "loose=2 is wrong: it should be greater than or equal to 0 and less than"),
        ("data={shapes} out=there loose=0.9 wrong=0.2", "must not exceed 1 together, not 1.22"),
        ("data={shapes} out=there lose=0.1", "unknown option 'lose'. Did you mean 'loose'?"),
        ("data={shapes} out=there seed=x", "'seed' needs one whole number"),
        ("data={shapes} out=there split=test", "has no split 'test'. Valid: train, val"),
        ("data=nowhere.yaml out=there", "nowhere.yaml"),
        (
            "data={shapes} out={folder}",
            "'out={folder}' holds 'data.yaml', which is not of an earlier copy or was changed since",
        ),
    ],
)
def test_mistakes(
    words: str,
    message: str,
    shapes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(path.name for path in shapes.parent.iterdir())
    assert run_command(["plant", *words.format(shapes=shapes, folder=shapes.parent).split()]) == 2
    assert message.format(folder=shapes.parent) in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert sorted(path.name for path in shapes.parent.iterdir()) == before
