"""RT-DETR: every layer has the loss in place of GIoU, the main one moves the mean; L1, classes and matching stay."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import ultralytics
from helpers import families
from helpers.running import TINY, columns
from torch import Tensor
from ultralytics.utils.metrics import bbox_iou

from yolo_wiou import RTDETR, YOLO, ConfigError, RTDETRTrainer
from yolo_wiou.losses.presets import available_losses, load_config
from yolo_wiou.training.criterion import install


def step(
    detr: Path, loss: Any, batch: dict[str, Any] | None = None
) -> tuple[Any, dict[str, Tensor], list[tuple[Tensor, Tensor, str]], Any]:
    """Install a loss, run a batch: the box loss, the criterion's terms, what the stock L1 term got, the model."""
    torch.manual_seed(0)
    model = RTDETR(str(detr)).model.train()
    model.nc = 80
    model.criterion = model.init_criterion()
    calls: list[tuple[Tensor, Tensor, str]] = []
    terms: dict[str, Tensor] = {}
    head: Any = install(model.criterion, load_config(loss))[""] if loss else model.criterion
    if loss:
        head.box_loss.self_advancing = False
        head.box_loss.running_mean.mean.fill_(0.9)
        stock = head.stock

        def noted(pred: Tensor, target: Tensor, postfix: str) -> Any:
            calls.append((pred, target, postfix))
            return stock(pred, target, postfix)

        head.stock = noted
    model.criterion.register_forward_hook(lambda _m, _i, out: terms.update(out))
    torch.manual_seed(0)
    model.loss(batch or families.batch_for(model, "detect", 64))[0].backward()
    return head, terms, calls, model


def test_main_layer_alone_moves_the_mean_and_every_layer_has_the_loss(detr: Path) -> None:
    head, terms, calls, _ = step(detr, "wiou3")
    assert [postfix for *_, postfix in calls] == [""] * 4 + ["_dn"] * 3  # three decoder layers; the encoder's proposals
    pred, target, _ = calls[0]
    iou = bbox_iou(pred.detach(), target, xywh=True).flatten()
    assert head.box_loss.running_mean.seen[:2].tolist() == pytest.approx([(1 - iou).sum().item(), 4], rel=1e-4)
    stock = step(detr, None)[1]
    assert terms.keys() == stock.keys()
    for key in stock:
        assert torch.equal(terms[key], stock[key]) == ("giou" not in key), key


def test_has_the_formula_in_pixels_of_an_image_that_is_not_square(detr: Path) -> None:
    head, _, calls, _ = step(detr, "nwd")
    head.imgsz = 96, 160
    pred, target, _ = calls[0]
    pixels = torch.tensor([160.0, 96.0])
    centre = ((pred[:, :2] - target[:, :2]) * pixels).square().sum(1)
    size = ((pred[:, 2:] - target[:, 2:]) * pixels).square().sum(1)
    expected = 2 * (1 - torch.exp(-(centre + size / 4).sqrt() / 12.8)).mean()
    assert head(pred, target)["loss_giou"].item() == pytest.approx(expected.item(), rel=1e-4)


def test_gain_weighs_l1_of_the_same_box(detr: Path) -> None:
    plain: dict[str, Any] = {"penalty": "wiou", "gain": {"name": "nonmonotonic"}}
    _, terms, calls, _ = step(detr, {**plain, "gain": {**plain["gain"], "dfl": True}})
    pred, target, _ = calls[0]  # boxes times their gains
    assert terms["loss_bbox"].item() == pytest.approx(5 * (pred - target).abs().sum().item() / 4, rel=1e-5)
    unweighed, unweighed_terms, plain_calls, _ = step(detr, plain)
    gain = unweighed.box_loss.gain_and_loss(unweighed.pair(*plain_calls[0][:2]))[0]
    torch.testing.assert_close(pred, plain_calls[0][0] * gain[:, None])
    assert terms["loss_giou"].item() == unweighed_terms["loss_giou"].item()


def test_main_layer_alone_sets_the_factor_of_the_first_step(detr: Path) -> None:
    head, _, calls, _ = step(detr, {"gain": {"name": "iou-balanced", "lam": 1, "norm": "first"}})
    pred, target, _ = calls[0]
    iou = bbox_iou(pred.detach(), target, xywh=True).flatten()
    head.box_loss.running_mean.advance()
    sums = [(1 - iou).sum().item(), (iou * (1 - iou)).sum().item()]
    assert head.box_loss.running_mean.first.tolist() == pytest.approx(sums, rel=1e-4)


def test_a_weighting_takes_the_varifocal_loss_s_place_in_every_layer(detr: Path) -> None:
    """Stock's own settings give stock's value; MAL another, and neither touches the boxes or the state_dict."""
    criterion, stock, _, _ = step(detr, None)
    settings = {key: getattr(criterion.vfl, key, default) for key, default in (("alpha", 0.75), ("gamma", 2.0))}
    own = {"penalty": "giou", "cls_weighting": {"name": "varifocal", **settings}}
    for loss, is_stock in ((own, True), ("mal", False)):
        _, terms, _, model = step(detr, loss)
        assert model.state_dict().keys() == RTDETR(str(detr)).model.state_dict().keys()
        for key in stock:
            same = terms[key].item() == pytest.approx(stock[key].item(), rel=1e-6)
            assert same == (is_stock or "class" not in key), key


