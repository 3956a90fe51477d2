"""Every box loss once more, in scalar float64 arithmetic: the values and gradients that the tensors must reproduce.

Call `ORACLES["wiou3"](b, g)` or `wiou3(b, g)`. `b` and `g` are the predicted and the target box, xyxy in stride units.
Optional keywords of every oracle: `at`, the prediction at which all detached quantities are evaluated (None: `b`
itself), so that a finite difference of `loss(b + h, g, at=b)` is the gradient under the stop-gradient rules; `stride`,
pixels per box unit; `imgsz`, (height, width) in pixels; `mean`, the running mean of the IoU loss. All other keywords
are parameters of the loss, by default those of the preset; an unknown one is a TypeError.

No denominator carries an eps: `ratio_of` gives 0/0 the value 0, and a positive number over 0 is infinite.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable, Iterable

Box = tuple[float, float, float, float]
Pair = tuple[Box, Box]

ORACLES: dict[str, Callable[..., float]] = {}


def ratio_of(n: float, d: float) -> float:
    """Divide n >= 0 by d. Only degenerate boxes reach the other branch: 0/0 = 0, as any eps on d would give."""
    return n / d if d else (math.inf if n else 0.0)


class Geo:
    """What two boxes share: sizes, centre offsets, intersection over union, enclosing box."""

    def __init__(self, b: Box, g: Box) -> None:
        self.b, self.g = b, g
        self.w, self.h, self.wg, self.hg = b[2] - b[0], b[3] - b[1], g[2] - g[0], g[3] - g[1]
        self.dx, self.dy = (b[0] + b[2] - g[0] - g[2]) / 2, (b[1] + b[3] - g[1] - g[3]) / 2
        self.rho2 = self.dx**2 + self.dy**2
        inter = max(min(b[2], g[2]) - max(b[0], g[0]), 0.0) * max(min(b[3], g[3]) - max(b[1], g[1]), 0.0)
        self.union = self.w * self.h + self.wg * self.hg - inter
        self.iou = ratio_of(inter, self.union)
        self.cw, self.ch = max(b[2], g[2]) - min(b[0], g[0]), max(b[3], g[3]) - min(b[1], g[1])
        self.c2 = self.cw**2 + self.ch**2


class Case(Geo):
    """The boxes of one call (`c.iou`), the same at the frozen prediction (`c.at.iou`), and the context."""

    def __init__(self, b: Box, g: Box, at: Box | None, stride: float, imgsz: tuple[float, float], mean: float) -> None:
        super().__init__(b, g)
        self.at = Geo(b if at is None else at, g)
        self.stride, self.imgsz, self.mean = stride, imgsz, mean


def oracle(formula: Callable[..., float]) -> Callable[..., float]:
    """Turn a formula over a Case into an oracle over two boxes, and list it under its preset name."""

    @functools.wraps(formula)
    def loss(
        b: Box,
        g: Box,
        *,
        at: Box | None = None,
        stride: float = 1.0,
        imgsz: tuple[float, float] = (640.0, 640.0),
        mean: float = 1.0,
        **params: float,
    ) -> float:
        return formula(Case(b, g, at, stride, imgsz, mean), **params)

    ORACLES[formula.__name__.replace("_", "-")] = loss
    return loss


def gradient(loss: Callable[..., float], b: Box, g: Box, *, step: float = 1e-5, **kwargs: object) -> list[float]:
    """Derivatives of the loss by x1, y1, x2, y2 of the prediction: central differences, detached quantities frozen.

    `step` is relative to the shortest side. It means nothing at a kink (see KINKS).
    """
    size = step * (min(b[2] - b[0], b[3] - b[1], g[2] - g[0], g[3] - g[1]) or 1.0)
    out = []
    for i in range(4):
        lo, hi = ((*b[:i], b[i] + d, *b[i + 1 :]) for d in (-size, size))
        out.append((loss(hi, g, at=b, **kwargs) - loss(lo, g, at=b, **kwargs)) / (hi[i] - lo[i]))
    return out


# ---- overlaps ----------------------------------------------------------------------------------------------------


def scaled(box: Box, ratio: float) -> Box:
    """The box with its sides multiplied by `ratio` about its own centre."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    w, h = (box[2] - box[0]) * ratio, (box[3] - box[1]) * ratio
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def inner(c: Geo, ratio: float) -> float:
    return Geo(scaled(c.b, ratio), scaled(c.g, ratio)).iou


def focal_map(iou: float, d: float, u: float) -> float:
    return min(max((iou - d) / (u - d), 0.0), 1.0)


def between(c: Geo, kappa: float) -> float:
    """IoU of the target with the box interpolated between prediction (kappa 0) and target (kappa 1)."""
    x1, y1, x2, y2 = ((1 - kappa) * p + kappa * t for p, t in zip(c.b, c.g, strict=True))
    return Geo((x1, y1, x2, y2), c.g).iou


