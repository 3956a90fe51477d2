"""Every task: ciou is stock, wiou3 trains and its checkpoint is a stock one; rotated boxes have their own rules."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import ultralytics
from helpers.running import MODELS, TINY, columns, stock
from torch import Tensor
from ultralytics.utils.metrics import probiou

from yolo_wiou import YOLO, ConfigError
from yolo_wiou.losses import BoxLoss, RotatedPair
from yolo_wiou.losses.presets import load_config
from yolo_wiou.losses.rotated import check_rotated

TASK_RUNS = ("stock", "ciou", "wiou3")


@pytest.mark.release("parity {task}")
@pytest.mark.parametrize("task", MODELS)
def test_ciou_is_stock_and_wiou3_trains(task: str, task_data: dict[str, Path], tmp_path: Path) -> None:
    arguments = {**TINY, "data": task_data[task], "project": tmp_path, "epochs": 1}
    with stock():
        ultralytics.YOLO(MODELS[task]).train(name="stock", **arguments)
    for loss in ("ciou", "wiou3"):
        YOLO(MODELS[task]).train(name=loss, loss=loss, **arguments)
    theirs, ciou, wiou3 = (columns(tmp_path / name) for name in ("stock", "ciou", "wiou3"))
    assert {c: ciou[c] for c in theirs if c != "time"} == {c: v for c, v in theirs.items() if c != "time"}
    assert wiou3["train/box_loss"] != theirs["train/box_loss"]
    assert all(math.isfinite(value) for values in wiou3.values() for value in values)
    assert 0 < wiou3["wiou/iou"][0] < 1
    weights = {name: ultralytics.YOLO(tmp_path / name / "weights" / "best.pt").model.state_dict() for name in TASK_RUNS}
    assert all(map(torch.equal, weights["stock"].values(), weights["ciou"].values()))
    assert not all(map(torch.equal, weights["stock"].values(), weights["wiou3"].values()))


@pytest.mark.parametrize(
    ("task", "loss", "weighting"),
    [("segment", "sdiou", "varifocal"), ("pose", "gcd", "ema-slide"), ("obb", "kfiou", "quality-focal")],
)
def test_new_parts_train_in_every_task(
    task: str, loss: str, weighting: str, task_data: dict[str, Path], tmp_path: Path
) -> None:
    model = YOLO(MODELS[task])
    arguments = {**TINY, "data": task_data[task], "project": tmp_path, "name": loss, "epochs": 1}
    model.train(loss=loss, **{"loss.cls_weighting.name": weighting}, **arguments)
    assert all(math.isfinite(value) for values in columns(tmp_path / loss).values() for value in values)
    assert model.model.yolo_wiou["loss"]["cls_weighting"]["name"] == weighting
    assert ultralytics.YOLO(tmp_path / loss / "weights" / "best.pt").task == task


def test_switches_in_rotated_boxes(task_data: dict[str, Path], tmp_path: Path) -> None:
    """IoU-balanced classification takes the overlap of the head's own boxes, here ProbIoU."""
    for loss in ("iou-balanced-cls", "alwa"):
        YOLO(MODELS["obb"]).train(
            data=task_data["obb"], loss=loss, project=tmp_path, name=loss, **{**TINY, "epochs": 1}
        )
        assert all(math.isfinite(value) for values in columns(tmp_path / loss).values() for value in values)


def rotated(n: int = 40) -> tuple[Tensor, Tensor]:
    """Predictions and targets, (n, 5) xywhr float64, not square."""
    g = torch.Generator().manual_seed(0)
    target = torch.rand(n, 5, generator=g, dtype=torch.float64) * torch.tensor([20, 20, 8, 3, 3]) + torch.tensor(
        [0, 0, 4, 2, 0]
    )
    return target + torch.randn(n, 5, generator=g, dtype=torch.float64) * torch.tensor([1, 1, 0.5, 0.3, 0.2]), target


def test_hull_diameter_is_the_longest_distance_of_corners_and_turns_with_the_boxes() -> None:
    pair = RotatedPair(torch.tensor([[0.0, 0, 6, 2, 0]]), torch.tensor([[10.0, 0, 2, 6, math.pi / 2]]), probiou)
    assert pair.diagonal2.item() == pytest.approx(16**2 + 2**2)  # from (-3, -1) to (13, 1)
    pred, target = rotated()
    for angle in (0.3, 1.1):
        turn = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]).double()
        both = [torch.cat((box[:, :2] @ turn, box[:, 2:4], box[:, 4:] + angle), 1) for box in (pred, target)]
        torch.testing.assert_close(
            RotatedPair(both[0], both[1], probiou).diagonal2, RotatedPair(pred, target, probiou).diagonal2
        )
    assert (RotatedPair(pred, target, probiou).distance2 <= RotatedPair(pred, target, probiou).diagonal2).all()


def test_rotated_losses_follow_the_formula_over_probiou() -> None:
    pred, target = rotated()
    similarity = probiou(pred, target).squeeze(-1)
    pair = RotatedPair(pred, target, probiou)
    attention = (pair.distance2 / pair.diagonal2).exp()
    expected = {"iou": 1 - similarity, "wiou1": attention * (1 - similarity), "alpha-iou": 1 - similarity**3}
    for name, value in expected.items():
        torch.testing.assert_close(BoxLoss(load_config(name)).gain_and_loss(pair)[1], value, rtol=1e-6, atol=1e-7)
    small = torch.tensor([1, 1, 0.75, 0.75, 1])
    inner = probiou(pred * small, target * small).squeeze(-1)
    torch.testing.assert_close(
        BoxLoss(load_config("inner-iou")).gain_and_loss(pair)[1], 1 - inner, rtol=1e-6, atol=1e-7
    )


def test_every_preset_is_meaningful_or_refused_by_name_for_rotated_boxes(
    task_data: dict[str, Path], tmp_path: Path
) -> None:
    refused = []
    for name in (
        "iou",
        "ciou",
        "diou",
        "wiou1",
        "wiou2",
        "wiou3",
        "alpha-iou",
        "inner-iou",
        "focaler-iou",
        "inner-wiou3",
        "nwd",
        "iou-nwd",
        "kld",
        "gwd",
        "kfiou",
    ):
        check_rotated(load_config(name))
    for name in ("giou", "eiou", "siou", "mpdiou", "shape-iou", "piou", "interpiou", "gcd", "focal-l1", "ciou-v3"):
        with pytest.raises(ConfigError, match="upright boxes") as error:
            check_rotated(load_config(name))
        refused.append(str(error.value))
        assert "se " in refused[-1]
    with pytest.raises(ConfigError, match="penalty 'siou' needs upright boxes"):
        YOLO(MODELS["obb"]).train(data=task_data["obb"], loss="siou", project=tmp_path, **TINY)
    assert not list(tmp_path.iterdir())