def test_mal_is_that_of_the_matches_ious(detr: Path) -> None:
    model = RTDETR(str(detr)).model.train()
    model.nc = 80
    criterion = model.init_criterion()
    install(criterion, load_config("mal"))
    logits = torch.tensor([[[-1.0, 0.5], [2.0, -3.0]]])
    score, label = torch.tensor([[[0.4, 0.0], [0.0, 0.0]]]), torch.tensor([[[1, 0], [1, 0]]])  # the second has IoU 0
    p = logits.sigmoid().double()
    q = torch.tensor([[[0.4**1.5, 0.0], [0.0, 0.0]]]).double()
    entropy = -q * p.log() - (1 - q) * (1 - p).log()
    expected = torch.where(label > 0, entropy, p**1.5 * entropy).mean(1).sum()
    assert criterion.vfl(logits, score, label).item() == pytest.approx(expected.item(), rel=1e-5)


def test_batch_without_boxes_changes_nothing(detr: Path) -> None:
    batch = {"img": torch.rand(2, 3, 64, 64), "batch_idx": torch.zeros(0), "cls": torch.zeros(0, 1)}
    head, _, _, model = step(detr, "wiou3", {**batch, "bboxes": torch.zeros(0, 4)})
    assert head.box_loss.running_mean.advance().tolist() == [0, 0, 0]
    assert head.box_loss.running_mean.mean.item() == pytest.approx(0.9)
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_state_dict_is_stock(detr: Path) -> None:
    _, _, _, model = step(detr, "wiou3")
    assert model.state_dict().keys() == RTDETR(str(detr)).model.state_dict().keys()


def test_own_loss_is_giou_and_a_run_survives_stop_and_resume(detr: Path, shapes: Path, tmp_path: Path) -> None:
    arguments = {**TINY, "data": shapes, "project": tmp_path}
    ultralytics.RTDETR(str(detr)).train(name="stock", **arguments)
    for loss in ("giou", "ciou", "wiou3"):
        YOLO(str(detr)).train(name=loss, loss=loss, **arguments)
    YOLO(str(detr)).train(name="mal", loss="mal", **{**arguments, "epochs": 1})
    mal = columns(tmp_path / "mal")
    assert all(math.isfinite(value) for values in mal.values() for value in values)
    saved_mal = (tmp_path / "mal" / "weights" / "last.pt").read_bytes()
    assert b"yolo_wiou.training" not in saved_mal  # no class of ours
    stock, giou, ciou, wiou3 = (columns(tmp_path / name) for name in ("stock", "giou", "ciou", "wiou3"))
    assert {c: giou[c] for c in stock if c != "time"} == {c: v for c, v in stock.items() if c != "time"}
    models = [ultralytics.RTDETR(tmp_path / run / "weights" / "best.pt").model for run in ("stock", "giou")]
    assert all(map(torch.equal, *(model.state_dict().values() for model in models)))
    assert len({table["train/giou_loss"][-1] for table in (giou, ciou, wiou3)}) == 3
    assert wiou3["wiou/gain"][-1] != 1 == ciou["wiou/gain"][-1]

    class Interrupt(Exception):
        pass

    def stop(trainer: RTDETRTrainer) -> None:
        if trainer.epoch == 1:
            raise Interrupt

    model = YOLO(str(detr))
    model.add_callback("on_train_batch_end", stop)
    with pytest.raises(Interrupt):
        model.train(name="stopped", loss="wiou3", **arguments)
    last = tmp_path / "stopped" / "weights" / "last.pt"
    assert b"yolo_wiou" in last.read_bytes()  # the state, a plain dict
    assert b"yolo_wiou.training" not in last.read_bytes()  # no class of ours: it loads where this package is not
    saved = ultralytics.RTDETR(last).ckpt["ema"].yolo_wiou["heads"][""]
    resumed = YOLO(last)
    assert type(resumed) is RTDETR
    resumed.train(resume=True)
    assert type(resumed.trainer) is RTDETRTrainer
    assert resumed.model.yolo_wiou["loss"]["name"] == "wiou3"
    assert resumed.model.yolo_wiou["heads"][""]["steps"] == saved["steps"] + 3


def test_takes_every_loss_but_the_switches_of_a_bce() -> None:
    refused = {name for name in available_losses() if not RTDETRTrainer.takes(load_config(name))}
    assert refused == {"trust", "iou-balanced", "iou-balanced-cls", "slide", "ema-slide", "alwa"}
    for name in refused:
        with pytest.raises(ConfigError, match="RT-DETR"):
            RTDETRTrainer.check_loss(load_config(name))
