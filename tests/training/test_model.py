"""The ways in from Python: which class a model is, what `train` takes, and whose trainer it is given."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ultralytics
import yaml
from helpers.running import MODEL, TINY, columns
from ultralytics.utils import LOGGER

from yolo_wiou import RTDETR, YOLO, ConfigError, DetectionTrainer
from yolo_wiou.losses import load_config
from yolo_wiou.training.families import RTDETRTrainer
from yolo_wiou.training.trainer import NOT_ASKED


def test_stock_trainer_argument_of_ultralytics(shapes: Path, tmp_path: Path) -> None:
    """`ultralytics.YOLO(...).train(trainer=DetectionTrainer)`: the design's other way in, twice in one process."""
    for loss in ("wiou1", "siou"):
        model = ultralytics.YOLO(MODEL)
        model.train(
            trainer=DetectionTrainer, data=shapes, loss=loss, project=tmp_path, name=loss, **{**TINY, "epochs": 1}
        )
        assert model.trainer.config.name == loss
        assert yaml.safe_load((tmp_path / loss / "args.yaml").read_text())["loss"] == loss


@pytest.mark.parametrize("own", [{"loss.gain.delta": 7}, {"loss": "wiou3"}])
def test_a_file_of_arguments_names_the_loss_and_words_change_it(
    own: dict[str, Any], shapes: Path, tmp_path: Path
) -> None:
    """Ultralytics reads `cfg=`; what changes the loss changes the file's, not the default."""
    file = tmp_path / "run.yaml"
    file.write_text(f"data: {shapes}\nloss: siou-v3\nloss.gain.delta: 5\n")
    model = YOLO(MODEL)
    model.train(cfg=file, project=tmp_path, name="run", **{**TINY, "epochs": 1}, **own)
    config = model.trainer.config
    assert (config.name, config.gain.delta) == (("wiou3*", 5) if "loss" in own else ("siou-v3*", 7))


@pytest.mark.parametrize("trainer", [functools.partial(DetectionTrainer), lambda **arguments: None])
def test_a_trainer_that_is_no_class_is_named(trainer: Callable[..., Any], shapes: Path) -> None:
    with pytest.raises(ConfigError, match=r"is no class\. For 'loss=' give a trainer class"):
        YOLO(MODEL).train(trainer=trainer, data=shapes, loss="wiou3", **TINY)


def test_the_head_of_weights_says_what_a_model_is_and_not_the_name_of_its_file(detr: Path, tmp_path: Path) -> None:
    for name, kind, source in (("my-rtdetr-rival.pt", YOLO, MODEL), ("plain.pt", RTDETR, detr)):
        kind(source).save(tmp_path / name)
        assert type(YOLO(tmp_path / name)) is kind
    assert type(YOLO(detr)) is RTDETR


def test_several_data_sets_in_a_row(shapes: Path, tmp_path: Path) -> None:
    """Ultralytics trains such runs in processes of its own where it knows no trainer; ours stays."""
    model = YOLO(MODEL)
    arguments = {**TINY, "epochs": 1, "exist_ok": False}
    model.train(data=[str(shapes), str(shapes)], loss="wiou3", project=tmp_path, **arguments)
    runs = sorted(tmp_path.rglob("results.csv"))
    assert len(runs) == 2
    assert all(columns(run.parent)["wiou/gain"][0] != 1 for run in runs)


def test_a_mistake_is_told_for_several_data_sets_too(shapes: Path, tmp_path: Path) -> None:
    """Ultralytics goes on with the next data set, whatever the error."""
    for loss, message in (
        ("wiuo3", "Did you mean 'wiou3'"),
        ({"name": "wiou3", "gain": {"delta": -1}}, "delta"),
    ):
        with pytest.raises(ConfigError, match=message):
            YOLO(MODEL).train(data=[shapes, shapes], loss=loss, project=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("trainer", "stock"), [(DetectionTrainer, "ciou"), (RTDETRTrainer, "giou")])
def test_without_a_loss_a_training_has_ultralytics_own_and_says_so(
    trainer: type[Any], stock: str, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []
    monkeypatch.setattr(LOGGER, "info", lambda message, *_: said.append(message))
    model = MODEL if stock == "ciou" else "rtdetr-resnet50.yaml"
    arguments = {"model": model, "data": shapes, "project": tmp_path, **TINY}
    assert trainer(overrides={**arguments, "name": "none"}).config == load_config(stock)
    assert NOT_ASKED in said
    said.clear()
    trainer(overrides={**arguments, "name": "asked", "loss": stock})
    assert NOT_ASKED not in said