# ---- penalties ---------------------------------------------------------------------------------------------------


def centre_term(c: Geo) -> float:
    return ratio_of(c.rho2, c.c2)


def aspect(c: Geo) -> float:
    return 4 / math.pi**2 * (math.atan2(c.wg, c.hg) - math.atan2(c.w, c.h)) ** 2


def aspect_term(c: Case) -> float:
    """a·v with a = v / (1 - IoU + v) detached. 0/0 at equal boxes."""
    return ratio_of(aspect(c.at), 1 - c.at.iou + aspect(c.at)) * aspect(c)


def ciou_penalty(c: Case) -> float:
    return centre_term(c) + aspect_term(c)


def size_terms(c: Geo) -> float:
    return ratio_of((c.w - c.wg) ** 2, c.cw**2) + ratio_of((c.h - c.hg) ** 2, c.ch**2)


def shape_cost(c: Geo, kw: float = 1.0, kh: float = 1.0, theta: float = 4.0) -> float:
    ww, wh = kw * ratio_of(abs(c.w - c.wg), max(c.w, c.wg)), kh * ratio_of(abs(c.h - c.hg), max(c.h, c.hg))
    return (1 - math.exp(-ww)) ** theta + (1 - math.exp(-wh)) ** theta


def siou_penalty(c: Geo) -> float:
    angle = ratio_of(2 * abs(c.dx * c.dy), c.rho2)  # sine of twice the angle; 0/0 at equal centres
    rx, ry = ratio_of(c.dx**2, c.cw**2), ratio_of(c.dy**2, c.ch**2)
    distance = 2 - math.exp(-(2 - angle) * rx) - math.exp(-(2 - angle) * ry)
    return (distance + shape_cost(c)) / 2


def shape_penalty(c: Geo, s: float) -> float:
    ww, hh = 2 * c.wg**s / (c.wg**s + c.hg**s), 2 * c.hg**s / (c.wg**s + c.hg**s)
    return ratio_of(hh * c.dx**2 + ww * c.dy**2, c.c2) + shape_cost(c, hh, ww) / 2


def edge_distance(c: Geo) -> float:
    """P of PIoU: the four edge distances over the target's sides."""
    dw, dh = (abs(c.b[i] - c.g[i]) + abs(c.b[i + 2] - c.g[i + 2]) for i in (0, 1))
    return (ratio_of(dw, c.wg) + ratio_of(dh, c.hg)) / 4


def attention(c: Case) -> float:
    """R of WIoU: c² detached, ρ² not."""
    return math.exp(ratio_of(c.rho2, c.at.c2))


# ---- gains, all of them constants for the gradient ---------------------------------------------------------------


def gain_v2(beta: float, gamma: float = 0.5) -> float:
    return beta**gamma


def gain_v3(beta: float, alpha: float = 1.9, delta: float = 3.0) -> float:
    return beta / (delta * alpha ** (beta - delta))


def outlier_degree(c: Case) -> float:
    return (1 - c.at.iou) / c.mean


def piou2_u(P: float, lam: float = 1.3) -> float:
    q = lam * math.exp(-P)
    return 3 * q * math.exp(-(q**2))


def focal_l1_f(x: float, beta: float = 0.8) -> float:
    alpha, log_beta = math.e * beta, math.log(beta)
    if x > 1:
        return -alpha * log_beta * x + (2 * alpha * log_beta + alpha) / 4
    return -alpha * x**2 * (2 * math.log(beta * x) - 1) / 4 if x else 0.0  # x² ln x -> 0


def balanced_normaliser(pairs: Iterable[Pair], *, lam: float = 1.5) -> float:
    """Σ L / Σ IoU^λ L: the detached factor with which `iou_balanced_loc` has the same sum over the batch as `iou`.

    NaN where every product is 0 (all boxes disjoint or equal): no factor can keep the sum there.
    """
    ious = [Geo(b, g).iou for b, g in pairs]
    weighted = math.fsum(i**lam * (1 - i) for i in ious)
    return math.fsum(1 - i for i in ious) / weighted if weighted else math.nan


# ---- the losses: gain · (1 - overlap + penalty) ------------------------------------------------------------------


@oracle
def iou(c: Case) -> float:
    return 1 - c.iou


@oracle
def giou(c: Case) -> float:
    return 1 - c.iou + ratio_of(c.cw * c.ch - c.union, c.cw * c.ch)


@oracle
def diou(c: Case) -> float:
    return 1 - c.iou + centre_term(c)


@oracle
def ciou(c: Case) -> float:
    return 1 - c.iou + ciou_penalty(c)


