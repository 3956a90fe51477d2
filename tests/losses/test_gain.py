"""Gains against the values that the papers print, and what they make of a batch."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.float64 import in_float64, tensors, value_of
from helpers.pairs import Pair
from torch import Tensor

from yolo_wiou import load_loss
from yolo_wiou.losses import GAINS, BoxPair

approx = pytest.approx
E = math.e
OVERLAPPING: Pair = ((0, 0, 4, 2), (1, 1, 4, 3))
"""IoU 3/11."""
DISJOINT: Pair = ((0, 0, 2, 1), (5, 3, 8, 4))


def nonmonotonic(betas: list[float], alpha: float, delta: float) -> list[float]:
    """Wise-IoU v3's gain at outlier degrees: of boxes that don't touch, whose IoU loss is 1, by means of 1/β."""
    pair = BoxPair.of(*tensors([DISJOINT] * len(betas)))
    means = 1 / torch.tensor(betas, dtype=torch.float64)
    gains: list[float] = GAINS.functions["nonmonotonic"](pair, means, alpha=alpha, delta=delta).tolist()
    return gains


@pytest.mark.parametrize(
    ("alpha", "delta", "peak", "top", "at1", "at_quarter", "at5", "crossing"),
    [
        (1.9, 3, 1.5580, 1.3104, 1.2033, 0.4868, 0.4617, 0.6742),
        (2.5, 2, 1.0914, 1.2546, 1.2500, 0.6213, 0.1600, 0.5112),
        (1.6, 4, 2.1276, 1.2824, 1.0240, 0.3642, 0.7812, 0.9570),
        (1.4, 5, 2.9720, 1.1761, 0.7683, 0.2472, 1.0000, 1.5843),
        (1.7, 2.7, 1.8846, 1.0759, 0.9128, 0.3398, 0.5465, 1.2526),
    ],
)
def test_the_printed_table_of_wise_iou_s_gain(
    alpha: float, delta: float, peak: float, top: float, at1: float, at_quarter: float, at5: float, crossing: float
) -> None:
    top_at = 1 / math.log(alpha)
    assert top_at == approx(peak, abs=5e-5)
    assert nonmonotonic([top_at, 1, 0.25, 5], alpha, delta) == approx([top, at1, at_quarter, at5], abs=5.01e-5)
    assert nonmonotonic([top_at], alpha, delta) == approx([alpha**delta / (E * delta * math.log(alpha))])
    assert nonmonotonic([0, delta], alpha, delta) == approx([0, 1])
    below, above = nonmonotonic([crossing - 5e-5, crossing + 5e-5], alpha, delta)
    assert below < 1 < above
    rise = nonmonotonic([top_at * i / 50 for i in range(51)], alpha, delta)
    fall = nonmonotonic([top_at + (60 - top_at) * i / 50 for i in range(51)], alpha, delta)
    assert rise == sorted(rise)
    assert fall == sorted(fall, reverse=True)
    assert 0 < fall[-1] < 1e-5


def test_wise_iou_counts_a_box_by_its_loss_relative_to_the_mean() -> None:
    loss, wiou1, siou = (value_of(name, OVERLAPPING) for name in ("iou", "wiou1", "siou"))
    for mean in (0.25, 0.5, 1.0):  # exact in the float32 of the running mean
        assert value_of("wiou2", OVERLAPPING, mean) == approx(math.sqrt(loss / mean) * wiou1)
        assert value_of("wiou3", OVERLAPPING, mean) == approx(nonmonotonic([loss / mean], 1.9, 3)[0] * wiou1)
        assert value_of("siou-v3", OVERLAPPING, mean) == approx(nonmonotonic([loss / mean], 1.4, 5)[0] * siou)


def test_the_printed_values_of_piou2_s_attention() -> None:
    def attention(distances: list[float]) -> Tensor:
        """Of boxes moved by P in x and y from a target of 1 x 1: all four edges are off by P."""
        pred = torch.tensor([(p, p, 1 + p, 1 + p) for p in distances], dtype=torch.float64)
        pair = BoxPair.of(pred, torch.tensor([(0.0, 0.0, 1.0, 1.0)], dtype=torch.float64).expand_as(pred))
        gains: Tensor = GAINS.functions["piou2"](pair, lam=1.3)
        return gains

    assert attention([0, 0.60894, 1, 2]).tolist() == approx([0.71963, 1.28664, 1.1414, 0.5117], abs=5e-5)
    assert attention([i / 1e4 for i in range(30000)]).max().item() == approx(3 / math.sqrt(2 * E), abs=1e-8)
    # with the attention not detached a box without overlap would be pushed away beyond P = 0.943
    distance = torch.arange(3000, dtype=torch.float64) / 1000
    assert (attention(distance.tolist()) * (2 - torch.exp(-distance.square()))).argmax() == 943


def test_iou_balanced_keeps_the_sum() -> None:
    # losses 8/11 and 1, weights 3/11 and 0: the first box carries all of the sum, 19/11
    loss = load_loss({"gain": {"name": "iou-balanced", "lam": 1.0}})
    pairs = [OVERLAPPING, DISJOINT]
    assert in_float64(loss, pairs)[0].tolist() == approx([19 / 11, 0])
    assert in_float64(loss, pairs[1:])[0].tolist() == [1]  # where no box overlaps all count 1


STEPS = [
    ([(0.5, 0.2), (0.8, 1.0), (0.0, 0.1)]),
    ([(0.9, 0.7), (0.1, 0.3)]),
    ([(0.0, 1.0)]),
]
"""The IoU and the assigner's weight of each box, step by step."""


