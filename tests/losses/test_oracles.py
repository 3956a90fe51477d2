"""The oracle itself against values worked by hand, identities and limits: nothing here touches the package."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from helpers import oracles
from helpers.oracles import KINKS, ORACLES, Box, Geo, Pair, gain_v2, gain_v3, gradient, named_pairs, random_pairs

approx = pytest.approx
E = math.e
NAMED = named_pairs()
RANDOM = random_pairs(60, seed=1)
PAIRS = {**NAMED, **{f"random-{i}": pair for i, pair in enumerate(RANDOM)}}
SMOOTH = {name: pair for name, pair in PAIRS.items() if name not in KINKS}
IN_IMAGE = {name: pair for name, pair in PAIRS.items() if name != "huge"}
NO_PULL = {"iou", "alpha-iou", "inner-iou", "focaler-iou", "focal-eiou", "iou-balanced-loc"}


def close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)


# ---- boxes worked by hand ----------------------------------------------------------------------------------------

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
            "iou-balanced-loc": (3 / 11) ** 1.5 * 8 / 11,
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


@pytest.mark.parametrize(("case", "name"), [(case, name) for case, (_, values) in BY_HAND.items() for name in values])
def test_values_worked_by_hand(case: str, name: str) -> None:
    (b, g), values = BY_HAND[case]
    assert ORACLES[name](b, g) == approx(values[name], rel=1e-13, abs=1e-15)


def test_ciou_and_its_relatives_with_angles_known_in_closed_form() -> None:
    # √3 x 1 over 1 x √3 about one centre: I = 1, U = 2√3 - 1, v = (4/π²)(π/6 - π/3)² = 1/9, no centre distance
    s = math.sqrt(3)
    b, g = (-s / 2, -0.5, s / 2, 0.5), (-0.5, -s / 2, 0.5, s / 2)
    loss = 1 - 1 / (2 * s - 1)
    av = 1 / 9 / (loss + 1 / 9) / 9
    assert ORACLES["ciou"](b, g) == approx(loss + av, rel=1e-13)
    assert ORACLES["alpha-ciou"](b, g) == approx(1 - (1 - loss) ** 3 + av**3, rel=1e-13)
    assert ORACLES["ciou-v3"](b, g, mean=0.5) == approx(gain_v3(2 * loss, 1.6, 4) * (loss + av), rel=1e-13)
    # inner boxes about one centre keep their IoU; and so do boxes enlarged about one centre
    for name in ("inner-ciou", "uiou"):
        assert ORACLES[name](b, g) == approx(loss + av, rel=1e-13)


def test_shape_iou_crosses_its_weights() -> None:
    # target 3 x 2, s = 1: ww = 6/5, hh = 4/5 on the other axis; dx² = 1/4, dy² = 1, c² = 25; ω_w = 4/5·1/4, ω_h = 0
    b, g = BY_HAND["overlapping"][0]
    expected = 8 / 11 + (4 / 5 / 4 + 6 / 5) / 25 + (1 - math.exp(-1 / 5)) ** 4 / 2
    assert ORACLES["shape-iou"](b, g, s=1.0) == approx(expected, rel=1e-13)


def test_interpolated_box() -> None:
    # κ = 1/2: (1/2, 1/2, 4, 5/2) against the target: I = 3·3/2, U = 7 + 6 - 9/2 = 17/2, IoU 9/17; κ = 1 is the target
    b, g = BY_HAND["overlapping"][0]
    assert ORACLES["interpiou"](b, g, kappa=0.5) == approx(8 / 11 + 8 / 17, rel=1e-13)
    assert ORACLES["interpiou"](b, g, kappa=1.0) == approx(8 / 11)
    assert ORACLES["d-interpiou"](b, g) == approx(ORACLES["interpiou"](b, g, kappa=8 / 11))
    assert ORACLES["d-interpiou"](*BY_HAND["disjoint"][0]) == ORACLES["interpiou"](*BY_HAND["disjoint"][0], kappa=0.99)


def test_iou_counts_cells() -> None:
    for b, g in [((0, 0, 7, 3), (2, 1, 9, 6)), ((1, 2, 5, 9), (0, 0, 8, 3)), ((0, 0, 2, 1), (2, 0, 5, 4))]:
        cells = [{(x, y) for x in range(k[0], k[2]) for y in range(k[1], k[3])} for k in (b, g)]
        assert Geo(b, g).iou == approx(float(Fraction(len(cells[0] & cells[1]), len(cells[0] | cells[1]))))


# ---- values printed in the papers and derived from them ----------------------------------------------------------


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
def test_gain_table(
    alpha: float, delta: float, peak: float, top: float, at1: float, at_quarter: float, at5: float, crossing: float
) -> None:
    def r(beta: float) -> float:
        return gain_v3(beta, alpha, delta)

    top_at = 1 / math.log(alpha)
    assert top_at == approx(peak, abs=5e-5)
    assert r(top_at) == approx(alpha**delta / (E * delta * math.log(alpha)))
    assert [r(top_at), r(1), r(0.25), r(5)] == approx([top, at1, at_quarter, at5], abs=5.01e-5)
    assert r(crossing - 5e-5) < 1 < r(crossing + 5e-5)
    assert r(0) == 0
    assert r(delta) == 1
    rise, fall = ([r(lo + (hi - lo) * i / 50) for i in range(51)] for lo, hi in ((0, top_at), (top_at, 60)))
    assert rise == sorted(rise)
    assert fall == sorted(fall, reverse=True)
    assert 0 < fall[-1] < 1e-5


def test_gains_depend_on_the_loss_relative_to_its_mean() -> None:
    b, g = RANDOM[2]
    loss, base = ORACLES["iou"](b, g), ORACLES["wiou1"](b, g)
    for mean in (0.3, 1.0):
        assert ORACLES["wiou2"](b, g, mean=mean) == approx(math.sqrt(loss / mean) * base)
        assert ORACLES["wiou3"](b, g, mean=mean) == approx(gain_v3(loss / mean) * base)
        assert ORACLES["siou-v3"](b, g, mean=mean) == approx(gain_v3(loss / mean, 1.4, 5) * ORACLES["siou"](b, g))
    assert max(gain_v3(i / 100) for i in range(101)) == gain_v3(1) == approx(1.203, abs=5e-4)


def test_piou2_attention() -> None:
    u = oracles.piou2_u
    assert [u(0), u(0.60894), u(1), u(2)] == approx([0.71963, 1.28664, 1.1414, 0.5117], abs=5e-5)
    assert max(u(i / 1e4) for i in range(30000)) == approx(3 / math.sqrt(2 * E), abs=1e-8)
    # with the attention not detached a box without overlap would be pushed away beyond P = 0.943
    product = [u(i / 1000) * (2 - math.exp(-((i / 1000) ** 2))) for i in range(3000)]
    assert product.index(max(product)) == 943


@pytest.mark.parametrize(
    ("beta", "f1", "slope", "c"),
    [  # c is f(1) - slope, and so -0.13126 and 0.30103 (not -0.13130 and 0.30105)
        (1 / E, 0.75, 1, -0.25),
        (0.5, 0.81083, 0.94208, -0.13126),
        (0.8, 0.78628, 0.48525, 0.30103),
        (1, 0.67957, 0, 0.67957),
    ],
)
def test_focal_l1(beta: float, f1: float, slope: float, c: float) -> None:
    def f(x: float) -> float:
        return oracles.focal_l1_f(x, beta)

    assert [f(1), f(3) - f(2), 3 * f(2) - 2 * f(3)] == approx([f1, slope, c], abs=5.01e-6)
    assert f(0) == 0
    assert f(1 + 1e-9) == approx(f(1))
    top = min(1 / (E * beta), 1)
    slopes = {x: (f(x + 1e-6) - f(x - 1e-6)) / 2e-6 for x in (0.2, top * (1 - 1e-5), 0.9)}
    assert all(s == approx(-E * beta * x * math.log(beta * x), abs=1e-8) for x, s in slopes.items())
    assert max(slopes.values()) == approx(1)


def test_focal_l1_sums_four_offsets() -> None:
    # dx / wg = -1/6, dy / hg = -1/2, log(w / wg) = log(4/3), log(h / hg) = 0
    b, g = BY_HAND["overlapping"][0]
    expected = math.fsum(oracles.focal_l1_f(x) for x in (1 / 6, 1 / 2, math.log(4 / 3)))
    assert ORACLES["focal-l1"](b, g) == approx(expected)


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_corner_distances_are_centres_and_sizes(pair: Pair) -> None:
    b, g = pair
    c = Geo(b, g)
    both = 2 * c.rho2 + ((c.w - c.wg) ** 2 + (c.h - c.hg) ** 2) / 2
    assert math.fsum((p - t) ** 2 for p, t in zip(b, g, strict=True)) == approx(both)
    penalty = ORACLES["mpdiou"](b, g, stride=8.0, imgsz=(480.0, 640.0)) - ORACLES["iou"](b, g)
    assert penalty == approx(both / (60**2 + 80**2), rel=1e-6, abs=1e-15)


def test_mpdiou_hardly_sees_small_boxes() -> None:
    b, g = (100, 100, 130, 120), (110, 100, 140, 120)
    assert ORACLES["mpdiou"](b, g) - ORACLES["iou"](b, g) == approx(2.4e-4, abs=5e-6)


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_siou_angle_closed_form_is_the_arcsine_form(pair: Pair) -> None:
    c = Geo(*pair)
    if not c.rho2:
        return
    angle = 1 - 2 * math.sin(math.asin(abs(c.dy) / math.sqrt(c.rho2)) - math.pi / 4) ** 2
    x, y = math.exp(-(2 - angle) * (c.dx / c.cw) ** 2), math.exp(-(2 - angle) * (c.dy / c.ch) ** 2)
    assert oracles.siou_penalty(c) == approx((2 - x - y + oracles.shape_cost(c)) / 2, abs=1e-12)


def test_iou_balanced_keeps_the_sum() -> None:
    factor = oracles.balanced_normaliser(RANDOM)
    kept = math.fsum(ORACLES["iou-balanced-loc"](b, g) for b, g in RANDOM) * factor
    assert kept == approx(math.fsum(ORACLES["iou"](b, g) for b, g in RANDOM))
    pairs = [BY_HAND["overlapping"][0], BY_HAND["disjoint"][0]]  # losses 8/11 and 1, weights 3/11 and 0
    assert oracles.balanced_normaliser(pairs, lam=1.0) == approx((19 / 11) / (24 / 121))
    assert math.isnan(oracles.balanced_normaliser(pairs[1:]))


# ---- what every loss must do -------------------------------------------------------------------------------------


def test_all_presets_are_here() -> None:
    plain = "iou giou diou ciou eiou siou alpha-iou alpha-ciou mpdiou shape-iou piou piou2 nwd uiou"
    plain += " interpiou d-interpiou"
    inner = "inner-iou inner-ciou inner-siou inner-shape-iou focaler-iou focaler-ciou inner-focaler-ciou"
    gains = "focal-eiou focal-l1 wiou1 wiou2 wiou3 ciou-v3 siou-v3 inner-wiou3 iou-balanced-loc"
    assert set(ORACLES) >= set(f"{plain} {inner} {gains}".split())
    with pytest.raises(TypeError):
        ORACLES["ciou"](*RANDOM[0], ratio=0.5)


RANGES = {"iou": 1, "giou": 2, "diou": 2, "ciou": 2.5, "eiou": 4, "focal-eiou": 4, "siou": 2.03, "mpdiou": 3, "nwd": 1}
RANGES |= {"alpha-iou": 1, "shape-iou": 3.3, "piou": 2, "interpiou": 2, "d-interpiou": 2, "wiou1": E}


@pytest.mark.parametrize("name", ORACLES)
def test_values_lie_in_range(name: str) -> None:
    for b, g in IN_IMAGE.values():
        assert -1e-12 <= ORACLES[name](b, g, stride=1.0, mean=0.5) <= RANGES.get(name, math.inf)


def test_ranges_are_tight() -> None:
    g, dots = (0, 0, 1e-9, 2e-9), (1, 1, 1 + 1e-6, 1 + 2e-6)
    assert ORACLES["diou"](dots, g) == approx(2, abs=1e-4)
    assert ORACLES["wiou1"](dots, g) == approx(E, abs=1e-4)
    assert ORACLES["giou"](dots, g) == approx(2, abs=1e-4)
    assert ORACLES["ciou"]((1, 1, 1 + 1e-3, 1 + 1e-9), (0, 0, 1e-9, 1e-3)) == approx(2.5, abs=1e-2)
    # two distances of 1 - e⁻², two shapes of (1 - 1/e)⁴, halved
    assert ORACLES["siou"]((1, 1e-6, 1 + 1e-9, 1.001e-6), (0, 0, 1e-12, 1e-12)) == approx(2.0243, abs=5e-3)
    # s large: weight 2 on the x terms, 0 on the y terms
    wide: Box = (1e9, 0, 1e9 + 1e4, 1)
    assert ORACLES["shape-iou"](wide, (0, 0, 1, 2), s=60.0) == approx(3 + (1 - E**-2) ** 4 / 2, abs=1e-3)


@pytest.mark.parametrize("name", ORACLES)
def test_equal_boxes_cost_nothing(name: str) -> None:
    for g in (NAMED["identical"][0], *(g for _, g in RANDOM)):
        assert ORACLES[name](g, g, mean=0.5) == approx(0, abs=1e-12)


@pytest.mark.parametrize("name", sorted(set(ORACLES) - {"focal-l1"}))
def test_degenerate_boxes_are_finite(name: str) -> None:
    point, line, box = (2, 3, 2, 3), (2, 3, 5, 3), (1, 1, 6, 4)
    for b, g in ((point, box), (box, point), (line, box), (box, line), (point, point), (line, line), (line, point)):
        assert math.isfinite(ORACLES[name](b, g, mean=0.5))


@pytest.mark.parametrize("name", ORACLES)
def test_scale_and_transposition_change_nothing(name: str) -> None:
    for b, g in RANDOM:
        loss = ORACLES[name](b, g, imgsz=(480.0, 640.0), mean=0.5)
        flip: Pair = ((b[1], b[0], b[3], b[2]), (g[1], g[0], g[3], g[2]))
        assert close(ORACLES[name](*flip, imgsz=(640.0, 480.0), mean=0.5), loss)
        # boxes in units of 1/4 pixel, each a 1/4 pixel wide: the same boxes in pixels, also for NWD and MPDIoU
        fine: list[Box] = [(k[0] * 4, k[1] * 4, k[2] * 4, k[3] * 4) for k in (b, g)]
        assert close(ORACLES[name](*fine, stride=0.25, imgsz=(480.0, 640.0), mean=0.5), loss)
        if name not in ("nwd", "mpdiou"):
            assert close(ORACLES[name](*fine, mean=0.5), loss)


@pytest.mark.parametrize(
    ("name", "base", "neutral"),
    [
        ("inner-iou", "iou", {"ratio": 1}),
        ("inner-ciou", "ciou", {"ratio": 1}),
        ("inner-siou", "siou", {"ratio": 1}),
        ("inner-shape-iou", "shape-iou", {"ratio": 1}),
        ("inner-wiou3", "wiou3", {"ratio": 1}),
        ("uiou", "ciou", {"ratio": 1}),
        ("focaler-iou", "iou", {"d": 0, "u": 1}),
        ("focaler-ciou", "ciou", {"d": 0, "u": 1}),
        ("inner-focaler-ciou", "inner-ciou", {"d": 0, "u": 1}),
        ("inner-focaler-ciou", "focaler-ciou", {"ratio": 1}),
        ("alpha-iou", "iou", {"power": 1}),
        ("alpha-ciou", "ciou", {"power": 1}),
        ("focal-eiou", "eiou", {"gamma": 0}),
        ("wiou2", "wiou1", {"gamma": 0}),
        ("iou-balanced-loc", "iou", {"lam": 0}),
    ],
)
def test_neutral_parameters_give_the_base(name: str, base: str, neutral: dict[str, float]) -> None:
    for pair in PAIRS.values():
        assert close(ORACLES[name](*pair, mean=0.5, **neutral), ORACLES[base](*pair, mean=0.5))


def test_losses_that_coincide() -> None:
    for b, g in PAIRS.values():
        nested = Geo(b, g).cw * Geo(b, g).ch == Geo(b, g).union
        assert not nested or close(ORACLES["giou"](b, g), ORACLES["iou"](b, g))
        # NWD's K is in pixels: a stride is a smaller K
        assert close(ORACLES["nwd"](b, g, stride=8.0), ORACLES["nwd"](b, g, K=1.6))
    assert ORACLES["wiou1"](*NAMED["same-centre"]) == ORACLES["iou"](*NAMED["same-centre"])
    assert ORACLES["ciou"](*NAMED["same-aspect"]) == ORACLES["diou"](*NAMED["same-aspect"])


# ---- gradients and stop-gradients --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ORACLES)
def test_disjoint_boxes_get_a_gradient(name: str) -> None:
    for b, g in [(b, g) for b, g in SMOOTH.values() if Geo(b, g).iou == 0]:
        assert any(gradient(ORACLES[name], b, g, mean=0.5)) == (name not in NO_PULL)


@pytest.mark.parametrize("name", sorted(set(ORACLES) - NO_PULL))
@pytest.mark.parametrize("shift", [(9.0, 1.0), (-5.0, 0.5), (-1.0, 4.0), (0.25, -6.0), (6.0, 4.0), (-7.0, 5.0)])
def test_disjoint_boxes_of_one_size_are_pulled_together(name: str, shift: tuple[float, float]) -> None:
    g: Box = (20.0, 30.0, 24.0, 32.5)
    b: Box = (20.0 + shift[0], 30.0 + shift[1], 24.0 + shift[0], 32.5 + shift[1])
    grad = gradient(ORACLES[name], b, g, mean=0.5)
    assert (grad[0] + grad[2]) * shift[0] + (grad[1] + grad[3]) * shift[1] > 0


def test_gradients_do_not_depend_on_the_step() -> None:
    """One-sided differences agree wherever a gradient is to be compared: no pair but KINKS lies on a kink."""
    for name, loss in ORACLES.items():
        for label, (b, g) in SMOOTH.items():
            side = min(b[2] - b[0], b[3] - b[1], g[2] - g[0], g[3] - g[1]) * 1e-5
            for i in range(4):
                up, down = ((*b[:i], b[i] + d, *b[i + 1 :]) for d in (side, -side))
                here = loss(b, g, mean=0.5)
                rise, fall = loss(up, g, at=b, mean=0.5) - here, here - loss(down, g, at=b, mean=0.5)
                assert rise == approx(fall, rel=2e-2, abs=1e-7), (name, label, i)


@pytest.mark.parametrize(
    ("name", "base", "gain"),
    [
        ("wiou2", "wiou1", lambda b, g: gain_v2((1 - Geo(b, g).iou) / 0.5)),
        ("wiou3", "wiou1", lambda b, g: gain_v3((1 - Geo(b, g).iou) / 0.5)),
        ("ciou-v3", "ciou", lambda b, g: gain_v3((1 - Geo(b, g).iou) / 0.5, 1.6, 4)),
        ("siou-v3", "siou", lambda b, g: gain_v3((1 - Geo(b, g).iou) / 0.5, 1.4, 5)),
        ("focal-eiou", "eiou", lambda b, g: math.sqrt(Geo(b, g).iou)),
        ("piou2", "piou", lambda b, g: oracles.piou2_u(oracles.edge_distance(Geo(b, g)))),
        ("iou-balanced-loc", "iou", lambda b, g: Geo(b, g).iou ** 1.5),
        ("d-interpiou", "interpiou", None),
    ],
)
def test_gains_are_constants_for_the_gradient(name: str, base: str, gain) -> None:  # type: ignore[no-untyped-def]
    for b, g in RANDOM:
        kappa = {} if gain else {"kappa": min(max(1 - Geo(b, g).iou, 0.6), 0.99)}
        factor = gain(b, g) if gain else 1.0
        expected = [factor * d for d in gradient(ORACLES[base], b, g, **kappa)]
        assert gradient(ORACLES[name], b, g, mean=0.5) == approx(expected, rel=1e-6, abs=1e-9)


def test_wiou_freezes_the_hull_but_not_the_distance() -> None:
    # disjoint, so L = exp(ρ²/80) with 80 frozen: dL/dx1 = dx·L/80, since x1 moves the centre by a half
    b, g = BY_HAND["disjoint"][0]
    loss = math.exp(157 / 320)
    assert gradient(ORACLES["wiou1"], b, g) == approx([loss * d / 80 for d in (-5.5, -3, -5.5, -3)], rel=1e-7)


def test_ciou_freezes_its_trade_off() -> None:
    # same centre and disjoint terms absent: only a·v and IoU move with the frozen a
    s = math.sqrt(3)
    b, g = (-s / 2, -0.5, s / 2, 0.5), (-0.5, -s / 2, 0.5, s / 2)
    a = 1 / 9 / (1 - 1 / (2 * s - 1) + 1 / 9)
    # d atan(w/h)/dw = h/(w² + h²) = 1/4; dv/dw = (4/π²)·2·(π/3 - π/6)·(1/4) = 1/(3π); widening by x2: dI = 0, dU = 1
    # ρ² is stationary at equal centres; v falls with h as it rises with w, times w/h
    expected = 1 / (2 * s - 1) ** 2 + a / (3 * math.pi)
    assert gradient(ORACLES["ciou"], b, g)[2] == approx(expected, rel=1e-7)


def test_uiou_freezes_its_trade_off() -> None:
    """Moving a box moves its enlargement, so both have the same derivative."""
    for b, g in RANDOM:
        moved = gradient(ORACLES["uiou"], b, g)
        large = gradient(ORACLES["ciou"], oracles.scaled(b, 2), oracles.scaled(g, 2))
        assert moved[0] + moved[2] == approx(large[0] + large[2], rel=1e-6, abs=1e-9)


# ---- the boxes themselves ----------------------------------------------------------------------------------------


def test_boxes_cover_what_they_claim() -> None:
    pairs = random_pairs(200, seed=0)
    assert pairs == random_pairs(200, seed=0) != random_pairs(200, seed=1)
    ious = sorted(Geo(b, g).iou for b, g in pairs)
    shares = [sum(lo <= i < hi for i in ious) for lo, hi in ((0, 1e-9), (1e-9, 0.3), (0.3, 0.8), (0.8, 1))]
    assert min(shares) > 20
    assert ious[-1] < 1
    for b, g in [*pairs, *named_pairs().values()]:
        for k in (b, g):
            assert k[2] - k[0] != approx(k[3] - k[1], rel=1e-3)
    assert all(0 < v < 640 and v * 1024 == int(v * 1024) for b, g in pairs for v in (*b, *g))
    disjoint = {name for name, (b, g) in NAMED.items() if Geo(b, g).iou == 0}
    assert disjoint == {name for name in NAMED if name.startswith(("disjoint", "touching"))}
