"""What is installed on a head, recomputed from what Ultralytics handed to it: units, weights, gains, both heads."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch
from helpers.cost import Count
from helpers.running import TINY, columns
from torch import Tensor
from ultralytics.nn.tasks import DetectionModel, OBBModel
from ultralytics.utils import DEFAULT_CFG
from ultralytics.utils.metrics import probiou

from yolo_wiou import YOLO, available_losses
from yolo_wiou.losses import CLS_WEIGHTINGS, BoxLoss, BoxPair, RotatedPair
from yolo_wiou.losses.positives import AnyPair
from yolo_wiou.losses.presets import load_config
from yolo_wiou.losses.registry import asks
from yolo_wiou.losses.settings import TaskBalance
from yolo_wiou.training.bbox_loss import infer_grid
from yolo_wiou.training.cls_weighting import WeightedBCE
from yolo_wiou.training.criterion import find_heads, install
from yolo_wiou.training.task_balance import ALWA, BalancedGains

BATCH = {
    "batch_idx": torch.tensor([0, 0, 1, 1]),
    "cls": torch.zeros(4, 1),
    "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.6], [0.3, 0.6, 0.5, 0.3], [0.7, 0.2, 0.2, 0.3], [0.5, 0.4, 0.9, 0.5]]),
}

Forward: TypeAlias = tuple[Any, dict[str, Tensor], Any]
"""A model, a batch, and what the model predicts for it."""
Predicted: TypeAlias = tuple[Any, dict[str, Tensor], Any, Count]
"""The same, and what stock does in a step on it."""
TRUSTING = {"penalty": "none", "gain": {"name": "trust", "k": 1.0}}


def build(kind: type[Any] = DetectionModel, yaml: str = "yolo11n.yaml") -> tuple[Any, dict[str, Tensor]]:
    torch.manual_seed(0)
    model = kind(yaml, nc=2, verbose=False)
    model.args = DEFAULT_CFG
    rotated = torch.tensor([[0.3], [0.0], [1.0], [0.5]]) if kind is OBBModel else torch.zeros(4, 0)
    batch = {**BATCH, "bboxes": torch.cat((BATCH["bboxes"], rotated), 1), "img": torch.rand(2, 3, 96, 160)}
    return model, batch


def run(model: Any, batch: dict[str, Tensor], loss: Any, mean: float = 0.7) -> dict[str, tuple[Any, Any, Any]]:
    """Install a loss, run a batch, and return each head's box loss with its arguments and its terms."""
    criterion = model.init_criterion()
    calls = {}
    heads: dict[str, Any] = install(criterion, load_config(loss))
    for path, head in heads.items():
        head.box_loss.self_advancing = False
        head.box_loss.running_mean.mean.fill_(mean)
        head.register_forward_hook(lambda m, args, out, path=path: calls.update({path: (m, args, out)}))
    criterion(model(batch["img"]), batch)[0].sum().backward()
    return calls


@pytest.fixture(scope="module")
def forward() -> Forward:
    """A model, a batch, and what the model predicts for it."""
    model, batch = build()
    return model, batch, model(batch["img"])


@pytest.fixture
def predicted(forward: Forward) -> Iterator[Predicted]:
    """The same, and what stock does in a step on it."""
    model, batch, predictions = forward
    with Count() as stock:
        model.init_criterion()(predictions, batch)[0].sum().backward(retain_graph=True)
    model.zero_grad(set_to_none=True)  # what is there would be added to
    yield model, batch, predictions, stock
    model.zero_grad(set_to_none=True)


@pytest.mark.parametrize("loss", available_losses())
def test_no_loss_waits_for_the_device_more_often_than_stock_or_takes_more_operators(
    loss: str, predicted: Predicted
) -> None:
    """Of a step with the backward pass of the network, 520 are the stock criterion's."""
    model, batch, predictions, stock = predicted
    criterion, config = model.init_criterion(), load_config(loss)
    balance = ALWA(config.task_balance, torch.device("cpu")) if config.task_balance.name == "alwa" else None
    install(criterion, config, balance=balance)
    with Count() as ours:
        criterion(predictions, batch)[0].sum().backward(retain_graph=True)
    assert 0 < ours.syncs <= stock.syncs
    if loss in {"wiou1", "wiou2", "wiou3"}:
        assert ours.total <= stock.total - 90
    else:  # ciou takes the strides of the positives beside the stock term, ALWA its weight; trust, where labels have no
        # numbers, the boxes twice
        assert ours.total <= stock.total + {"ciou": 1, "alwa": 3, "trust": 16}.get(loss, 0)