@oracle
def eiou(c: Case) -> float:
    return 1 - c.iou + centre_term(c) + size_terms(c)


@oracle
def siou(c: Case) -> float:
    return 1 - c.iou + siou_penalty(c)


@oracle
def alpha_iou(c: Case, power: float = 3.0) -> float:
    return 1 - c.iou**power


@oracle
def alpha_ciou(c: Case, power: float = 3.0) -> float:
    return 1 - c.iou**power + centre_term(c) ** power + aspect_term(c) ** power


@oracle
def mpdiou(c: Case) -> float:
    corners = math.fsum((p - t) ** 2 for p, t in zip(c.b, c.g, strict=True))
    return 1 - c.iou + corners / math.fsum((side / c.stride) ** 2 for side in c.imgsz)


@oracle
def shape_iou(c: Case, s: float = 0.0) -> float:
    return 1 - c.iou + shape_penalty(c, s)


@oracle
def piou(c: Case) -> float:
    return 1 - c.iou + 1 - math.exp(-(edge_distance(c) ** 2))


@oracle
def piou2(c: Case, lam: float = 1.3) -> float:
    return piou2_u(edge_distance(c.at), lam) * (1 - c.iou + 1 - math.exp(-(edge_distance(c) ** 2)))


@oracle
def nwd(c: Case, K: float = 12.8, eps: float = 0.0) -> float:
    """K and eps in pixels and pixels². The published code has eps 1e-6, to be differentiable at equal boxes."""
    w2 = c.stride**2 * (c.rho2 + ((c.w - c.wg) ** 2 + (c.h - c.hg) ** 2) / 4)
    return 1 - math.exp(-math.sqrt(w2 + eps) / K)


@oracle
def uiou(c: Case, ratio: float = 2.0) -> float:
    b, g, at = (scaled(box, ratio) for box in (c.b, c.g, c.at.b))
    return ciou(b, g, at=at)


@oracle
def interpiou(c: Case, kappa: float = 0.98) -> float:
    return 1 - c.iou + 1 - between(c, kappa)


@oracle
def d_interpiou(c: Case, low: float = 0.6, high: float = 0.99) -> float:
    return 1 - c.iou + 1 - between(c, min(max(1 - c.at.iou, low), high))


@oracle
def inner_iou(c: Case, ratio: float = 0.75) -> float:
    return 1 - inner(c, ratio)


@oracle
def inner_ciou(c: Case, ratio: float = 0.75) -> float:
    return 1 - inner(c, ratio) + ciou_penalty(c)


@oracle
def inner_siou(c: Case, ratio: float = 0.75) -> float:
    return 1 - inner(c, ratio) + siou_penalty(c)


@oracle
def inner_shape_iou(c: Case, ratio: float = 0.75, s: float = 0.0) -> float:
    return 1 - inner(c, ratio) + shape_penalty(c, s)


@oracle
def focaler_iou(c: Case, d: float = 0.0, u: float = 0.95) -> float:
    return 1 - focal_map(c.iou, d, u)


@oracle
def focaler_ciou(c: Case, d: float = 0.0, u: float = 0.95) -> float:
    return 1 - focal_map(c.iou, d, u) + ciou_penalty(c)


@oracle
def inner_focaler_ciou(c: Case, ratio: float = 0.75, d: float = 0.0, u: float = 0.95) -> float:
    return 1 - focal_map(inner(c, ratio), d, u) + ciou_penalty(c)


@oracle
def focal_eiou(c: Case, gamma: float = 0.5) -> float:
    return c.at.iou**gamma * (1 - c.iou + centre_term(c) + size_terms(c))


@oracle
def focal_l1(c: Case, beta: float = 0.8) -> float:
    """Needs positive sides."""
    offsets = c.dx / c.wg, c.dy / c.hg, math.log(c.w / c.wg), math.log(c.h / c.hg)
    return math.fsum(focal_l1_f(abs(x), beta) for x in offsets)


@oracle
def wiou1(c: Case) -> float:
    return attention(c) * (1 - c.iou)


@oracle
def wiou2(c: Case, gamma: float = 0.5) -> float:
    return gain_v2(outlier_degree(c), gamma) * attention(c) * (1 - c.iou)


@oracle
def wiou3(c: Case, alpha: float = 1.9, delta: float = 3.0) -> float:
    return gain_v3(outlier_degree(c), alpha, delta) * attention(c) * (1 - c.iou)


@oracle
def ciou_v3(c: Case, alpha: float = 1.6, delta: float = 4.0) -> float:
    return gain_v3(outlier_degree(c), alpha, delta) * (1 - c.iou + ciou_penalty(c))


@oracle
def siou_v3(c: Case, alpha: float = 1.4, delta: float = 5.0) -> float:
    return gain_v3(outlier_degree(c), alpha, delta) * (1 - c.iou + siou_penalty(c))


