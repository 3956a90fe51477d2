"""The parts of every box loss once more, in scalar float64 arithmetic: overlaps, penalties and gains by name.

Each takes a Case and its settings by keyword; an unknown one is a TypeError. No denominator carries an eps: `ratio_of`
gives 0/0 the value 0, and a positive number over 0 is infinite.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from helpers.gaussians import Rotated, kf_iou, kl_divergence
from helpers.pairs import Box, scaled


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
    """The boxes of one call (`c.iou`), the same at the prediction where detached quantities are evaluated (`c.at.iou`).

    Args:
        b: predicted box, xyxy in stride units.
        g: target box.
        at: the frozen prediction; None is `b` itself. A finite difference of `loss(b + h, g, at=b)` is the gradient
            under the stop-gradient rules.
        stride: pixels per box unit.
        imgsz: (height, width) in pixels.
        mean: running mean of the IoU loss.
        progress: share of the run that is over.
        factor: of the batch, for the gains that keep a sum; see `Oracle.factor`.

    Attributes:
        overlap_loss: 1 - overlap, which the oracle sets before it asks for the penalty.
    """

    overlap_loss: float

    def __init__(
        self,
        b: Box,
        g: Box,
        at: Box | None = None,
        *,
        stride: float = 1.0,
        imgsz: tuple[float, float] = (640.0, 640.0),
        mean: float = 1.0,
        progress: float = 0.0,
        factor: float = 1.0,
    ) -> None:
        super().__init__(b, g)
        self.at = Geo(b if at is None else at, g)
        self.stride, self.imgsz, self.mean, self.progress, self.factor = stride, imgsz, mean, progress, factor

    def scaled(self, ratio: float) -> Case:
        """Both boxes with their sides multiplied by `ratio`, about their own centres."""
        if ratio == 1:
            return self
        b, g, at = (scaled(box, ratio) for box in (self.b, self.g, self.at.b))
        return Case(b, g, at, stride=self.stride, imgsz=self.imgsz, mean=self.mean, progress=self.progress)


# ---- overlaps: 1 where the boxes are equal -----------------------------------------------------------------------


def wasserstein(c: Case) -> float:
    return math.sqrt(c.rho2 + ((c.w - c.wg) ** 2 + (c.h - c.hg) ** 2) / 4)


def nwd(c: Case, constant: float = 12.8) -> float:
    return math.exp(-c.stride * wasserstein(c) / constant)


def iou_nwd(c: Case, kappa: float = 0.5, constant: float = 12.8) -> float:
    return (1 - kappa) * c.iou + kappa * nwd(c, constant)


def gcd(c: Case) -> float:
    """Mahalanobis-like distances by the variances (side/2)² of either box, halved; sides of 0 see everything as far."""
    total = 0.0
    for w, h in ((c.w, c.h), (c.wg, c.hg)):
        for d, s, side in ((c.dx, c.w - c.wg, w), (c.dy, c.h - c.hg, h)):
            total += ratio_of(d**2 + s**2 / 4, side**2)
    return math.exp(-math.sqrt(total / 2))


def gaussians(c: Case) -> tuple[Rotated, Rotated]:
    """Both boxes as xywhr, the target's centre the origin. They need positive sides."""
    return (c.dx, c.dy, c.w, c.h, 0.0), (0.0, 0.0, c.wg, c.hg, 0.0)


def kld(c: Case, tau: float = 1.0) -> float:
    return tau / (tau + math.log1p(kl_divergence(*gaussians(c))))


def gwd(c: Case, tau: float = 1.0) -> float:
    """The distance of parallel Gaussians; that of turned ones is in gaussians.py."""
    return tau / (tau + math.log1p(wasserstein(c) / (c.w * c.h * c.wg * c.hg) ** 0.25))


def kfiou(c: Case) -> float:
    return 3 * kf_iou(*gaussians(c))


OVERLAPS: dict[str, Callable[..., float]] = {"iou": lambda c: c.iou, "none": lambda c: 1.0, "iou-nwd": iou_nwd}
OVERLAPS |= {f.__name__: f for f in (nwd, gcd, kld, gwd, kfiou)}


# ---- penalties: terms, each 0 where the boxes are equal ----------------------------------------------------------


def giou(c: Case) -> list[float]:
    return [ratio_of(max(c.cw * c.ch - c.union, 0.0), c.cw * c.ch)]  # rounding, where one box lies in the other


def diou(c: Case) -> list[float]:
    return [ratio_of(c.rho2, c.c2)]


def aspect(c: Geo) -> float:
    return 4 / math.pi**2 * (math.atan2(c.wg, c.hg) - math.atan2(c.w, c.h)) ** 2


def ciou(c: Case) -> list[float]:
    """DIoU's term and a·v, a = v / (1 - IoU + v) detached. 0/0 at equal boxes."""
    return [*diou(c), ratio_of(aspect(c.at), 1 - c.at.iou + aspect(c.at)) * aspect(c)]


def sdiou(c: Case, delta: float = 0.5, area: float = 81.0) -> list[float]:
    """What makes s·(1 - overlap + av) + (1 + δ - β)·ρ²/c² of 1 - overlap, with β = min(δ·A/area, δ), s = 1 - δ + β."""
    beta = min(delta * c.wg * c.hg * c.stride**2 / area, delta)
    distance, aspect_term = ciou(c)
    return [(beta - delta) * c.overlap_loss, (1 + delta - beta) * distance, (1 - delta + beta) * aspect_term]


def eiou(c: Case) -> list[float]:
    return [*diou(c), ratio_of((c.w - c.wg) ** 2, c.cw**2), ratio_of((c.h - c.hg) ** 2, c.ch**2)]