@pytest.mark.parametrize("weighting", sorted(CLS_WEIGHTINGS.functions.keys() - {"none"}))
def test_a_classification_weighting_adds_its_own_operators_and_nothing_else(
    weighting: str, predicted: Predicted
) -> None:
    """Forward and backward of the whole criterion, beside stock's."""
    model, batch, predictions, _ = predicted
    counts = []
    gain = "trust" if weighting == "gain" else "none"
    for switch in ("none", weighting):
        loss = {"penalty": "siou", "gain": gain, "cls_weighting": switch}
        criterion = model.init_criterion()
        install(criterion, load_config(loss))
        model.zero_grad(set_to_none=True)
        with Count() as counted:
            criterion(predictions, batch)[0].sum().backward(retain_graph=True)
        counts.append(counted)
    plain, weighted = counts
    few = 20 if "logits" in asks(CLS_WEIGHTINGS.functions[weighting]) else 60  # 60 to have the IoU of the positives
    assert plain.total < weighted.total <= plain.total + few
    assert weighted.syncs == plain.syncs


def recomputed(module: Any, args: tuple[Any, ...], loss: Any) -> tuple[float, list[float], list[float]]:
    """IoU term by the formula, box by box, from the head's arguments; and gains and losses of the positives."""
    _, pred, _, target, scores, total, mask = args[:7]
    box_loss = BoxLoss(load_config(loss))
    box_loss.running_mean.mean.fill_(0.7)
    terms, gains, bases = [], [], []
    for image, anchor in mask.nonzero().tolist():
        p, t = pred[image, anchor][None].detach(), target[image, anchor][None]
        stride = [8.0, 16.0, 32.0][sum(anchor >= n for n in (12 * 20, 12 * 20 + 6 * 10))]
        if p.shape[1] == 5:
            floor = {"floor": module.floor} if hasattr(module, "floor") else {}  # since 8.4.84
            pair: AnyPair = RotatedPair(p, t, functools.partial(probiou, **floor))
        else:
            pair = BoxPair.of(p, t, stride, (96.0, 160.0))
        gain, base = box_loss.gain_and_loss(pair)
        gains.append(gain.item())
        bases.append(pair.iou.item())
        terms.append(gain.item() * base.item() * scores[image, anchor].sum().item())
    return sum(terms) / float(total), gains, bases


@pytest.mark.parametrize("loss", ["wiou3", "mpdiou", "nwd", "siou-v3", "inner-focaler-ciou", "piou2"])
def test_the_iou_term_is_the_formula_s_in_the_right_units(loss: str) -> None:
    for module, args, out in run(*build(), loss).values():
        expected, gains, ious = recomputed(module, args, loss)
        assert out[0].item() == pytest.approx(expected, rel=1e-4)
        _, _, _, _, gain, iou_loss = module.seen
        sums = [len(ious) - sum(ious), len(ious), sum(gains)]
        assert [iou_loss.sum().item(), len(iou_loss), gain.sum().item()] == pytest.approx(sums, rel=1e-4)
        if module.box_loss.keeps_mean:
            assert module.box_loss.running_mean.seen.tolist() == pytest.approx(sums, rel=1e-4)


@pytest.mark.parametrize("loss", ["wiou3", "inner-iou", "wiou1"])
def test_rotated_boxes_likewise(loss: str) -> None:
    for module, args, out in run(*build(OBBModel, "yolo11n-obb.yaml"), loss).values():
        assert out[0].item() == pytest.approx(recomputed(module, args, loss)[0], rel=1e-4)


@pytest.mark.parametrize("yaml", ["yolo26n.yaml", "yolov10n.yaml"])
def test_end_to_end_models_have_two_heads_with_a_mean_each(yaml: str) -> None:
    calls = run(*build(yaml=yaml), "wiou3")
    assert set(calls) == {"one2many", "one2one"}
    for module, args, out in calls.values():
        assert out[0].item() == pytest.approx(recomputed(module, args, "wiou3")[0], rel=1e-4)
    one2many, one2one = (calls[path][0].box_loss.running_mean for path in ("one2many", "one2one"))
    assert one2many.seen[1] > one2one.seen[1] > 0


