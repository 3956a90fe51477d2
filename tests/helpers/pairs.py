"""Pairs of boxes to test losses with: what is special about a pair, and random ones away from every kink."""

from __future__ import annotations

import math
import random

Box = tuple[float, float, float, float]
"""xyxy."""
Pair = tuple[Box, Box]
"""Prediction and target."""


def scaled(box: Box, ratio: float) -> Box:
    """The box with its sides multiplied by `ratio` about its own centre."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    w, h = (box[2] - box[0]) * ratio, (box[3] - box[1]) * ratio
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


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