def shape_cost(c: Geo, theta: float, kw: float = 1.0, kh: float = 1.0) -> float:
    ww, wh = kw * ratio_of(abs(c.w - c.wg), max(c.w, c.wg)), kh * ratio_of(abs(c.h - c.hg), max(c.h, c.hg))
    return math.pow(1 - math.exp(-ww), theta) + math.pow(1 - math.exp(-wh), theta)


def siou(c: Geo, theta: float = 4.0) -> list[float]:
    angle = ratio_of(2 * abs(c.dx * c.dy), c.rho2)  # sine of twice the angle; 0/0 at equal centres
    rx, ry = ratio_of(c.dx**2, c.cw**2), ratio_of(c.dy**2, c.ch**2)
    distance = 2 - math.exp(-(2 - angle) * rx) - math.exp(-(2 - angle) * ry)
    return [distance / 2, shape_cost(c, theta) / 2]


def shape(c: Case, scale: float = 0.0, theta: float = 4.0) -> list[float]:
    """The weight of x comes from the target's height, that of y from its width."""
    both = c.wg**scale + c.hg**scale
    ww, hh = 2 * c.wg**scale / both, 2 * c.hg**scale / both
    return [ratio_of(hh * c.dx**2 + ww * c.dy**2, c.c2), shape_cost(c, theta, hh, ww) / 2]


def mpdiou(c: Case) -> list[float]:
    diagonal2 = math.fsum((side / c.stride) ** 2 for side in c.imgsz)
    corners = [(p - t) ** 2 for p, t in zip(c.b, c.g, strict=True)]
    return [math.fsum(corners[:2]) / diagonal2, math.fsum(corners[2:]) / diagonal2]


def edge_distance(c: Geo) -> float:
    """P of PIoU: the four edge distances over the target's sides."""
    dw, dh = (abs(c.b[i] - c.g[i]) + abs(c.b[i + 2] - c.g[i + 2]) for i in (0, 1))
    return (ratio_of(dw, c.wg) + ratio_of(dh, c.hg)) / 4


def piou(c: Case) -> list[float]:
    return [1 - math.exp(-(edge_distance(c) ** 2))]


def interp(c: Case, kappa: float = 0.98) -> list[float]:
    """1 - IoU of the target with the box interpolated between prediction (kappa 0) and target (kappa 1)."""
    x1, y1, x2, y2 = ((1 - kappa) * p + kappa * t for p, t in zip(c.b, c.g, strict=True))
    return [1 - Geo((x1, y1, x2, y2), c.g).iou]


def d_interp(c: Case, low: float = 0.6, high: float = 0.99) -> list[float]:
    return interp(c, min(max(1 - c.at.iou, low), high))


def focal_l1_f(x: float, beta: float) -> float:
    """Focal-L1's f: its slope is -α·x·ln(βx) up to 1 and constant beyond, α = e·β."""
    alpha, log_beta = math.e * beta, math.log(beta)
    if x > 1:
        return -alpha * log_beta * x + (2 * alpha * log_beta + alpha) / 4
    return -alpha * x**2 * (2 * math.log(beta * x) - 1) / 4 if x else 0.0  # x² ln x -> 0


def focal_l1(c: Case, beta: float = 0.8) -> list[float]:
    """Needs positive sides."""
    offsets = c.dx / c.wg, c.dy / c.hg, math.log(c.w / c.wg), math.log(c.h / c.hg)
    return [focal_l1_f(abs(x), beta) for x in offsets]


def wiou(c: Case) -> list[float]:
    """What R = exp(ρ²/c²), c² detached and ρ² not, adds to the IoU loss that it multiplies."""
    return [(math.exp(ratio_of(c.rho2, c.at.c2)) - 1) * (1 - c.iou)]


PENALTIES: dict[str, Callable[..., list[float]]] = {"none": lambda c: [], "d-interp": d_interp, "focal-l1": focal_l1}
PENALTIES |= {f.__name__: f for f in (giou, diou, ciou, sdiou, eiou, siou, shape, mpdiou, piou, interp, wiou)}


# ---- gains, all of them constants for the gradient ---------------------------------------------------------------


def outlier_degree(c: Case) -> float:
    return (1 - c.at.iou) / c.mean


def piou2(c: Case, lam: float = 1.3) -> float:
    q = lam * math.exp(-edge_distance(c.at))
    return 3 * q * math.exp(-(q**2))


def nonmonotonic(c: Case, alpha: float = 1.9, delta: float = 3.0) -> float:
    beta = outlier_degree(c)
    return beta / (delta * math.pow(alpha, beta - delta))


def trust(c: Case, k: float = 3.0) -> float:
    """Of a box that is its object's only one, in a size class that has not been seen yet: its mean is that of all."""
    maturity = min(max((0.5 - c.mean) / 0.15, 0.0), 1.0)
    return c.factor * math.exp(-k * maturity * (1 - c.at.iou - c.mean))


def iou_balanced(c: Case, lam: float = 1.5, norm: str = "sum") -> float:
    return math.pow(c.at.iou, lam) * (1.0 if norm == "none" else c.factor)


GAINS: dict[str, Callable[..., float]] = {
    "none": lambda c: 1.0,
    "constant": lambda c, weight=1.0: weight,
    "iou-power": lambda c, gamma=0.5: c.at.iou**gamma,
    "iou-balanced": iou_balanced,
    "monotonic": lambda c, gamma=0.5: outlier_degree(c) ** gamma,
    "piou2": piou2,
    "nonmonotonic": nonmonotonic,
    "trust": trust,
}
