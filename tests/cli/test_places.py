"""The last line of a command says where its files are, as paths that a shell takes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.places import places
from helpers.running import MODEL, TINY, argv_of, shell
from ultralytics import YOLO

from yolo_wiou.cli import main
from yolo_wiou.cli.main import run_command


@pytest.mark.parametrize("folder", ["plain", "with a space", "with 'quotes'"])
def test_pictures_and_tables(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / folder)
    for command, stem in (["curves"], "curves"), (["simulate", "points=2", "iterations=3"], "simulate-diou"):
        assert run_command([*command, "losses=ciou,wiou1", "out=my out"]) == 0
        out = tmp_path / folder / "my out"
        assert places(capsys.readouterr().out) == {"picture": out / f"{stem}.png", "table": out / f"{stem}.csv"}


def test_the_demo_s_results_weights_and_data(tmp_path: Path) -> None:
    small = [*argv_of(**TINY), "shapes.train=8", "shapes.val=4", "shapes.imgsz=64", f"model={MODEL}", "epochs=1"]
    home = tmp_path / "my home"
    home.mkdir()
    arguments = ("train", *small, "noise=0.3", "project=runs of mine", "name=a")
    said = shell("-m", "yolo_wiou", *arguments, cwd=home, env={"YOLO_CONFIG_DIR": str(tmp_path)}).stdout
    found = places(said)
    assert "Next, your own data: yolo-wiou detect train data=my.yaml model=yolo11n.pt loss=wiou3" in said
    assert f"How many of them are found: yolo-wiou audit run='{found['results']}'" in said
    assert set(found) == {"results", "weights", "data"}
    assert all(path.is_absolute() for path in found.values())
    assert (found["results"] / "loss.yaml").is_file()
    assert YOLO(found["weights"]).task == "detect"
    assert (found["data"] / "data.yaml").is_file()
    assert found["data"].parent == home / "datasets"


def test_a_training_on_several_data_sets_has_its_weights_below_its_results(tmp_path: Path) -> None:
    """Its trainer, Ultralytics' MultiTrainer, has no checkpoint of its own: `data="['a.yaml','b.yaml']"`."""
    several = SimpleNamespace(save_dir=tmp_path)
    assert main.places(several) == {"results": tmp_path}
    assert "start it anew" in main.resume_hint(several, started=0.0)
