"""How heavy a gain makes the box term: by hand, by autograd on the whole term, and in a run."""

from __future__ import annotations

import pytest
import torch
from helpers.pairs import random_pairs

from yolo_wiou.losses import load_loss
from yolo_wiou.losses.box_loss import BoxLoss, weighted_sum
from yolo_wiou.losses.boxes import BoxPair
from yolo_wiou.training.heaviness import Heaviness, SeenStep, measure

PAIRS = torch.tensor(random_pairs(40, seed=5))
PRED, TARGET = PAIRS.unbind(1)
WEIGHT = torch.linspace(0.05, 1, 40)


def step(loss: BoxLoss, pred: torch.Tensor = PRED, target: torch.Tensor = TARGET) -> SeenStep:
    """What a head keeps of a training step."""
    gain, _ = loss.gain_and_loss(BoxPair.of(pred, target))
    return SeenStep(pred, target, (), WEIGHT[: len(pred)], gain)


@pytest.mark.parametrize("name", ["wiou2", "wiou3", "focal-eiou", "iou-balanced-loc"])
def test_it_is_what_autograd_says_of_the_whole_term(name: str) -> None:
    loss = load_loss(name)
    seen = step(loss)

    def term(gain: torch.Tensor) -> tuple[float, float]:
        pred = PRED.clone().requires_grad_()
        total = weighted_sum(loss.unweighted(BoxPair.of(pred, TARGET)), gain, WEIGHT[:, None], 3.0)
        (slope,) = torch.autograd.grad(total, pred)
        return total.item(), slope.norm().item()

    assert seen.gain is not None
    (heavy, pulls), (plain, pulls_plainly) = term(seen.gain), term(torch.ones(40))
    found = measure(loss, BoxPair.of, [seen, seen])
    assert found == pytest.approx(Heaviness(heavy / plain, pulls / pulls_plainly), rel=1e-4)
    assert found.gradient_ratio != pytest.approx(1, abs=0.01)


def test_a_constant_gain_is_as_heavy_as_it_is_and_none_is_1() -> None:
    heavy = load_loss("ciou", **{"gain.name": "constant", "gain.weight": 1.8})
    assert measure(heavy, BoxPair.of, [step(heavy)]) == pytest.approx((1.8, 1.8))
    assert measure(load_loss("siou"), BoxPair.of, [step(heavy)]) == (1, 1)


def test_on_a_device_nothing_is_counted_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apple's GPUs have none."""
    on_host: list[torch.Tensor] = []
    cpu, double = torch.Tensor.cpu, torch.Tensor.double

    def fetch(x: torch.Tensor) -> torch.Tensor:
        on_host.append(cpu(x))
        return on_host[-1]

    def widen(x: torch.Tensor) -> torch.Tensor:
        assert any(x is fetched for fetched in on_host)
        return double(x)

    monkeypatch.setattr(torch.Tensor, "cpu", fetch)
    monkeypatch.setattr(torch.Tensor, "double", widen)
    loss = load_loss("wiou3")
    assert measure(loss, BoxPair.of, [step(loss)]).gradient_ratio > 0


def test_steps_without_a_figure_are_passed_over() -> None:
    loss = load_loss("ciou", **{"gain.name": "constant", "gain.weight": 0.5})
    empty, broken = step(loss, PRED[:0], TARGET[:0]), step(loss, PRED * torch.nan)
    assert measure(loss, BoxPair.of, [empty, step(loss), broken]) == pytest.approx((0.5, 0.5))
    assert measure(loss, BoxPair.of, [empty]) == measure(loss, BoxPair.of, []) == (1, 1)
