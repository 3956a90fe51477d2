"""What paired differences say: pure functions on arrays, no study in sight.

A difference is one seed's: metric of the loss minus metric of the baseline, trained on the same stream of data. All
tests and the quoted interval rest on one assumption: without an effect, a difference is as likely to be +x as -x. Two
runs of one seed whose noise has the same shape give exactly that, however odd the shape.
"""

import math
import warnings
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.optimize import brentq

from yolo_wiou.compare.findings import Band, Interval, Spread, Verdict

ALPHA, POWER = 0.05, 0.8
EXACT_SEEDS = 16
"""Above this many seeds, 2^16 random flips stand for all of them."""

SIMULATED = 4000
"""Studies that the power is simulated with, as long as the test is exact; beyond, the t test's power stands for it."""
AT_ONCE = 2**22
"""Numbers that a simulation holds at a time, in each of the arrays that it needs."""

Floats: TypeAlias = NDArray[np.float64]


@lru_cache(maxsize=32)
def _subsets(n: int) -> Floats:
    """Every non-empty subset of n seeds, (2^n - 1, n) of 0 and 1; a random choice of them where n is large."""
    if n <= EXACT_SEEDS:
        return (np.arange(1, 2**n)[:, None] >> np.arange(n) & 1).astype(float)
    chosen = np.random.default_rng(0).integers(0, 2, (2**EXACT_SEEDS - 1, n)).astype(float)
    return chosen[chosen.any(1)]


def sign_flip_p(differences: ArrayLike) -> float:
    """Two-sided p of the sign-flip test of the mean, exact up to 16 seeds.

    Flipping the signs of a subset keeps the mean as extreme as it is if the subset's own sum is not on the mean's side.
    """
    x = np.asarray(differences, float)
    sums = _subsets(len(x)) @ x
    tolerance = 1e-12 * np.abs(x).sum()
    fewest = min((sums <= tolerance).sum(), (sums >= -tolerance).sum())
    return min(1.0, 2 * float(fewest + 1) / (len(sums) + 1))


def sign_flip_bounds(differences: ArrayLike, alpha: float = ALPHA) -> Floats:
    """Interval of the mean difference: all values that the sign-flip test does not reject.

    Its ends are order statistics of the means of all subsets of the seeds (Hartigan 1969), so it agrees with
    `sign_flip_p` always, and its coverage is exact for symmetric differences of any shape: 96.9 % with 6 seeds, 95.3 %
    with 7 and 8.

    Args:
        differences: (..., n), one per seed.
        alpha: 1 minus the coverage.

    Returns:
        (..., 2); infinite with fewer than 6 seeds (for alpha 0.05), for which no interval of the kind exists.
    """
    x = np.asarray(differences, float)
    subsets = _subsets(x.shape[-1])
    count = len(subsets)
    k = int(alpha * (count + 1) / 2 + 1e-9)
    if k < 1:
        return np.broadcast_to([-np.inf, np.inf], (*x.shape[:-1], 2))
    means = np.partition(x @ subsets.T / subsets.sum(1), [k - 1, count - k], axis=-1)
    return means[..., [k - 1, count - k]]


def sign_flip_interval(differences: ArrayLike, alpha: float = ALPHA) -> Interval | None:
    """`sign_flip_bounds` of one row; None where the seeds are too few for it."""
    low, high = sign_flip_bounds(differences, alpha).tolist()
    return (low, high) if np.isfinite(low) else None


def student_interval(differences: ArrayLike, alpha: float = ALPHA) -> Interval | None:
    """Student's interval of the mean; None with fewer than two seeds."""
    x = np.asarray(differences, float)
    if len(x) < 2:
        return None
    return _t_interval(x.mean(), stats.sem(x), len(x) - 1, alpha)


def _t_interval(mean: float, error: float, freedom: float, alpha: float) -> Interval:
    """Student's interval about a mean with that standard error."""
    low, high = stats.t.interval(1 - alpha, freedom, mean, error) if error else (mean, mean)
    return float(low), float(high)


def bca_interval(differences: ArrayLike, alpha: float = ALPHA, resamples: int = 4999) -> Interval | None:
    """Bias-corrected and accelerated bootstrap over seeds; too narrow with few seeds (`scripts/study/coverage.py`).

    None where it does not exist: fewer than three seeds, or differences that are all alike.
    """
    x = np.asarray(differences, float)
    if len(x) < 3 or np.ptp(x) == 0:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a degenerate distribution is told by NaN
        found = stats.bootstrap(
            (x,), np.mean, confidence_level=1 - alpha, n_resamples=resamples, rng=np.random.default_rng(0)
        ).confidence_interval
    return (float(found.low), float(found.high)) if np.isfinite(found.low + found.high) else None


