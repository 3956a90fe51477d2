"""Distances of rotated boxes as Gaussians, by matrices in scalar float64: what the closed forms must give."""

from __future__ import annotations

import math
from typing import TypeAlias

Rotated: TypeAlias = tuple[float, float, float, float, float]
"""Centre, width, height and angle, xywhr."""
Matrix: TypeAlias = tuple[tuple[float, float], tuple[float, float]]


def times(a: Matrix, b: Matrix) -> Matrix:
    (p, q), (r, s) = a
    (t, u), (v, w) = b
    return (p * t + q * v, p * u + q * w), (r * t + s * v, r * u + s * w)


def plus(a: Matrix, b: Matrix, factor: float = 1.0) -> Matrix:
    (p, q), (r, s) = a
    (t, u), (v, w) = b
    return (p + factor * t, q + factor * u), (r + factor * v, s + factor * w)


def trace(a: Matrix) -> float:
    return a[0][0] + a[1][1]


def det(a: Matrix) -> float:
    return a[0][0] * a[1][1] - a[0][1] * a[1][0]


def inverse(a: Matrix) -> Matrix:
    d = det(a)
    return (a[1][1] / d, -a[0][1] / d), (-a[1][0] / d, a[0][0] / d)


def covariance(box: Rotated) -> Matrix:
    """R·diag(w²/4, h²/4)·Rᵀ."""
    _, _, w, h, r = box
    turn: Matrix = (math.cos(r), -math.sin(r)), (math.sin(r), math.cos(r))
    back: Matrix = (math.cos(r), math.sin(r)), (-math.sin(r), math.cos(r))
    return times(times(turn, ((w * w / 4, 0.0), (0.0, h * h / 4))), back)


def kl_divergence(p: Rotated, t: Rotated) -> float:
    """KL(N_p ‖ N_t) = ½·[tr(Σt⁻¹Σp) + dᵀΣt⁻¹d − 2 + ln(det Σt/det Σp)]."""
    sp, st = covariance(p), covariance(t)
    (a, b), (_, c) = inverse(st)
    x, y = p[0] - t[0], p[1] - t[1]
    mahalanobis = a * x * x + 2 * b * x * y + c * y * y
    return (trace(times(inverse(st), sp)) + mahalanobis - 2 + math.log(det(st) / det(sp))) / 2


def wasserstein2(p: Rotated, t: Rotated) -> float:
    """ρ² + tr(Σp + Σt − 2·(Σp^½ Σt Σp^½)^½); the last trace is Σ√λ over the eigenvalues of ΣpΣt."""
    sp, st = covariance(p), covariance(t)
    product = times(sp, st)
    mean = trace(product) / 2
    root = math.sqrt(max(mean**2 - det(product), 0.0))
    traces = sum(math.sqrt(max(value, 0.0)) for value in (mean + root, mean - root))
    return (p[0] - t[0]) ** 2 + (p[1] - t[1]) ** 2 + trace(sp) + trace(st) - 2 * traces


def kf_iou(p: Rotated, t: Rotated) -> float:
    """Of the Kalman filter's update Σp − KΣp, K = Σp(Σp + Σt)⁻¹; a Gaussian's volume is 4·√det, the area of its box."""
    sp, st = covariance(p), covariance(t)
    gain = times(sp, inverse(plus(sp, st)))
    volume, target, fused = (4 * math.sqrt(det(s)) for s in (sp, st, plus(sp, times(gain, sp), -1)))
    return fused / (volume + target - fused)
