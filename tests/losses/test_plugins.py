"""Losses of other packages, found through their entry point."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.running import ROOT, TINY, argv_of, shell

LOSS = '''
import torch
from yolo_wiou import GAINS, PENALTIES, BoxPair, FiniteFloat

@PENALTIES.register("corner")
def corner(pair: BoxPair, *, weight: FiniteFloat = 2.0) -> tuple[torch.Tensor, ...]:
    """Squared distance of the centres over the diagonal, times a weight."""
    return (weight * pair.distance2 / pair.diagonal2,)
'''


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with an installed package, as pip lays it out."""
    (tmp_path / "site" / "outside-1.0.dist-info").mkdir(parents=True)
    info = tmp_path / "site" / "outside-1.0.dist-info"
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[yolo_wiou.losses]\noutside = outside\n")
    (tmp_path / "site" / "outside.py").write_text(LOSS)
    return tmp_path / "site"


def environment(site: Path) -> dict[str, str]:
    return {"PYTHONPATH": f"{site}:{ROOT}"}


def test_a_penalty_from_outside_is_a_loss_like_any_other(site: Path, tmp_path: Path, shapes: Path) -> None:
    (tmp_path / "mine.yaml").write_text("penalty: {name: corner, weight: 3}\ngain: nonmonotonic\n")
    arguments = argv_of(data=shapes, model="yolo11n.yaml", loss="mine.yaml", project=tmp_path, name="run", **TINY)
    run = shell("-m", "yolo_wiou", "train", *arguments, cwd=tmp_path, env=environment(site))
    assert "(1 - iou + corner(weight=3.0))" in run.stdout + run.stderr
    assert "corner" in (tmp_path / "run" / "loss.yaml").read_text()


def test_its_settings_are_checked_like_any_other(site: Path, tmp_path: Path) -> None:
    command = ["-m", "yolo_wiou", "train", "data=x.yaml", "loss=wiou3", "loss.penalty.name=corner"]
    run = shell(*command, "loss.penalty.wieght=3", cwd=tmp_path, env=environment(site), check=False)
    assert run.returncode == 2
    assert "Did you mean 'weight'?" in run.stderr


def test_one_that_was_written_for_number_still_works(site: Path, tmp_path: Path) -> None:
    (site / "outside.py").write_text(LOSS.replace("FiniteFloat", "Number"))
    show = "from yolo_wiou import load_loss; print(load_loss({'penalty': 'corner'}))"
    run = shell("-W", "default", "-c", show, cwd=tmp_path, env=environment(site))
    assert "(1 - iou + corner(weight=2.0))" in run.stdout
    assert "DeprecationWarning: yolo_wiou.Number is now FiniteFloat" in run.stderr


def test_a_broken_one_is_named_and_left_out(site: Path, tmp_path: Path) -> None:
    (site / "outside.py").write_text("raise RuntimeError('no licence today')")
    run = shell("-m", "yolo_wiou", "losses", "wiou3", cwd=tmp_path, env=environment(site))
    assert "delta: 3.0" in run.stdout
    assert "'outside'" in run.stderr
    assert "no licence today" in run.stderr


def test_a_name_is_given_once(site: Path, tmp_path: Path) -> None:
    (site / "outside.py").write_text(LOSS.replace('"corner"', '"ciou"'))
    run = shell("-m", "yolo_wiou", "losses", "wiou3", cwd=tmp_path, env=environment(site))
    assert "penalty 'ciou' exists already" in run.stderr
