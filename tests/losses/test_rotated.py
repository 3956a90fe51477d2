"""Rotated boxes: overlaps of boxes as Gaussians against matrices in float64; identities; modifiers and gains."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from helpers.gaussians import Rotated, kf_iou, kl_divergence, wasserstein2
from torch import Tensor
from ultralytics.utils.metrics import probiou

from yolo_wiou import load_loss
from yolo_wiou.losses import OVERLAPS, BoxPair, RotatedPair

STRIDE = 8.0
GAUSSIAN = ("nwd", "kld", "gwd", "kfiou")


def by_matrices(name: str, p: Rotated, t: Rotated) -> float:
    """The overlap of one pair, at the default settings."""
    if name == "kfiou":
        return 3 * kf_iou(p, t)
    if name == "kld":
        return 1 / (1 + math.log1p(kl_divergence(p, t)))
    distance = math.sqrt(max(wasserstein2(p, t), 0.0))
    if name == "nwd":
        return math.exp(-STRIDE * distance / 12.8)
    return 1 / (1 + math.log1p(distance / (p[2] * p[3] * t[2] * t[3]) ** 0.25))


def pairs(n: int = 60, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Predictions and targets, (n, 5) xywhr float64, from near to far, none of them square."""
    g = torch.Generator().manual_seed(seed)
    target = torch.rand(n, 5, generator=g, dtype=torch.float64)
    target = target * torch.tensor([20, 20, 8, 3, 6]) + torch.tensor([0, 0, 4, 2, -3])
    near = torch.tensor([0.03, 0.1, 0.3, 1.0, 3.0], dtype=torch.float64).repeat(n // 5)[:, None]
    moved = near * torch.randn(n, 5, generator=g, dtype=torch.float64) * torch.tensor([1, 1, 0.3, 0.3, 0.4])
    pred = target + moved
    pred[:, 2:4] = pred[:, 2:4].clamp(min=0.5)
    return pred, target


def overlap(name: str, pred: Tensor, target: Tensor, **settings: Any) -> Tensor:
    function = OVERLAPS.bind(OVERLAPS.parse({"name": name, **settings}))
    values: Tensor = function(RotatedPair(pred, target, probiou, STRIDE))
    return values


@pytest.mark.parametrize("name", GAUSSIAN)
def test_value_and_gradient_are_those_of_the_matrices(name: str) -> None:
    pred, target = pairs()
    value = overlap(name, pred.requires_grad_(), target)
    (gradient,) = torch.autograd.grad(value.sum(), pred)
    rows = list(zip(pred.tolist(), target.tolist(), strict=True))
    expected = torch.tensor([by_matrices(name, p, t) for p, t in rows], dtype=torch.float64)
    torch.testing.assert_close(value.detach(), expected, rtol=1e-6, atol=1e-9)
    slopes = []
    for p, t in rows:
        for i in range(5):
            lo, hi = ((*p[:i], p[i] + step, *p[i + 1 :]) for step in (-1e-5, 1e-5))
            slopes.append((by_matrices(name, hi, t) - by_matrices(name, lo, t)) / 2e-5)
    torch.testing.assert_close(gradient.flatten(), torch.tensor(slopes, dtype=torch.float64), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", GAUSSIAN)
def test_turning_both_boxes_changes_nothing_nor_does_another_name_for_the_same_box(name: str) -> None:
    pred, target = pairs()
    value = overlap(name, pred, target)
    turn = torch.tensor([[math.cos(0.7), math.sin(0.7)], [-math.sin(0.7), math.cos(0.7)]]).double()
    both = [torch.cat((box[:, :2] @ turn, box[:, 2:4], box[:, 4:] + 0.7), 1) for box in (pred, target)]
    torch.testing.assert_close(overlap(name, *both), value)
    half = pred + torch.tensor([0, 0, 0, 0, math.pi], dtype=torch.float64)
    quarter = pred[:, [0, 1, 3, 2, 4]] + torch.tensor([0, 0, 0, 0, math.pi / 2], dtype=torch.float64)
    for same in (half, quarter):
        torch.testing.assert_close(overlap(name, same, target), value)


@pytest.mark.parametrize("name", GAUSSIAN)
def test_boxes_that_are_not_turned_have_the_overlap_of_upright_ones(name: str) -> None:
    pred, target = pairs()
    upright = [torch.cat((b[:, :2] - b[:, 2:4] / 2, b[:, :2] + b[:, 2:4] / 2), 1) for b in (pred, target)]
    function = OVERLAPS.bind(OVERLAPS.parse(name))
    pred[:, 4] = target[:, 4] = 0
    torch.testing.assert_close(overlap(name, pred, target), function(BoxPair.of(upright[0], upright[1], STRIDE)))


@pytest.mark.parametrize("name", GAUSSIAN)
def test_equal_boxes_have_overlap_1_and_others_less(name: str) -> None:
    pred, target = pairs()
    torch.testing.assert_close(overlap(name, target.float(), target.float()), torch.ones(60), rtol=0, atol=1e-6)
    assert ((overlap(name, pred, target) > 0) & (overlap(name, pred, target) < 1)).all()


def test_the_mix_with_nwd_is_one_of_probiou() -> None:
    pred, target = pairs()
    mixed = overlap("iou-nwd", pred, target, kappa=0.3, constant=20.0)
    plain = probiou(pred, target).flatten()
    torch.testing.assert_close(mixed, 0.7 * plain + 0.3 * overlap("nwd", pred, target, constant=20.0))


def test_tau_bends_the_distance() -> None:
    pred, target = pairs()
    for name in ("kld", "gwd"):
        distance = 1 / overlap(name, pred, target) - 1  # ln(1 + D)
        torch.testing.assert_close(overlap(name, pred, target, tau=3.0), 3 / (3 + distance))


def test_no_gaussian_has_the_angle_of_a_square() -> None:
    square = torch.tensor([[0.0, 0.0, 4.0, 4.0, 0.1]], dtype=torch.float64)
    turned = square + torch.tensor([0, 0, 0, 0, 0.6]).double()
    for name in GAUSSIAN:  # one of equal variances is round
        assert overlap(name, square, turned).item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", GAUSSIAN)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_degenerate_boxes_are_finite(name: str, dtype: torch.dtype) -> None:
    """Points, lines, sides below 0 and 1e-7 long, at every angle, against one another."""
    sides = [0.0, 1e-7, -3.0, 4.0, 1e5]
    boxes = torch.tensor(
        [[x, 1.0, w, h, r] for x in (0.0, 1e5) for w in sides for h in sides for r in (0.0, math.pi / 4, math.pi / 2)],
        dtype=dtype,
    )
    pred, target = boxes.repeat_interleave(len(boxes), 0).requires_grad_(), boxes.repeat(len(boxes), 1)
    value = overlap(name, pred, target)
    (gradient,) = torch.autograd.grad(value.sum(), pred)
    bad = ~(value.isfinite() & gradient.isfinite().all(1))
    assert not bad.any(), (pred[bad][:3], target[bad][:3], value[bad][:3], gradient[bad][:3])
    assert value.min() >= -1e-6
    assert value.max() <= 1 + 1e-5


@pytest.mark.parametrize("gain", ["iou-power", "iou-balanced", "monotonic", "nonmonotonic", "trust"])
def test_gains_judge_by_probiou_and_weigh_any_overlap(gain: str) -> None:
    pair = RotatedPair(*pairs(), probiou, STRIDE)
    own, plain = (
        load_loss({"overlap": name, "gain": gain, "running_mean.momentum": 0.1}).gain_and_loss(pair)
        for name in ("kld", "iou")
    )
    if gain != "iou-balanced":  # its factor is of the loss that it weighs
        torch.testing.assert_close(own[0], plain[0])
    torch.testing.assert_close(own[1], 1 - overlap("kld", *pairs()))


def test_modifiers_see_boxes_that_are_scaled() -> None:
    pred, target = pairs()
    small = torch.tensor([1, 1, 0.75, 0.75, 1]).double()
    loss = load_loss({"overlap": {"name": "gwd", "inner": 0.75, "focaler": (0.0, 0.9)}, "power": 2})
    expected = 1 - (overlap("gwd", pred * small, target * small) / 0.9).clamp(0, 1).square()
    torch.testing.assert_close(loss.gain_and_loss(RotatedPair(pred, target, probiou, STRIDE))[1], expected)
