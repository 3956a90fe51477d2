"""Simulated studies whose truth is known: how often an interval holds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from yolo_wiou.compare.average_precision import ClassMatches, average_precision, redraw
from yolo_wiou.compare.statistics import (
    detectable,
    seeds_and_images_interval,
    sign_flip_bounds,
    sign_flip_p,
)

Draw = Callable[[np.random.Generator, tuple[int, ...]], Any]
SHAPES: dict[str, Draw] = {
    "normal": lambda rng, size: rng.normal(size=size),
    "heavy tails (t, 3 degrees)": lambda rng, size: rng.standard_t(3, size),
    "difference of two log-normals": lambda rng, size: rng.lognormal(size=size) - rng.lognormal(size=size),
    "skewed (gamma, skewness 1)": lambda rng, size: rng.gamma(4, size=size) - 4,
    "very skewed (exponential)": lambda rng, size: rng.exponential(size=size) - 1,
}
"""Of mean 0. The first three are symmetric, as paired differences of noise of one shape are."""

SEEDS = (6, 7, 8, 10, 12)
MODELS = {
    "seeds vary most": (1.0, 2.0, 4.0),
    "images vary most": (0.2, 8.0, 4.0),
    "seeds and images alike": (1.0, 5.0, 4.0),
    "nothing but the two together": (0.0, 0.0, 8.0),
}
"""Standard deviations of a difference: of the seed, of the image, of both together."""

FEW_SEEDS = (6, 8, 12)
IMAGES = 100
WEIGHTS = redraw(IMAGES, 400).astype(float)


def holds(bounds: Any) -> Any:
    """Whether intervals, (..., 2), hold 0."""
    return (bounds[..., 0] <= 0) & (bounds[..., 1] >= 0)


def percentiles(values: Any) -> Any:
    """Percentile interval of bootstrapped means, (..., B) -> (..., 2)."""
    return np.moveaxis(np.quantile(values, (0.025, 0.975), axis=-1), 0, -1)


def over_seeds(draw: Draw, seeds: int, replicates: int, rng: np.random.Generator) -> dict[str, float]:
    """Coverage of every interval over seeds alone."""
    x = draw(rng, (replicates, seeds))
    half = stats.t.ppf(0.975, seeds - 1) * stats.sem(x, axis=1)
    middle = x.mean(1)
    few = x[: max(replicates // 2, 100)]
    bca = stats.bootstrap((few,), np.mean, n_resamples=999, axis=1, batch=100, rng=rng).confidence_interval
    drawn = rng.integers(0, seeds, (999, seeds))
    return {
        "sign flips": float(holds(sign_flip_bounds(x)).mean()),
        "Student": float(holds(np.stack((middle - half, middle + half), -1)).mean()),
        "BCa": float(holds(np.stack((bca.low, bca.high), -1)).mean()),
        "percentile": float(holds(percentiles(few[:, drawn].mean(-1))).mean()),
    }


def linear(model: tuple[float, float, float], seeds: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """One study whose figure is a mean over images: differences by seed, on all and on redrawn images."""
    of_seed, of_image, of_both = model
    table = of_both * rng.normal(size=(seeds, IMAGES)) + of_image * rng.normal(size=IMAGES)
    table += of_seed * rng.normal(size=(seeds, 1))
    return table.mean(1), table @ WEIGHTS.T / IMAGES


def detections(rng: np.random.Generator, images: int, runs: int, difficulty: Any) -> list[ClassMatches]:
    """Detections of one class by each of several runs, whose quality varies, on images of given difficulty."""
    thresholds = np.linspace(0.5, 0.95, 10)
    made = []
    image = np.repeat(np.arange(images), 6)  # four objects, of which a detection finds at most one, and two false ones
    for quality in 0.8 * rng.normal(size=runs):
        fit = stats.norm.cdf((0.8 + 0.15 * quality + difficulty[image] + 0.7 * rng.normal(size=len(image))) / 1.5)
        is_false = np.arange(len(image)) % 6 >= 4
        score = 0.5 * fit * ~is_false + 0.5 * rng.uniform(size=len(image))
        order = np.argsort(-score)
        hit = ((fit >= thresholds[:, None]) & ~is_false)[:, order]
        made.append(ClassMatches(image[order], score[order], hit, np.full(images, 4)))
    return made


def of_ap(seeds: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """One study of AP without an effect: differences by seed, on all and on redrawn images."""
    difficulty = 0.6 * rng.normal(size=IMAGES)
    own = (difficulty + 0.15 * rng.normal(size=(2, IMAGES))).tolist()  # what an image is to each loss
    weights = np.concatenate((np.ones((1, IMAGES)), WEIGHTS[:150]))
    base, rival = (
        np.stack(
            [
                average_precision([run], weights).mean(1)
                for run in detections(rng, IMAGES, seeds, np.array(difficulties))
            ]
        )
        for difficulties in own
    )
    return rival[:, 0] - base[:, 0], rival[:, 1:] - base[:, 1:]


def over_both(study: Callable[[], tuple[Any, Any]], replicates: int, rng: np.random.Generator) -> dict[str, float]:
    """Coverage of every interval over seeds and images."""
    found: dict[str, list[bool]] = {"chosen": [], "percentile": [], "images by seed": [], "seeds alone": []}
    for _ in range(replicates):
        x, y = study()
        seeds = len(x)
        found["chosen"].append(bool(holds(np.array(seeds_and_images_interval(x, y, IMAGES)))))
        drawn = rng.integers(0, seeds, (y.shape[1], seeds))
        column = np.arange(y.shape[1])[:, None]
        found["percentile"].append(bool(holds(percentiles(y[drawn, column].mean(1)))))
        apart = rng.integers(0, y.shape[1], drawn.shape)
        found["images by seed"].append(bool(holds(percentiles(y[drawn, apart].mean(1)))))
        found["seeds alone"].append(bool(holds(sign_flip_bounds(x))))
    return {name: float(np.mean(values)) for name, values in found.items()}


def power(seeds: int, comparisons: int, replicates: int, rng: np.random.Generator) -> float:
    """How often the smallest detectable difference is found."""
    x = rng.normal(size=(replicates, seeds)) + detectable(seeds, comparisons)
    return float(np.mean([sign_flip_p(row) * comparisons <= 0.05 for row in x]))
