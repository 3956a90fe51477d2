"""The package against values worked by hand and values that the papers print, in float64."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.float64 import in_float64, value_of
from helpers.oracles import ORACLES
from helpers.pairs import Pair, named_pairs, random_pairs

from yolo_wiou import load_loss
from yolo_wiou.losses import PENALTIES, BoxPair

approx = pytest.approx
E = math.e

V = 4 / math.pi**2 * (math.atan(3 / 2) - math.atan(2)) ** 2  # target 3 x 2, prediction 4 x 2
SIOU = (2 - math.exp(-6 / 320) - math.exp(-6 / 45) + (1 - math.exp(-1 / 4)) ** 4) / 2

BY_HAND: dict[str, tuple[Pair, dict[str, float]]] = {
    # areas 8 and 6, I = 3·1 = 3, U = 11; hull 4 x 3, C = 12, c² = 25; centres (2, 1) and (5/2, 2): ρ² = 1/4 + 1 = 5/4
    "overlapping": (
        ((0, 0, 4, 2), (1, 1, 4, 3)),
        {
            "iou": 8 / 11,
            "giou": 8 / 11 + 1 / 12,
            "diou": 8 / 11 + 1 / 20,
            "eiou": 8 / 11 + 1 / 20 + 1 / 16,  # Δw / cw = 1/4, Δh = 0
            "wiou1": 8 / 11 * math.exp(1 / 20),
            "wiou2": math.sqrt(8 / 11) * 8 / 11 * math.exp(1 / 20),
            "wiou3": 8 / 11 * 1.9 ** (3 - 8 / 11) / 3 * 8 / 11 * math.exp(1 / 20),
            "focal-eiou": math.sqrt(3 / 11) * (8 / 11 + 1 / 20 + 1 / 16),
            "alpha-iou": 1 - 27 / 1331,
            "mpdiou": 8 / 11 + 3 / (2 * 640**2),  # d1² = 1 + 1, d2² = 0 + 1
            "piou": 8 / 11 + 1 - math.exp(-1 / 9),  # P = ((1 + 0)/3 + (1 + 1)/2) / 4 = 1/3
            "nwd": 1 - math.exp(-math.sqrt(3 / 2) / 12.8),  # 5/4 + (1 + 0)/4
            "iou-nwd": 4 / 11 + (1 - math.exp(-math.sqrt(3 / 2) / 12.8)) / 2,
            # x: 1/4 + (4 - 3)²/4 = 1/2 over 16 and 9; y: 1 + 0 over 4 twice; halved
            "gcd": 1 - math.exp(-math.sqrt((1 / 32 + 1 / 18 + 1 / 4 + 1 / 4) / 2)),
            # tr: 16/9 + 4/4; Mahalanobis: 4·(1/4)/9 + 4·1/4; ln((3·2)²/(4·2)²); halved
            "kld": 1 - 1 / (1 + math.log1p((16 / 9 + 1 + 1 / 9 + 1 - 2 - 2 * math.log(4 / 3)) / 2)),
            "gwd": 1 - 1 / (1 + math.log1p(math.sqrt(3 / 2) / 48**0.25)),
            # volumes 8 and 6; det(Σp + Σt)·16 = (16 + 9)·(4 + 4)
            "kfiou": 1 - 3 * (48 / math.sqrt(200)) / (14 - 48 / math.sqrt(200)) + 1 / 20,
            # a target of 6 pixels: β = 6/162 = 1/27, so 1/2 + 1/27 = 29/54 for scale, 79/54 for location
            "sdiou": 29 / 54 * (8 / 11 + V**2 / (8 / 11 + V)) + 79 / 54 / 20,
            "ciou": 8 / 11 + 1 / 20 + V**2 / (8 / 11 + V),
            "alpha-ciou": 1 - 27 / 1331 + 1 / 8000 + (V**2 / (8 / 11 + V)) ** 3,
            # sine 2·(1/2)/(5/4) = 4/5, 2 - 4/5 = 6/5; (dx/cw)² = 1/64, (dy/ch)² = 1/9; shape exponents 1/4 and 0
            "siou": 8 / 11 + SIOU,
            "shape-iou": 8 / 11 + 1 / 20 + (1 - math.exp(-1 / 4)) ** 4 / 2,
            # inner boxes (1/2, 1/4, 7/2, 7/4), (11/8, 5/4, 29/8, 11/4): I = 17/8·1/2, U = 9/2 + 27/8 - 17/16 = 109/16
            "inner-iou": 92 / 109,
            "inner-ciou": 92 / 109 + 1 / 20 + V**2 / (8 / 11 + V),
            "inner-siou": 92 / 109 + SIOU,
            "inner-shape-iou": 92 / 109 + 1 / 20 + (1 - math.exp(-1 / 4)) ** 4 / 2,
            "inner-focaler-ciou": 1 - 17 / 109 / 0.95 + 1 / 20 + V**2 / (8 / 11 + V),
            "inner-wiou3": 8 / 11 * 1.9 ** (3 - 8 / 11) / 3 * (92 / 109 + (math.exp(1 / 20) - 1) * 8 / 11),
            # twice as large: (-2, -1, 6, 3), (-1/2, 0, 11/2, 4): I = 6·3, U = 32 + 24 - 18; hull 8 x 5, c² = 89
            "uiou": 10 / 19 + 5 / 4 / 89 + V**2 / (10 / 19 + V),
            # (0.98, 0.98, 4, 2.98) against the target: I = 3·1.98 = 5.94, U = 6.04 + 6 - 5.94 = 6.10
            "interpiou": 8 / 11 + 16 / 610,
            "focaler-iou": 1 - 3 / 11 / 0.95,
        },
    ),
    # prediction inside: I = 2, U = C = 20, c² = 16 + 25 = 41; centres (2, 3/2) and (2, 5/2): ρ² = 1
    "nested": (
        ((1, 1, 3, 2), (0, 0, 4, 5)),
        {
            "iou": 9 / 10,
            "giou": 9 / 10,
            "diou": 9 / 10 + 1 / 41,
            "eiou": 9 / 10 + 1 / 41 + 1 / 4 + 16 / 25,
            "wiou1": 9 / 10 * math.exp(1 / 41),
            "piou": 9 / 10 + 1 - math.exp(-((13 / 40) ** 2)),  # P = ((1 + 1)/4 + (1 + 3)/5) / 4 = 13/40
        },
    ),
    # I = 0, U = 2 + 3 = 5, hull 8 x 4, C = 32, c² = 80; centres (1, 1/2) and (13/2, 7/2): ρ² = 121/4 + 9 = 157/4
    "disjoint": (
        ((0, 0, 2, 1), (5, 3, 8, 4)),
        {
            "iou": 1,
            "giou": 1 + 27 / 32,
            "diou": 1 + 157 / 320,
            "eiou": 1 + 157 / 320 + 1 / 64,
            "wiou1": math.exp(157 / 320),
            "focal-eiou": 0,
            "mpdiou": 1 + (25 + 9 + 36 + 9) / (2 * 640**2),
        },
    ),
    # areas 12 and 10, I = 2·2 = 4, U = 18; hull 6 x 5, C = 30, c² = 61; centres (3, 3) and (3, 5/2): ρ² = 1/4
    "crossing": (
        ((0, 2, 6, 4), (2, 0, 4, 5)),
        {
            "iou": 7 / 9,
            "giou": 7 / 9 + 2 / 5,
            "diou": 7 / 9 + 1 / 244,
            "eiou": 7 / 9 + 1 / 244 + 4 / 9 + 9 / 25,
            "wiou1": 7 / 9 * math.exp(1 / 244),
        },
    ),
}


def gradient_of(loss: str, pair: Pair) -> list[float]:
    return in_float64(load_loss(loss), [pair])[1][0].tolist()


@pytest.mark.parametrize(("case", "name"), [(case, name) for case, (_, values) in BY_HAND.items() for name in values])
def test_values_worked_by_hand(case: str, name: str) -> None:
    pair, values = BY_HAND[case]
    assert value_of(name, pair) == approx(values[name], rel=1e-12, abs=1e-12)


def test_the_oracle_has_the_same_values() -> None:
    for pair, values in BY_HAND.values():
        assert [ORACLES[name](*pair) for name in values] == approx(list(values.values()), rel=1e-13, abs=1e-15)


def test_ciou_and_its_relatives_with_angles_known_in_closed_form() -> None:
    # √3 x 1 over 1 x √3 about one centre: I = 1, U = 2√3 - 1, v = (4/π²)(π/6 - π/3)² = 1/9, no centre distance
    s = math.sqrt(3)
    pair = (-s / 2, -0.5, s / 2, 0.5), (-0.5, -s / 2, 0.5, s / 2)
    loss = 1 - 1 / (2 * s - 1)
    av = 1 / 9 / (loss + 1 / 9) / 9
    gain = 2 * loss / (4 * 1.6 ** (2 * loss - 4))
    assert value_of("ciou", pair) == approx(loss + av, rel=1e-12)
    assert value_of("alpha-ciou", pair) == approx(1 - (1 - loss) ** 3 + av**3, rel=1e-12)
    assert value_of("ciou-v3", pair, mean=0.5) == approx(gain * (loss + av), rel=1e-12)
    # inner boxes about one centre keep their IoU; and so do boxes enlarged about one centre
    for name in ("inner-ciou", "uiou"):
        assert value_of(name, pair) == approx(loss + av, rel=1e-12)


def test_shape_iou_crosses_its_weights() -> None:
    # target 3 x 2, s = 1: ww = 6/5, hh = 4/5 on the other axis; dx² = 1/4, dy² = 1, c² = 25; ω_w = 4/5·1/4, ω_h = 0
    expected = 8 / 11 + (4 / 5 / 4 + 6 / 5) / 25 + (1 - math.exp(-1 / 5)) ** 4 / 2
    assert value_of("shape-iou", BY_HAND["overlapping"][0], **{"penalty.scale": 1.0}) == approx(expected, rel=1e-12)


def test_sdiou_is_ciou_from_its_area_on_in_pixels() -> None:
    pair = BY_HAND["overlapping"][0]  # a target of 6 square units: 96 pixels at stride 4, 54 at stride 3
    for stride, is_ciou in ((4.0, True), (3.0, False)):
        sdiou, ciou = (in_float64(load_loss(name), [pair], stride)[0].item() for name in ("sdiou", "ciou"))
        assert (sdiou == approx(ciou, rel=1e-12)) is is_ciou


def test_sdiou_scales_the_overlap_that_it_stands_beside() -> None:
    expected = 29 / 54 * (92 / 109 + V**2 / (8 / 11 + V)) + 79 / 54 / 20
    assert value_of("sdiou", BY_HAND["overlapping"][0], **{"overlap.inner": 0.75}) == approx(expected, rel=1e-12)


def test_interpolated_box() -> None:
    # κ = 1/2: (1/2, 1/2, 4, 5/2) against the target: I = 3·3/2, U = 7 + 6 - 9/2 = 17/2, IoU 9/17
    overlapping, disjoint = BY_HAND["overlapping"][0], BY_HAND["disjoint"][0]
    assert value_of("interpiou", overlapping, **{"penalty.kappa": 0.5}) == approx(8 / 11 + 8 / 17, rel=1e-12)
    assert value_of("d-interpiou", overlapping) == approx(
        value_of("interpiou", overlapping, **{"penalty.kappa": 8 / 11})
    )
    assert value_of("d-interpiou", disjoint) == approx(value_of("interpiou", disjoint, **{"penalty.kappa": 0.99}))


def test_focal_l1_sums_four_offsets() -> None:
    # dx/wg = -1/6, dy/hg = -1/2, ln(w/wg) = ln(4/3), ln(h/hg) = 0; f(x) = -e·β·x²·(2 ln(βx) - 1)/4
    offsets = (1 / 6, 1 / 2, math.log(4 / 3))
    expected = math.fsum(-E * 0.8 * x**2 * (2 * math.log(0.8 * x) - 1) / 4 for x in offsets)
    assert value_of("focal-l1", BY_HAND["overlapping"][0]) == approx(expected, rel=1e-12)


def test_mpdiou_hardly_sees_small_boxes() -> None:
    pair = (100, 100, 130, 120), (110, 100, 140, 120)
    assert value_of("mpdiou", pair) - value_of("iou", pair) == approx(2.4e-4, abs=5e-6)


@pytest.mark.parametrize(
    ("beta", "f1", "slope", "c"),
    [  # c is f(1) - slope, and so -0.13126 and 0.30103 (not -0.13130 and 0.30105)
        (1 / E, 0.75, 1, -0.25),
        (0.5, 0.81083, 0.94208, -0.13126),
        (0.8, 0.78628, 0.48525, 0.30103),
        (1, 0.67957, 0, 0.67957),
    ],
)
def test_the_printed_values_of_focal_l1(beta: float, f1: float, slope: float, c: float) -> None:
    def f(*x: float) -> list[float]:
        """Of boxes moved by x to the right of a target of 1 x 1: the other three offsets are 0."""
        pred = torch.tensor([(v, 0.0, 1 + v, 1.0) for v in x], dtype=torch.float64)
        pair = BoxPair.of(pred, torch.tensor([(0.0, 0.0, 1.0, 1.0)], dtype=torch.float64).expand_as(pred))
        values: list[float] = sum(PENALTIES.functions["focal-l1"](pair, beta=beta)).tolist()
        return values

    at1, at2, at3 = f(1, 2, 3)
    assert [at1, at3 - at2, 3 * at2 - 2 * at3] == approx([f1, slope, c], abs=5.01e-6)
    assert f(0, 1 + 1e-9) == approx([0, at1], abs=1e-8)
    slopes = {}
    for x in (0.2, min(1 / (E * beta), 1) * (1 - 1e-5), 0.9):
        below, above = f(x - 1e-6, x + 1e-6)
        slopes[x] = (above - below) / 2e-6
        assert slopes[x] == approx(-E * beta * x * math.log(beta * x), abs=1e-8)
    assert max(slopes.values()) == approx(1)


RANGES = {"iou": 1, "giou": 2, "diou": 2, "ciou": 2.5, "eiou": 4, "focal-eiou": 4, "siou": 2.03, "mpdiou": 3, "nwd": 1}
RANGES |= {"alpha-iou": 1, "shape-iou": 3.3, "piou": 2, "interpiou": 2, "d-interpiou": 2, "wiou1": E}


@pytest.mark.parametrize("name", RANGES)
def test_values_lie_in_the_range_that_the_formula_gives(name: str) -> None:
    pairs = [pair for label, pair in named_pairs().items() if label != "huge"] + random_pairs(60, seed=1)
    value, _ = in_float64(load_loss(name), pairs)
    assert value.min() >= -1e-12
    assert value.max() <= RANGES[name]


# ---- gradients and stop-gradients --------------------------------------------------------------------------------


def test_wiou_freezes_the_hull_but_not_the_distance() -> None:
    # disjoint, so L = exp(ρ²/80) with 80 frozen: dL/dx1 = dx·L/80, since x1 moves the centre by a half
    loss = math.exp(157 / 320)
    expected = [loss * d / 80 for d in (-5.5, -3, -5.5, -3)]
    assert gradient_of("wiou1", BY_HAND["disjoint"][0]) == approx(expected, rel=1e-12)


def test_ciou_freezes_its_trade_off() -> None:
    # same centre and disjoint terms absent: only a·v and IoU move with the frozen a
    s = math.sqrt(3)
    pair = (-s / 2, -0.5, s / 2, 0.5), (-0.5, -s / 2, 0.5, s / 2)
    a = 1 / 9 / (1 - 1 / (2 * s - 1) + 1 / 9)
    # d atan(w/h)/dw = h/(w² + h²) = 1/4; dv/dw = (4/π²)·2·(π/3 - π/6)·(1/4) = 1/(3π); widening by x2: dI = 0, dU = 1
    # ρ² is stationary at equal centres; v falls with h as it rises with w, times w/h
    expected = 1 / (2 * s - 1) ** 2 + a / (3 * math.pi)
    assert gradient_of("ciou", pair)[2] == approx(expected, rel=1e-12)


def test_uiou_freezes_its_trade_off() -> None:
    """Moving a box moves its enlargement, so both have the same derivative."""
    pair = BY_HAND["overlapping"][0]
    enlarged = (-2, -1, 6, 3), (-1 / 2, 0, 11 / 2, 4)
    moved, large = gradient_of("uiou", pair), gradient_of("ciou", enlarged)
    assert [moved[0] + moved[2], moved[1] + moved[3]] == approx([large[0] + large[2], large[1] + large[3]], rel=1e-12)