def by_hand(step: list[tuple[float, float]], factor: float) -> list[float]:
    """IoU^1.5 times a factor."""
    return [iou**1.5 * factor for iou, _ in step]


def kept(step: list[tuple[float, float]]) -> float:
    """The factor that keeps Σ w·(1 - IoU)."""
    return math.fsum(w * (1 - iou) for iou, w in step) / math.fsum(w * iou**1.5 * (1 - iou) for iou, w in step)


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        ("sum", [by_hand(STEPS[0], kept(STEPS[0])), by_hand(STEPS[1], kept(STEPS[1])), [1.0]]),
        ("first", [by_hand(step, kept(STEPS[0])) for step in STEPS]),
        ("none", [by_hand(step, 1) for step in STEPS]),
    ],
)
def test_what_a_norm_of_iou_balanced_keeps(norm: str, expected: list[list[float]]) -> None:
    """Eq. 5 keeps the sum of every step, by the assigner's weights; eq. 4 that of the first, and then its factor."""
    loss = load_loss({"gain": {"name": "iou-balanced", "norm": norm}})
    for step, gains in zip(STEPS, expected, strict=True):
        pred = torch.tensor([(0.0, 0.0, 40 * iou, 10.0) if iou else (50.0, 0.0, 60.0, 10.0) for iou, _ in step])
        pair = BoxPair.of(pred, torch.tensor([(0.0, 0.0, 40.0, 10.0)]).expand(len(pred), 4))
        gain, _ = loss.gain_and_loss(pair, torch.tensor([weight for _, weight in step]))
        assert gain.tolist() == approx(gains, rel=1e-5)
        loss.observe(pair, gain)


def test_the_first_step_that_counts_fixes_the_factor() -> None:
    """Not one without overlap, or with a loss that is not finite, or that is only looked at; nor a later one."""
    loss = load_loss({"gain": {"name": "iou-balanced", "norm": "first"}})
    target = torch.tensor([[0.0, 0.0, 4.0, 2.0]])
    apart, broken, touching, near = (
        torch.tensor([box])
        for box in ((9.0, 9.0, 13.0, 11.0), (math.nan, 0.0, 4.0, 2.0), (1.0, 1.0, 4.0, 3.0), (0.0, 0.0, 4.0, 1.5))
    )
    for pred in (apart, broken):
        loss(pred.requires_grad_(), target)
    assert loss(apart, target).item() == 1  # nothing is fixed yet, and nothing overlaps: the box counts 1
    loss(near, target)
    assert loss.running_mean.first.tolist() == [0, 0]
    assert loss(touching.requires_grad_(), target).item() == approx(8 / 11)
    fixed = loss.running_mean.first.tolist()
    assert fixed == approx([8 / 11, (3 / 11) ** 1.5 * 8 / 11])
    assert loss(near.requires_grad_(), target).item() == approx(0.75**1.5 * 0.25 * (11 / 3) ** 1.5, rel=1e-5)
    assert loss.running_mean.first.tolist() == fixed
    state = loss.running_mean.export_state()
    resumed = load_loss(loss.config)
    resumed.running_mean.import_state(state)
    assert torch.equal(resumed(near, target), loss(near, target))
    resumed.running_mean.import_state({key: value for key, value in state.items() if key != "first"})
    assert not resumed.running_mean.first.any()
    assert "first" not in load_loss("iou-balanced-loc").running_mean.export_state()


def test_a_constant_gain_is_a_weight() -> None:
    heavy = load_loss("ciou", **{"gain.name": "constant", "gain.weight": 1.5})
    assert in_float64(heavy, [OVERLAPPING])[0].item() == approx(1.5 * value_of("ciou", OVERLAPPING))
