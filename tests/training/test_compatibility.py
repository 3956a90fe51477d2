"""A broken contract with Ultralytics is named, with the release and what to do, before a run relies on it."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.running import MODEL
from torch import Tensor, nn
from ultralytics.utils import DEFAULT_CFG
from ultralytics.utils.loss import BboxLoss, RotatedBboxLoss, v8DetectionLoss

from yolo_wiou import RTDETR, YOLO
from yolo_wiou.errors import ContractError
from yolo_wiou.losses.presets import load_config
from yolo_wiou.training.compatibility import check_contract, check_head
from yolo_wiou.training.criterion import install


def test_a_changed_box_loss_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    check_contract()

    def halved(self: BboxLoss, *args: Any) -> tuple[Tensor, Tensor]:
        iou, distance = stock(self, *args)
        return iou / 2, distance

    for kind in (BboxLoss, RotatedBboxLoss):
        with monkeypatch.context() as patch:
            stock = kind.forward
            halved.__signature__ = inspect.signature(stock)  # type: ignore[attr-defined]
            patch.setattr(kind, "forward", halved)
            with pytest.raises(ContractError, match=rf"computes {kind.__name__} in its own way.*pip install"):
                check_contract()
    check_contract()


def test_a_changed_head_or_detr_loss_is_named(detr: Path) -> None:
    model = YOLO(MODEL).model
    model.args = DEFAULT_CFG
    criterion = v8DetectionLoss(model)
    criterion.bce = nn.BCEWithLogitsLoss(reduction="mean")
    with pytest.raises(ContractError, match="reduces the BCE of v8DetectionLoss by itself"):
        install(criterion, load_config("wiou3"))
    model = RTDETR(str(detr)).model
    model.nc = 2
    criterion = model.init_criterion()
    stock = criterion._get_loss_bbox
    criterion._get_loss_bbox = lambda p, t, postfix="": {k: v * 3 for k, v in stock(p, t, postfix).items()}
    with pytest.raises(ContractError, match="computes RT-DETR's box loss in its own way"):
        install(criterion, load_config("wiou3"))


def a_head(**parts: Any) -> SimpleNamespace:
    """What a head of Ultralytics is made of, with some parts exchanged."""
    bce = nn.BCEWithLogitsLoss(reduction="none")
    return SimpleNamespace(**{"bbox_loss": BboxLoss(16), "assigner": nn.Identity(), "bce": bce, **parts})


@pytest.mark.parametrize(
    "parts",
    [{}, {"bbox_loss": RotatedBboxLoss(16)}, {"bce": nn.Identity()}],
    ids=["upright", "rotated", "a BCE of one's own"],
)
def test_a_head_of_the_parts_that_we_know_is_taken(parts: dict[str, Any]) -> None:
    check_head(a_head(**parts))
    with pytest.raises(ContractError, match="an assigner in SimpleNamespace that is no module"):
        check_head(a_head(**{**parts, "assigner": None}))  # it is the parts that were looked at


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"bbox_loss": nn.Identity()}, "has a Identity in SimpleNamespace"),
        ({"assigner": lambda *boxes: boxes}, "has an assigner in SimpleNamespace that is no module"),
        ({"bce": nn.BCEWithLogitsLoss()}, "reduces the BCE of SimpleNamespace by itself"),
    ],
)
def test_a_head_of_other_parts_is_named_with_the_part(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ContractError, match=rf"{message}, which this yolo-wiou does not know\. Update yolo-wiou"):
        check_head(a_head(**parts))