@pytest.mark.parametrize(
    ("kind", "yaml"),
    [(DetectionModel, "yolo11n.yaml"), (DetectionModel, "yolo26n.yaml"), (OBBModel, "yolo11n-obb.yaml")],
)
def test_the_positives_of_an_object_are_judged_together(kind: type[Any], yaml: str) -> None:
    """An object is a box of an image, and its positives share a gain; the weights are those of the reduction."""
    for module, args, out in run(*build(kind, yaml), TRUSTING, mean=0.2).values():
        _, pred, _, target, scores, total, mask = args[:7]
        index = mask.nonzero(as_tuple=True)
        levels = [torch.full((rows * 4,), stride) for rows, stride in ((60, 8.0), (15, 16.0), (4, 32.0))]
        stride = torch.cat(levels)[index[1]]
        pixels = torch.cat((index[0][:, None], (target[index][:, :4] * stride[:, None]).round(decimals=3)), 1)
        of_object = module.objects(index)
        assert torch.equal(of_object.index[:, None] == of_object.index, (pixels[:, None] == pixels).all(-1))
        assert 1 < len(of_object.index.unique()) <= len(pixels)
        assert of_object.index.max() < of_object.count
        pair = module.pair(pred[index].detach(), target[index], stride, torch.tensor([96.0, 160.0]))
        box_loss = BoxLoss(load_config(TRUSTING))
        box_loss.running_mean.mean.fill_(0.2)
        weight = scores.sum(-1)[index]
        gain, loss = box_loss.gain_and_loss(pair, weight, of_object)
        assert out[0].item() == pytest.approx((weight * gain * loss).sum().item() / float(total), rel=1e-4)
        assert len(gain.unique()) > 1
        for number in of_object.index.unique():
            assert len(gain[of_object.index == number].unique()) == 1
        for number in of_object.index.unique():  # in pixels, on whatever level
            assert pair.target_side[of_object.index == number].std(correction=0) < 1e-3


def test_the_gain_weighs_the_distance_term_of_the_same_box() -> None:
    plain = {"penalty": "wiou", "gain": {"name": "nonmonotonic"}}
    weighed = {"penalty": "wiou", "gain": {"name": "nonmonotonic", "dfl": True}}
    ((module, args, _),) = run(*build(), plain).values()
    calls = run(*build(), weighed)
    with torch.no_grad():
        distances = []
        mask = args[6]
        for image, anchor in mask.nonzero().tolist():
            positive = torch.zeros_like(mask)
            positive[image, anchor] = True
            distances.append(module(*args[:6], positive, *args[7:])[1].item())
        ((weighing, _, _),) = calls.values()
        total = weighing(*args)[1].item()
    gains = recomputed(module, args, plain)[1]
    assert total == pytest.approx(sum(g * d for g, d in zip(gains, distances, strict=True)), rel=1e-4)
    assert total != pytest.approx(sum(distances), rel=1e-2)


def test_strides_and_image_size_from_anchor_points_alone() -> None:
    """What releases before 8.4.0 don't pass; two images of a level may be one cell wide."""
    points = [
        torch.stack(torch.meshgrid(torch.arange(w), torch.arange(h), indexing="xy"), -1).reshape(-1, 2) + 0.5
        for h, w in ((12, 20), (6, 10), (3, 5))
    ]
    stride, imgsz = infer_grid(torch.cat(points), torch.tensor([8.0, 16.0, 32.0]))
    assert stride.tolist() == [8.0] * 240 + [16.0] * 60 + [32.0] * 15
    assert imgsz.tolist() == [96.0, 160.0]


@pytest.mark.parametrize("yaml", ["yolo11n.yaml", "yolo26n.yaml"])
def test_the_switches_sit_on_every_head(yaml: str) -> None:
    model, _ = build(yaml=yaml)
    criterion = model.init_criterion()
    install(criterion, load_config("iou-balanced"), balance=None)
    assert all(isinstance(head.bce, WeightedBCE) for _, head in find_heads(criterion))
    criterion = model.init_criterion()
    balance = ALWA(TaskBalance(name="alwa"), torch.device("cpu"))
    install(criterion, load_config("alwa"), balance=balance)
    heads = [head for _, head in find_heads(criterion)]
    assert len(heads) == (1 if yaml == "yolo11n.yaml" else 2)
    assert all(isinstance(head.hyp, BalancedGains) and head.hyp.balance is balance for head in heads)


@pytest.mark.parametrize("yaml", ["yolo26n.yaml", "yolov10n.yaml"])
def test_end_to_end_runs(yaml: str, shapes: Path, tmp_path: Path) -> None:
    import ultralytics

    arguments = {**TINY, "data": shapes, "project": tmp_path, "epochs": 1}
    ultralytics.YOLO(yaml).train(name="stock", **arguments)
    saved = []
    for loss in ("ciou", "wiou3"):
        model = YOLO(yaml)
        model.add_callback("on_model_save", lambda trainer: saved.append(trainer.epoch))
        model.train(name=loss, loss=loss, **arguments)
    assert saved == [0, 0]
    stock, ciou, wiou3 = (columns(tmp_path / name) for name in ("stock", "ciou", "wiou3"))
    assert {c: ciou[c] for c in stock if c != "time"} == {c: v for c, v in stock.items() if c != "time"}
    for name in ("iou", "running_mean", "gain"):
        assert math.isfinite(wiou3[f"wiou/{name}"][0])
        assert wiou3[f"wiou/{name}"] != wiou3[f"wiou/{name}_one2many"]
    momentum = model.model.yolo_wiou["heads"]["one2one"]["momentum"]
    assert 0 < momentum < 1
