"""Every family in every task that regresses boxes: its own loss by name is stock bit for bit, and wiou3 trains."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import ultralytics
from helpers import families
from helpers.running import TINY, columns

from yolo_wiou import RTDETR, YOLO, ConfigError, YOLOWorld
from yolo_wiou.training import model as models
from yolo_wiou.training.families import TRAINERS, DetectionTrainer, WorldTrainer, trainer_for

MATRIX = list(families.models([]))
HEAVY = {"yolov9c-seg.yaml", "rtdetr-l.yaml", "rtdetr-resnet50.yaml"}


def by_model(slow: set[str]) -> pytest.MarkDecorator:
    """All of the matrix, some of it slow."""
    rows = [pytest.param(*row, id=row[1], marks=[pytest.mark.slow] * (row[1] in slow)) for row in MATRIX]
    return pytest.mark.parametrize(("family", "name"), rows)


@pytest.fixture(autouse=True)
def _text_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights of a text encoder are at hand: a fixed vector for each word."""
    monkeypatch.setitem(sys.modules, families.TEXT_MODEL, families.text_stub())


@by_model(slow=HEAVY)
def test_a_step_of_the_criterion(family: str, name: str) -> None:
    row = families.check_step(family, name)
    assert row.parity, "loss, items and gradients of its own loss are not stock's"
    assert row.wiou3, "wiou3 changes nothing, more than the box term, or is not finite"


@by_model(slow={name for _, name in MATRIX})
def test_whole_trainings(family: str, name: str, tmp_path: Path) -> None:
    row = families.check_run(family, name, tmp_path)
    assert (row.parity, row.wiou3) == (True, True)


def test_a_world_model_trains(shapes: Path, tmp_path: Path) -> None:
    model = YOLO("yolov8s-worldv2.yaml")
    model.train(data=shapes, loss="wiou3", project=tmp_path, name="run", **{**TINY, "epochs": 1})
    assert type(model.trainer) is WorldTrainer
    assert 0 < columns(tmp_path / "run")["wiou/iou"][0] < 1
    assert columns(tmp_path / "run")["wiou/gain"] != [1]


def test_ultralytics_classes_become_ours() -> None:
    assert type(YOLO("yolov8s-world.yaml")) is YOLOWorld
    assert type(YOLO("yoloe-11s.yaml")) is models.YOLOE
    assert type(YOLO("yolov8n-rtdetr.yaml")) is RTDETR
    for ours in TRAINERS:
        assert trainer_for(ours.__bases__[-1]) is ours
        assert trainer_for(ours) is ours


def test_what_trains_no_boxes_is_refused_where_a_loss_is_asked_for(shapes: Path, tmp_path: Path) -> None:
    from ultralytics.models.yolo.yoloe import YOLOEVPTrainer

    arguments = {**TINY, "data": shapes, "project": tmp_path}
    with pytest.raises(ConfigError, match="YOLOEVPTrainer trains classification alone"):
        YOLO("yoloe-11s.yaml").train(trainer=YOLOEVPTrainer, loss="wiou3", **arguments)
    with pytest.raises(ConfigError, match="trainer=YOLOEPETrainer"):
        YOLO("yoloe-11s.yaml").train(loss="wiou3", **arguments)
    with pytest.raises(ConfigError, match="ClassificationTrainer has no box loss"):
        YOLO("yolo11n-cls.yaml").train(loss="wiou3", **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ours", [DetectionTrainer, WorldTrainer])
def test_a_user_s_trainer_is_told_what_to_derive_from(ours: type[Any]) -> None:
    stock = ours.__bases__[-1]
    assert trainer_for(type("MyTrainer", (ours,), {})).__name__ == "MyTrainer"
    with pytest.raises(ConfigError, match=rf"derive it from .*class MyTrainer\(yolo_wiou.*{ours.__name__}\)"):
        trainer_for(type("MyTrainer", (stock,), {"__module__": "user"}))


def test_a_stock_trainer_is_taken_as_ours(shapes: Path, tmp_path: Path) -> None:
    model = YOLO("yolo11n.yaml")
    stock = ultralytics.models.yolo.detect.DetectionTrainer
    model.train(trainer=stock, loss="siou", data=shapes, project=tmp_path, name="run", **{**TINY, "epochs": 1})
    assert type(model.trainer) is DetectionTrainer