def seeds_and_images_interval(
    differences: ArrayLike, redrawn: ArrayLike, images: int, alpha: float = ALPHA
) -> Interval | None:
    """Interval of the mean difference for other seeds and other images of the same kind.

    Every seed is judged on the same images: the two are crossed, not nested. The variance of the mean is therefore
    that of the seeds, plus that of the images which the seeds share, which a bootstrap over images gives once the part
    that is each seed's own (already in the variance between seeds) is taken out. Student's t with Satterthwaite's
    degrees of freedom makes up for the few seeds, which a percentile of a two-level bootstrap does not.

    Args:
        differences: (n,) one per seed, on all images.
        redrawn: (n, B) the same on B resamples of the images, each resample the same for all seeds.
        images: how many there are.
        alpha: 1 minus the coverage.

    Returns:
        None with fewer than two images, or so few seeds that `sign_flip_interval` has none: below 6 of them the
        estimate of their variance is too rough.
    """
    x, y = np.asarray(differences, float), np.asarray(redrawn, float)
    n = len(x)
    if sign_flip_interval(x, alpha) is None or images < 2:
        return None
    of_seeds = x.var(ddof=1) / n
    of_mean, of_single_seed = y.mean(0).var(ddof=1), y.var(1, ddof=1).mean()
    of_images = max(0.0, (n * of_mean - of_single_seed) / (n - 1))
    variance = of_seeds + of_images
    freedom = variance**2 / (of_seeds**2 / (n - 1) + of_images**2 / (images - 1)) if variance else 1.0
    return _t_interval(x.mean(), variance**0.5, freedom, alpha)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p values, in the order given: all are valid together.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(p)
    worst = 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        worst = max(worst, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = worst
    return adjusted


def fewest_seeds(comparisons: int = 1, alpha: float = ALPHA) -> int:
    """Fewest seeds that can make Holm's smallest p significant.

    >>> fewest_seeds(1), fewest_seeds(2), fewest_seeds(3)
    (6, 7, 7)
    """
    n = 1
    while comparisons * 2.0 ** (1 - n) > alpha:
        n += 1
    return n


def verdict(
    mean: float | None, adjusted_p: float, seeds: int, comparisons: int, waiting: int = 0, alpha: float = ALPHA
) -> Verdict:
    """Put a comparison into words; no verdict while seeds wait, for who stops at will errs more often than alpha."""
    if waiting:
        return "not finished"
    if seeds < fewest_seeds(comparisons, alpha):
        return "too few seeds"
    if adjusted_p > alpha:
        return "no detectable difference"
    return "better" if mean and mean > 0 else "worse"


@lru_cache(maxsize=256)
def detectable(seeds: int, comparisons: int = 1, alpha: float = ALPHA, power: float = POWER) -> float:
    """Smallest true difference found with this power, in standard deviations of the differences.

    For normal differences and the first of Holm's steps. Infinite where the seeds are too few.
    """
    level = alpha / comparisons
    if seeds < fewest_seeds(comparisons, alpha):
        return float("inf")
    if seeds <= EXACT_SEEDS:  # a difference is found if it lifts the lower end that the noise alone has above 0
        noise = np.random.default_rng(0).normal(size=(SIMULATED, seeds))
        parts = np.array_split(noise, max(1, SIMULATED * 2**seeds // AT_ONCE))
        return float(np.quantile(np.concatenate([-sign_flip_bounds(part, level)[:, 0] for part in parts]), power))
    critical = float(stats.t.ppf(1 - level / 2, seeds - 1))

    def misses(shift: float) -> float:
        return float(stats.nct.cdf(critical, seeds - 1, shift)) - (1 - power)

    return float(brentq(misses, critical - 2, critical + 3) / seeds**0.5)


def seeds_for(size: float, comparisons: int = 1, most: int = 1000) -> int | None:
    """Seeds that a true difference of this size, in standard deviations, needs; None where `most` are too few."""
    low, high = fewest_seeds(comparisons), most
    if size <= 0 or detectable(most, comparisons) > size:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if detectable(middle, comparisons) <= size else (middle + 1, high)
    return low


def spread(values: Iterable[float | None]) -> Spread:
    """Return mean and standard deviation of what is known, and how many that is.

    >>> spread([1.0, 3.0, None]).mean
    2.0
    """
    known = np.array([value for value in values if value is not None and math.isfinite(value)])
    return Spread(
        mean=float(known.mean()) if known.size else None,
        sd=float(known.std(ddof=1)) if known.size > 1 else None,
        n=int(known.size),
    )


def band(curves: Iterable[Sequence[float]]) -> Band:
    """Return mean, lowest and highest over curves, point by point, as far as all of them go."""
    table = np.array(list(zip(*curves, strict=False)))
    if not table.size:
        return Band(mean=(), low=(), high=())
    return Band(mean=table.mean(1).tolist(), low=table.min(1).tolist(), high=table.max(1).tolist())