@oracle
def inner_wiou3(c: Case, ratio: float = 0.75, alpha: float = 1.9, delta: float = 3.0) -> float:
    penalty = (attention(c) - 1) * (1 - c.iou)
    return gain_v3(outlier_degree(c), alpha, delta) * (1 - inner(c, ratio) + penalty)


@oracle
def iou_balanced_loc(c: Case, lam: float = 1.5) -> float:
    """Without the factor of the batch, `balanced_normaliser`."""
    return c.at.iou**lam * (1 - c.iou)


# ---- boxes to test with ------------------------------------------------------------------------------------------

KINKS = frozenset({"identical", "touching-edge", "touching-corner"})  # one-sided derivatives differ: no gradient tests


def named_pairs() -> dict[str, Pair]:
    """(prediction, target) by what is special about them. No box is square."""
    return {
        "identical": ((2.0, 3.0, 7.0, 5.0), (2.0, 3.0, 7.0, 5.0)),
        "overlapping": ((1.0, 2.0, 9.0, 7.0), (2.0, 3.0, 11.0, 7.5)),
        "inside-target": ((3.0, 4.0, 5.0, 5.0), (2.0, 1.5, 8.0, 6.0)),
        "around-target": ((2.0, 1.5, 8.0, 6.0), (3.0, 4.0, 5.0, 5.0)),
        "disjoint-horizontal": ((1.0, 1.0, 4.0, 3.0), (9.0, 1.25, 13.0, 3.5)),
        "disjoint-vertical": ((1.0, 1.0, 4.0, 3.0), (1.25, 9.0, 4.5, 11.0)),
        "disjoint-diagonal": ((20.0, 15.0, 24.0, 18.0), (3.0, 2.0, 8.0, 4.0)),
        "touching-edge": ((1.0, 1.0, 4.0, 3.0), (4.0, 1.5, 9.0, 5.0)),
        "touching-corner": ((1.0, 1.0, 4.0, 3.0), (4.0, 3.0, 9.0, 6.0)),
        "crossing": ((1.5, 4.0, 12.0, 7.0), (5.0, 1.0, 8.0, 9.5)),
        "same-centre": ((1.0, 2.0, 9.0, 8.0), (3.0, 1.0, 7.0, 9.0)),
        "same-aspect": ((1.0, 1.0, 7.0, 5.0), (2.0, 1.5, 5.0, 3.5)),
        "very-flat": ((0.5, 4.0, 64.5, 4.125), (3.0, 4.0625, 60.0, 4.25)),
        "tiny": ((0.001, 0.002, 0.002, 0.0027), (0.0012, 0.0021, 0.0021, 0.00265)),
        "huge": ((1.0e3, 2.0e3, 1.01e5, 8.2e4), (9.0e3, 1.0e3, 9.6e4, 7.1e4)),
    }


def random_pairs(n: int, seed: int) -> list[Pair]:
    """Draw n pairs, from nearly equal to far apart, within 640 x 640.

    No box is square. None lies near a kink: no two edges or centres are aligned, nor those of the boxes scaled for
    Inner-IoU (0.75) and UIoU (2). Coordinates are multiples of 1/1024, so exact in float32 too.
    """
    rng = random.Random(seed)
    pairs: list[Pair] = []
    while len(pairs) < n:
        level = (0.02, 0.1, 0.3, 0.8, 2.5)[len(pairs) % 5]
        size = [math.exp(rng.uniform(math.log(4), math.log(60))) for _ in "wh"]
        centre = [rng.uniform(250, 390) for _ in "xy"]
        moved = [x + rng.uniform(-level, level) * s for x, s in zip(centre, size, strict=True)]
        resized = [s * math.exp(rng.uniform(-1, 1) * min(level, 1.0)) for s in size]
        b, g = _box(moved, resized), _box(centre, size)
        oblong = all(abs(math.log((k[2] - k[0]) / (k[3] - k[1]))) > 0.05 for k in (b, g))
        if oblong and min(_gap(scaled(b, ratio), scaled(g, ratio)) for ratio in (0.0, 0.75, 1.0, 2.0)) > 2e-3:
            pairs.append((b, g))
    return pairs


def _box(centre: list[float], size: list[float]) -> Box:
    (x, y), (w, h) = centre, size
    x1, y1, x2, y2 = (round(v * 1024) / 1024 for v in (x - w / 2, y - h / 2, x + w / 2, y + h / 2))
    return x1, y1, x2, y2


def _gap(b: Box, g: Box) -> float:
    """The smallest distance between an edge of one box and a parallel edge of the other."""
    return min(abs(b[i] - g[j]) for i in range(4) for j in range(i % 2, 4, 2))
