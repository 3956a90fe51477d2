"""The oracle itself: identities, limits, and what its boxes claim to be; test_by_hand.py has its values."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from helpers.formulas import Geo, shape_cost, siou
from helpers.oracles import ORACLES, moved
from helpers.pairs import KINKS, Box, Pair, named_pairs, random_pairs

from yolo_wiou import available_losses

approx = pytest.approx
NAMED = named_pairs()
RANDOM = random_pairs(60, seed=1)
PAIRS = {**NAMED, **{f"random-{i}": pair for i, pair in enumerate(RANDOM)}}


def close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)


def test_every_preset_has_its_oracle_and_unknown_settings_are_errors() -> None:
    assert set(ORACLES) == set(available_losses())
    for unknown in ("penalty.theta", "overlap.constant", "gain.gamma", "shape.theta"):
        with pytest.raises((TypeError, KeyError)):
            ORACLES["ciou"].but({unknown: 0.5})(*RANDOM[0])


# ---- identities --------------------------------------------------------------------------------------------------


def test_iou_counts_cells() -> None:
    for b, g in [((0, 0, 7, 3), (2, 1, 9, 6)), ((1, 2, 5, 9), (0, 0, 8, 3)), ((0, 0, 2, 1), (2, 0, 5, 4))]:
        cells = [{(x, y) for x in range(k[0], k[2]) for y in range(k[1], k[3])} for k in (b, g)]
        assert Geo(b, g).iou == approx(float(Fraction(len(cells[0] & cells[1]), len(cells[0] | cells[1]))))


def test_corner_distances_are_centres_and_sizes() -> None:
    for b, g in PAIRS.values():
        c = Geo(b, g)
        both = 2 * c.rho2 + ((c.w - c.wg) ** 2 + (c.h - c.hg) ** 2) / 2
        assert math.fsum((p - t) ** 2 for p, t in zip(b, g, strict=True)) == approx(both)
        penalty = ORACLES["mpdiou"](b, g, stride=8.0, imgsz=(480.0, 640.0)) - ORACLES["iou"](b, g)
        assert penalty == approx(both / (60**2 + 80**2), rel=1e-6, abs=1e-15)


def test_siou_angle_closed_form_is_the_arcsine_form() -> None:
    for c in (Geo(*pair) for pair in PAIRS.values()):
        if c.rho2:
            angle = 1 - 2 * math.sin(math.asin(abs(c.dy) / math.sqrt(c.rho2)) - math.pi / 4) ** 2
            x, y = math.exp(-(2 - angle) * (c.dx / c.cw) ** 2), math.exp(-(2 - angle) * (c.dy / c.ch) ** 2)
            assert sum(siou(c)) == approx((2 - x - y + shape_cost(c, theta=4.0)) / 2, abs=1e-12)


def test_iou_balanced_keeps_the_sum() -> None:
    weighted = ORACLES["iou-balanced-loc"]
    factor = weighted.factor(RANDOM)
    kept = math.fsum(weighted(b, g, factor=factor) for b, g in RANDOM)
    assert kept == approx(math.fsum(ORACLES["ciou"](b, g) for b, g in RANDOM))
    assert math.isnan(weighted.factor([NAMED["disjoint-diagonal"]]))


@pytest.mark.parametrize(
    ("name", "base", "neutral"),
    [
        ("inner-iou", "iou", {"overlap.inner": 1}),
        ("inner-ciou", "ciou", {"overlap.inner": 1}),
        ("inner-siou", "siou", {"overlap.inner": 1}),
        ("inner-shape-iou", "shape-iou", {"overlap.inner": 1}),
        ("inner-wiou3", "wiou3", {"overlap.inner": 1}),
        ("uiou", "ciou", {"scale.start": 1}),
        ("focaler-iou", "iou", {"overlap.focaler": (0, 1)}),
        ("focaler-ciou", "ciou", {"overlap.focaler": (0, 1)}),
        ("inner-focaler-ciou", "inner-ciou", {"overlap.focaler": (0, 1)}),
        ("inner-focaler-ciou", "focaler-ciou", {"overlap.inner": 1}),
        ("inner-mpdiou", "mpdiou", {"overlap.inner": 1}),
        ("focaler-mpdiou", "mpdiou", {"overlap.focaler": (0, 1)}),
        ("inner-piou2", "piou2", {"overlap.inner": 1}),
        ("focaler-piou2", "piou2", {"overlap.focaler": (0, 1)}),
        ("focal-ciou", "ciou", {"gain.gamma": 0}),
        ("iou-nwd", "iou", {"overlap.kappa": 0}),
        ("iou-nwd", "nwd", {"overlap.kappa": 1}),
        ("shape-iou-nwd", "shape-iou", {"overlap.kappa": 0}),
        ("sdiou", "ciou", {"penalty.delta": 0}),
        ("alpha-iou", "iou", {"power": 1}),
        ("alpha-ciou", "ciou", {"power": 1}),
        ("focal-eiou", "eiou", {"gain.gamma": 0}),
        ("wiou2", "wiou1", {"gain.gamma": 0}),
        ("iou-balanced-loc", "ciou", {"gain.lam": 0}),
        ("interpiou", "iou", {"penalty.kappa": 1}),
    ],
)
def test_neutral_settings_give_the_base(name: str, base: str, neutral: dict[str, Any]) -> None:
    loss = ORACLES[name].but(neutral)
    for pair in PAIRS.values():
        assert close(loss(*pair, mean=0.5), ORACLES[base](*pair, mean=0.5))


def test_losses_that_coincide() -> None:
    for b, g in PAIRS.values():
        nested = Geo(b, g).cw * Geo(b, g).ch == Geo(b, g).union
        assert not nested or close(ORACLES["giou"](b, g), ORACLES["iou"](b, g))
        # NWD's K is in pixels: a stride is a smaller K
        assert close(ORACLES["nwd"](b, g, stride=8.0), ORACLES["nwd"].but({"overlap.constant": 1.6})(b, g))
    assert ORACLES["wiou1"](*NAMED["same-centre"]) == approx(ORACLES["iou"](*NAMED["same-centre"]))
    assert ORACLES["ciou"](*NAMED["same-aspect"]) == ORACLES["diou"](*NAMED["same-aspect"])


# ---- limits ------------------------------------------------------------------------------------------------------


def test_ranges_are_tight() -> None:
    g, dots = (0, 0, 1e-9, 2e-9), (1, 1, 1 + 1e-6, 1 + 2e-6)
    assert ORACLES["diou"](dots, g) == approx(2, abs=1e-4)
    assert ORACLES["wiou1"](dots, g) == approx(math.e, abs=1e-4)
    assert ORACLES["giou"](dots, g) == approx(2, abs=1e-4)
    assert ORACLES["ciou"]((1, 1, 1 + 1e-3, 1 + 1e-9), (0, 0, 1e-9, 1e-3)) == approx(2.5, abs=1e-2)
    # two distances of 1 - e⁻², two shapes of (1 - 1/e)⁴, halved
    assert ORACLES["siou"]((1, 1e-6, 1 + 1e-9, 1.001e-6), (0, 0, 1e-12, 1e-12)) == approx(2.0243, abs=5e-3)
    # scale large: weight 2 on the x terms, 0 on the y terms
    wide: Box = (1e9, 0, 1e9 + 1e4, 1)
    large = ORACLES["shape-iou"].but({"penalty.scale": 60.0})
    assert large(wide, (0, 0, 1, 2)) == approx(3 + (1 - math.exp(-2)) ** 4 / 2, abs=1e-3)


def test_degenerate_boxes_are_finite() -> None:
    point, line, box = (2, 3, 2, 3), (2, 3, 5, 3), (1, 1, 6, 4)
    for name in ORACLES.keys() - {"focal-l1", "kld", "gwd", "kfiou"}:
        for b, g in ((point, box), (box, point), (line, box), (box, line), (point, point), (line, line), (line, point)):
            assert math.isfinite(ORACLES[name](b, g, mean=0.5))


# ---- gradients and stop-gradients --------------------------------------------------------------------------------


def test_gradients_do_not_depend_on_the_step() -> None:
    """One-sided differences agree wherever a gradient is to be compared: no pair but KINKS lies on a kink."""
    for name, loss in ORACLES.items():
        for label, (b, g) in PAIRS.items():
            if label in KINKS:
                continue
            side = min(b[2] - b[0], b[3] - b[1], g[2] - g[0], g[3] - g[1]) * 1e-5
            for i in range(4):
                up, down = moved(b, i, side), moved(b, i, -side)
                here = loss(b, g, mean=0.5)
                rise, fall = loss(up, g, at=b, mean=0.5) - here, here - loss(down, g, at=b, mean=0.5)
                assert rise == approx(fall, rel=2e-2, abs=1e-7), (name, label, i)


@pytest.mark.parametrize(
    ("name", "base", "gain"),
    [
        ("wiou2", "wiou1", lambda loss: math.sqrt(loss / 0.5)),
        ("wiou3", "wiou1", lambda loss: loss / 0.5 / (3 * 1.9 ** (loss / 0.5 - 3))),
        ("siou-v3", "siou", lambda loss: loss / 0.5 / (5 * 1.4 ** (loss / 0.5 - 5))),
        ("focal-eiou", "eiou", lambda loss: math.sqrt(1 - loss)),
        ("iou-balanced-loc", "ciou", lambda loss: (1 - loss) ** 1.5),
    ],
)
def test_gains_are_constants_for_the_gradient(name: str, base: str, gain: Callable[[float], float]) -> None:
    for b, g in RANDOM:
        expected = [gain(1 - Geo(b, g).iou) * d for d in ORACLES[base].gradient(b, g)]
        assert ORACLES[name].gradient(b, g, mean=0.5) == approx(expected, rel=1e-6, abs=1e-9)


def test_the_share_by_which_d_interpiou_moves_a_box_is_a_constant_for_the_gradient() -> None:
    for b, g in RANDOM:
        fixed = ORACLES["interpiou"].but({"penalty.kappa": min(max(1 - Geo(b, g).iou, 0.6), 0.99)})
        assert ORACLES["d-interpiou"].gradient(b, g) == approx(fixed.gradient(b, g), rel=1e-6, abs=1e-9)


# ---- the boxes themselves ----------------------------------------------------------------------------------------


def test_boxes_cover_what_they_claim() -> None:
    pairs: list[Pair] = random_pairs(200, seed=0)
    assert pairs == random_pairs(200, seed=0) != random_pairs(200, seed=1)
    ious = sorted(Geo(b, g).iou for b, g in pairs)
    shares = [sum(lo <= i < hi for i in ious) for lo, hi in ((0, 1e-9), (1e-9, 0.3), (0.3, 0.8), (0.8, 1))]
    assert min(shares) > 20
    assert ious[-1] < 1
    for box in (box for pair in [*pairs, *NAMED.values()] for box in pair):
        assert box[2] - box[0] != approx(box[3] - box[1], rel=1e-3)
    assert all(0 < v < 640 and v * 1024 == int(v * 1024) for b, g in pairs for v in (*b, *g))
    disjoint = {name for name, (b, g) in NAMED.items() if Geo(b, g).iou == 0}
    assert disjoint == {name for name in NAMED if name.startswith(("disjoint", "touching"))}
