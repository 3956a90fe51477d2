"""The promises that hold for every run, on whole trainings."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import ultralytics
from helpers.running import COLUMNS, MODEL, MODELS, TINY, argv_of, columns, shell, stock
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils import DEFAULT_CFG
from ultralytics.utils.loss import v8DetectionLoss

from yolo_wiou import YOLO, FocusedDetectionLoss
from yolo_wiou.training.criterion import unwrap
from yolo_wiou.training.families import trainer_for
from yolo_wiou.training.trainer import BoxLossMixin


@pytest.mark.release("parity detect")
def test_ciou_is_stock_bit_for_bit(shapes: Path, tmp_path: Path) -> None:
    arguments = argv_of(data=shapes, model=MODEL, project=tmp_path, **TINY)
    entrypoint = ("-c", "from ultralytics.cfg import entrypoint; entrypoint()")
    with stock():
        shell(*entrypoint, "train", *arguments, "name=stock", cwd=tmp_path)
    shell("-m", "yolo_wiou", "train", *arguments, "name=ours", "loss=ciou", cwd=tmp_path)
    theirs, ours = columns(tmp_path / "stock"), columns(tmp_path / "ours")
    assert [c for c in ours if c not in theirs] == COLUMNS
    assert {c: ours[c] for c in theirs if c != "time"} == {c: v for c, v in theirs.items() if c != "time"}
    for file in ("last.pt", "best.pt"):
        models = [ultralytics.YOLO(tmp_path / run / "weights" / file).model for run in ("stock", "ours")]
        assert all(map(torch.equal, *(model.state_dict().values() for model in models)))
    assert all(ours[f"wiou/{name}"] == [1, 1] for name in ("gain", "objective_factor", "gradient_ratio"))


class Watch(BoxLossMixin):
    """Writes down what it was fed, and what its state was around validation."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.stream: list[str] = []
        self.around_validation: list[tuple[Any, Any, Any]] = []
        super().__init__(*args, **kwargs)

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        batch = super().preprocess_batch(batch)
        if unwrap(self.model).training:
            self.stream.append(hashlib.sha256(batch["img"].numpy().tobytes()).hexdigest())
        return batch

    def validate(self) -> Any:
        before = {path: mean.export_state() for path, mean in self.means.items()}
        result = super().validate()
        after = {path: mean.export_state() for path, mean in self.means.items()}
        self.around_validation.append((before, after, unwrap(self.ema.ema).criterion))
        return result


@pytest.fixture(params=["detect", "segment", "pose", "obb", "rtdetr"])
def train(
    request: pytest.FixtureRequest, tmp_path: Path, shapes: Path, task_data: dict[str, Path], detr: Path
) -> Callable[..., Any]:
    """Trains a task's model under watch."""

    def train(**arguments: Any) -> Any:
        model = YOLO(detr if request.param == "rtdetr" else MODELS.get(request.param, MODEL))
        trainer = type("WatchedTrainer", (Watch, trainer_for(model._smart_load("trainer"))), {})
        data = task_data.get(request.param, shapes)
        model.train(trainer=trainer, data=data, project=tmp_path, **{**TINY, "epochs": 1, **arguments})
        return model.trainer

    return train


def test_every_loss_sees_the_same_data_no_random_number_is_consumed_and_validation_moves_nothing(
    train: Callable[..., Any],
) -> None:
    seen = {}
    for loss in ("ciou", "wiou3"):
        trainer = train(loss=loss, name=loss)
        seen[loss] = trainer.stream, torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()
        assert len(set(trainer.stream)) == len(trainer.stream) == len(trainer.train_loader)
        ((before, after, criterion),) = trainer.around_validation
        assert before == after
        assert before[""]["mean"] < 1
        in_use = getattr(criterion, "bbox_loss", None) or criterion._get_loss_bbox
        assert in_use is trainer.heads[""]  # what validation computes, it computes with this mean
    assert seen["ciou"] == seen["wiou3"]


