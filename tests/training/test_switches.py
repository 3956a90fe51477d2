"""What stands beside the box loss: classification weightings and ALWA; and Unified-IoU's schedule."""

from __future__ import annotations

import copy
import math
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import pytest
import torch
from helpers.running import MODEL, TINY, columns
from torch import Tensor, nn

from yolo_wiou import YOLO, ConfigError, FocusedDetectionLoss
from yolo_wiou.losses import CLS_WEIGHTINGS, BoxLoss
from yolo_wiou.losses.cls_weighting import Entries
from yolo_wiou.losses.presets import load_config
from yolo_wiou.losses.settings import Scale, TaskBalance
from yolo_wiou.training.bbox_loss import PluggableBboxLoss
from yolo_wiou.training.cls_weighting import WeightedBCE
from yolo_wiou.training.task_balance import ALWA, BalancedGains

Case: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""Predictions, targets, mask of positives, scores and target scores."""


class Assigner(nn.Module):
    """Gives what it was made with, as the task-aligned assigner does."""

    def __init__(self, targets: Tensor, mask: Tensor) -> None:
        super().__init__()
        self.output = None, targets, None, mask, None

    def forward(self, scores: Tensor | None, boxes: Tensor, *rest: object) -> tuple[Tensor | None, ...]:
        return self.output


def assigned(
    pred: Tensor, targets: Tensor, mask: Tensor, weighting: str = "iou-balanced"
) -> tuple[nn.Module, WeightedBCE]:
    bce = nn.BCEWithLogitsLoss(reduction="none")
    assigner = Assigner(targets, mask)
    box_loss = PluggableBboxLoss(16, BoxLoss(load_config("trust" if weighting == "gain" else "ciou")), torch.ones(1))
    box_loss.box_loss.running_mean.mean.fill_(0.55)
    weighted = WeightedBCE(bce, assigner, box_loss, CLS_WEIGHTINGS.parse(weighting))
    assigner(None, pred)
    return bce, weighted


@pytest.fixture
def case() -> Case:
    """One image of five anchors, three classes; anchors 1 to 3 are positives of IoU 0.5, 1 and 1/3."""
    pred = torch.tensor([[[0, 0, 9, 9], [0, 0, 4, 5], [2, 1, 8, 3], [0, 0, 2, 3], [5, 5, 6, 6]]]).float()
    targets = torch.tensor([[[0, 0, 0, 0], [0, 0, 8, 5], [2, 1, 8, 3], [0, 0, 6, 3], [0, 0, 0, 0]]]).float()
    mask = torch.tensor([[False, True, True, True, False]])
    scores = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    wanted = torch.zeros(1, 5, 3)
    wanted[0, 1, 0], wanted[0, 2, 1], wanted[0, 3, 2] = 0.4, 0.9, 0.2
    return pred, targets, mask, scores, wanted


def test_positive_entries_are_weighted_by_iou_and_their_sum_is_kept(case: Case) -> None:
    pred, targets, mask, scores, wanted = case
    bce, weighted = assigned(pred, targets, mask)
    plain, loss = bce(scores, wanted), weighted(scores, wanted)
    positive = wanted > 0
    torch.testing.assert_close(loss[~positive], plain[~positive], rtol=0, atol=0)  # also a positive anchor's negatives
    torch.testing.assert_close(loss[positive].sum(), plain[positive].sum())
    weight = torch.tensor([0.5, 1.0, 1 / 3]) ** 1.5
    expected = weight * plain[positive] * plain[positive].sum() / (weight * plain[positive]).sum()
    torch.testing.assert_close(loss[positive], expected)


def test_slide_is_about_the_batch_s_mean_iou_and_ema_slide_about_the_running_one(case: Case) -> None:
    """Mean IoU of the case (1/2 + 1 + 1/3)/3 = 0.611, running mean 0.45; targets 0.4, 0.9 and 0.2."""
    pred, targets, mask, scores, wanted = case
    for name, near in (("slide", 1.0), ("ema-slide", math.exp(0.55))):
        bce, weighted = assigned(pred, targets, mask, name)
        ratio = weighted(scores, wanted) / bce(scores, wanted)
        torch.testing.assert_close(ratio[wanted > 0], torch.tensor([near, math.exp(0.1), 1.0]))
        torch.testing.assert_close(ratio[wanted == 0], torch.ones(12))


@pytest.mark.parametrize("name", ["varifocal", "quality-focal", "mal"])
def test_a_weighting_of_all_entries_takes_the_bce_s_place_after_an_assignment(case: Case, name: str) -> None:
    pred, targets, mask, scores, wanted = case
    bce, weighted = assigned(pred, targets, mask, name)
    settings = load_config({"cls_weighting": name}).cls_weighting
    of = Entries(scores, wanted, wanted > 0)
    expected = CLS_WEIGHTINGS.bind(settings)(*(getattr(of, asked) for asked in weighted.asked))
    loss = weighted(scores.half(), wanted.half())
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=2e-2, atol=1e-3)
    torch.testing.assert_close(weighted(scores, wanted), bce(scores, wanted))  # no assignment: some other BCE


@pytest.mark.parametrize("name", ["iou-balanced", "slide", "ema-slide"])
def test_the_weight_is_a_constant_for_the_gradient(case: Case, name: str) -> None:
    pred, targets, mask, scores, wanted = case
    bce, weighted = assigned(pred, targets, mask, name)
    loss = weighted(scores, wanted)
    (gradient,) = torch.autograd.grad(loss.sum(), scores, retain_graph=True)
    (plain,) = torch.autograd.grad(bce(scores, wanted).sum(), scores)
    torch.testing.assert_close(gradient, plain * (loss / bce(scores, wanted)).detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["iou-balanced", "gain", "slide", "ema-slide"])
def test_weights_are_computed_in_float32_whatever_the_head_s_output_is_in(case: Case, name: str) -> None:
    pred, targets, mask, scores, wanted = case
    _, weighted = assigned(pred, targets, mask, name)
    weigh = weighted.weighting
    given: list[Tensor] = []

    def spy(*entries: Tensor) -> Any:
        given.extend(entries)
        return weigh(*entries)

    weighted.weighting = spy
    assert weighted(scores.bfloat16(), wanted.bfloat16()).dtype == torch.bfloat16
    assert {x.dtype for x in given} <= {torch.float32, torch.bool}


def test_without_overlap_or_without_positives_nothing_is_weighted(case: Case) -> None:
    pred, targets, mask, scores, wanted = case
    for p, m in ((pred + 100, mask), (pred, torch.zeros_like(mask))):
        bce, weighted = assigned(p, targets, m)
        torch.testing.assert_close(weighted(scores, wanted), bce(scores, wanted))
    for name in ("slide", "ema-slide"):
        bce, weighted = assigned(pred, targets, torch.zeros_like(mask), name)
        torch.testing.assert_close(weighted(scores, wanted), bce(scores, wanted))


@pytest.mark.parametrize("name", sorted(CLS_WEIGHTINGS.functions.keys() - {"none"}))
def test_the_result_is_fresh_and_nothing_is_kept(case: Case, name: str) -> None:
    """Ultralytics multiplies it by class weights in place."""
    pred, targets, mask, scores, wanted = case
    bce, weighted = assigned(pred, targets, mask, name)
    loss = weighted(scores, wanted)
    loss *= 2.0
    assert torch.autograd.grad(loss.sum(), scores)[0].isfinite().all()
    torch.testing.assert_close(weighted(scores, wanted), bce(scores, wanted))  # no assignment, no weight


def decide(
    rule: str, statistic: str = "std", rounds: int = 1, spread: float = 4.0, weight_of_cls: bool = True
) -> list[float]:
    """ALWA after some windows in which the raw classification loss varies `spread` times as much as the box loss."""
    balance = ALWA(TaskBalance(name="alwa", window=4, rule=rule, statistic=statistic), torch.device("cpu"))
    weights = []
    for _ in range(rounds):
        for wave in (1.0, -1.0, 1.0, -1.0):
            balance.observe(torch.tensor(5 + wave), balance.weight * torch.tensor(5 + spread * wave))
        weights.append(balance.weight.item())
    return weights


def test_alwa_rules() -> None:
    assert decide("multiplicative", rounds=4) == pytest.approx([0.25] * 4)  # b/s, and stays
    assert decide("paper", rounds=4) == pytest.approx([0.25] * 4)  # CLS == BOX at the fixed point: not above, so kept
    assert decide("multiplicative", spread=0.5, rounds=2) == [1, 1]  # never above 1
    mean_and_std = (5 + math.sqrt(4 / 3)) / (5 + 4 * math.sqrt(4 / 3))  # ddof 1
    assert decide("multiplicative", statistic="mean+std")[0] == pytest.approx(mean_and_std)


def test_the_paper_s_rule_flips() -> None:
    """A classification loss a little livelier than at the decision sends the weight back to almost 1."""
    balance = ALWA(TaskBalance(name="alwa", window=2, rule="paper"), torch.device("cpu"))
    weights = []
    for spread in (4.0, 4.2, 4.0, 4.2):
        for wave in (1.0, -1.0):
            balance.observe(torch.tensor(5 + wave), balance.weight * (5 + spread * wave))
        weights.append(balance.weight.item())
    assert weights == pytest.approx([0.25, 1 / 1.05, 1 / (4 / 1.05), 1 / (4.2 * 1.05 / 4)])


@pytest.mark.parametrize("rule", ["multiplicative", "paper"])
def test_alwa_never_switches_classification_off(rule: str) -> None:
    """A window without boxes, and one with a batch that is not finite, decide nothing."""
    balance = ALWA(TaskBalance(name="alwa", window=2, rule=rule), torch.device("cpu"))
    for box in (0.0, math.nan):
        for wave in (1.0, -1.0):
            balance.observe(torch.tensor(box), torch.tensor(5 + wave))
        assert balance.weight == 1
    for wave in (1.0, -1.0):
        balance.observe(torch.tensor(5 + wave), torch.tensor(5 + 4 * wave))
    assert balance.weight.item() == pytest.approx(0.25)


def test_alwa_state_travels() -> None:
    config = TaskBalance(name="alwa", window=4)
    balance, resumed = (ALWA(config, torch.device("cpu")) for _ in "ab")
    for step in range(6):
        balance.observe(torch.tensor(1.0 + step % 2), torch.tensor(3.0 + 4 * (step % 2)))
    resumed.import_state(balance.export_state())
    for alwa in (balance, resumed):
        alwa.observe(torch.tensor(1.5), torch.tensor(1.0))
        alwa.observe(torch.tensor(1.0), torch.tensor(3.0))
    assert balance.export_state() == resumed.export_state()
    assert 0 < balance.weight < 1


def test_alwa_weighs_training_only() -> None:
    balance = ALWA(TaskBalance(name="alwa"), torch.device("cpu"))
    balance.weight.fill_(0.5)
    gains = SimpleNamespace(box=7.5, cls=0.6)
    weighted = BalancedGains(gains, balance)
    assert weighted.cls == pytest.approx(0.3)
    assert copy.deepcopy(weighted).cls == weighted.cls
    with torch.no_grad():
        assert weighted.cls == 0.6
    assert (weighted.box, vars(gains)) == (7.5, {"box": 7.5, "cls": 0.6})
    with pytest.raises(AttributeError, match="dfl"):
        _ = weighted.dfl


@pytest.mark.parametrize("rule", ["multiplicative", "paper"])
def test_alwa_says_once_that_it_does_not_move(rule: str, caplog: pytest.LogCaptureFixture) -> None:
    def run(cls: float) -> ALWA:
        balance = ALWA(TaskBalance(name="alwa", window=4, rule=rule), torch.device("cpu"))
        for step in range(40):
            balance.observe(torch.tensor(3.0 + step % 2), torch.tensor(cls * (1.0 + step % 2)))
        return balance

    assert run(cls=3.0).weight < 1
    assert "alwa" not in caplog.text
    assert run(cls=0.5).weight == 1
    said = [line for line in caplog.messages if "fluctuates less than the box loss" in line]
    assert said == [line for line in said if "first 3 windows of 4 batches" in line and "cls=2" in line]
    assert len(said) == 1


def test_alwa_needs_a_trainer() -> None:
    with pytest.raises(ConfigError, match="only a trainer knows"):
        FocusedDetectionLoss(nn.Module(), loss="alwa")


@pytest.mark.parametrize("schedule", ["linear", "cosine", "fraction"])
def test_schedules_run_from_start_to_end(schedule: str) -> None:
    scale = Scale(start=2.0, end=0.5, schedule=schedule)
    ratios = [scale.ratio(e / 300) for e in range(301)]
    assert ratios[0] == pytest.approx(2.0)
    assert ratios[-1] == pytest.approx(0.5)
    assert all(a > b for a, b in pairwise(ratios))
    at_100 = {"linear": 1.5, "cosine": 1.25 + 0.75 * math.cos(math.pi / 3), "fraction": 200 / (100 + 100)}
    assert ratios[100] == pytest.approx(at_100[schedule])


def test_the_schedule_follows_the_run_s_epochs(shapes: Path, tmp_path: Path) -> None:
    model, seen = YOLO(MODEL), []
    model.add_callback("on_train_epoch_end", lambda t: seen.append(t.heads[""].box_loss.progress))
    model.train(data=shapes, loss="uiou", project=tmp_path, name="uiou", **TINY)
    assert seen == [0.0, 0.5]


def test_alwa_in_a_run(shapes: Path, tmp_path: Path) -> None:
    model = YOLO(MODEL)
    window = {"loss.task_balance.window": 2, "loss.task_balance.rule": "paper"}
    model.train(data=shapes, loss="alwa", project=tmp_path, name="alwa", **window, **TINY)
    weights = columns(tmp_path / "alwa")["wiou/cls_weight"]
    assert all(0 < w <= 1 for w in weights)
    assert model.model.yolo_wiou["task_balance"]["weight"] == pytest.approx(weights[-1], rel=1e-4)
    assert model.trainer.args.box == 7.5  # hyp is never edited
    assert load_config(model.model.yolo_wiou["loss"]).task_balance.window == 2