@pytest.mark.parametrize("train", ["detect"], indirect=True)
def test_another_seed_is_other_data(train: Callable[..., Any]) -> None:
    streams = [train(loss="wiou3", name=str(seed), seed=seed).stream for seed in (0, 1)]
    assert streams[0] != streams[1]


def batch_of(boxes: torch.Tensor) -> dict[str, torch.Tensor]:
    """Two images' worth of normalised xywh boxes, half each."""
    n = len(boxes)
    return {
        "batch_idx": torch.arange(n) * 2 // max(n, 1),
        "cls": torch.zeros(n, 1),
        "bboxes": boxes,
        "img": torch.rand(2, 3, 64, 64),
    }


@pytest.fixture
def model() -> DetectionModel:
    torch.manual_seed(0)
    model = DetectionModel(MODEL, nc=2, verbose=False)
    model.args = DEFAULT_CFG
    return model


BOXES = torch.tensor([[0.5, 0.5, 0.4, 0.6], [0.3, 0.6, 0.5, 0.3], [0.7, 0.2, 0.2, 0.3], [0.5, 0.4, 0.9, 0.5]])


def test_the_assigner_and_all_other_terms_are_untouched(model: DetectionModel) -> None:
    batch = batch_of(BOXES)
    predictions = model(batch["img"])
    assigned, items = {}, {}
    for name, criterion in (
        ("stock", v8DetectionLoss(model)),
        ("wiou3", FocusedDetectionLoss(model, loss="wiou3")),
        ("dfl", FocusedDetectionLoss(model, loss={"penalty": "wiou", "gain": {"name": "nonmonotonic", "dfl": True}})),
    ):
        criterion.assigner.register_forward_hook(lambda _m, _i, out, name=name: assigned.update({name: out}))
        items[name] = torch.stack([*map(torch.as_tensor, _values(criterion(predictions, batch)[1]))])
    for name in ("wiou3", "dfl"):
        assert all(map(torch.equal, assigned["stock"], assigned[name]))
        assert items[name][0] != items["stock"][0]
        assert items[name][1] == items["stock"][1]
    assert items["wiou3"][2] == items["stock"][2]
    assert items["dfl"][2] != items["stock"][2]


def _values(items: Any) -> Any:
    """Loss items: a dict since 8.4.104, a tensor before."""
    return items.values() if isinstance(items, dict) else items


def test_a_batch_without_boxes_changes_nothing(model: DetectionModel) -> None:
    criterion = FocusedDetectionLoss(model, loss="wiou3")
    batch = batch_of(torch.zeros(0, 4))
    loss = criterion(model(batch["img"]), batch)[0]
    loss.sum().backward()
    state = criterion.bbox_loss.box_loss.running_mean.export_state()
    assert (state["mean"], state["steps"]) == (1.0, 0)
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_an_own_loop_advances_the_mean_by_itself(model: DetectionModel) -> None:
    criterion = FocusedDetectionLoss(model, loss="wiou3")
    batch = batch_of(BOXES)
    for _ in range(3):
        criterion(model(batch["img"]), batch)[0].sum().backward()
    state = criterion.bbox_loss.box_loss.running_mean.export_state()
    assert state["steps"] == 3
    assert math.isclose(state["momentum"], 9.8995e-5, rel_tol=1e-4)
    assert state["mean"] < 1


def test_gain_weighs_dfl_of_the_same_box(model: DetectionModel) -> None:
    """DFL with a gain is the stock DFL with every positive's weight multiplied by its gain."""
    batch = batch_of(BOXES)
    predictions = model(batch["img"])
    criterion = FocusedDetectionLoss(
        model, loss={"penalty": "ciou", "gain": {"name": "iou-power", "gamma": 0, "dfl": True}}
    )
    stock = v8DetectionLoss(model)
    ours, theirs = (torch.stack([*map(torch.as_tensor, _values(c(predictions, batch)[1]))]) for c in (criterion, stock))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)  # γ = 0: a gain of 1
