"""Tests and intervals against other implementations, by hand, and against the truth of simulated studies."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import coverage
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import stats

from yolo_wiou.compare.average_precision import redraw
from yolo_wiou.compare.statistics import (
    bca_interval,
    detectable,
    fewest_seeds,
    holm,
    seeds_and_images_interval,
    seeds_for,
    sign_flip_bounds,
    sign_flip_interval,
    sign_flip_p,
    student_interval,
    verdict,
)

few = some.lists(some.integers(-50, 50), min_size=2, max_size=9)


@given(few)
@settings(max_examples=40, deadline=None)
def test_the_p_value_is_scipys(differences: list[int]) -> None:
    found = stats.permutation_test(
        (np.array(differences, float),), lambda x, axis: x.mean(axis), permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip_p(differences) == pytest.approx(min(1, found.pvalue))


def test_the_p_value_by_hand() -> None:
    assert sign_flip_p([1, 2, 3, 4, 5, 6]) == 2 / 64
    assert sign_flip_p([-1, 2, 3, 4, 5, 6]) == 4 / 64  # only flipping the 1, or nothing, is as extreme
    assert sign_flip_p([0.0] * 6) == 1
    assert sign_flip_p([0.5, 0.25]) == 0.5


def test_many_seeds_are_flipped_at_random() -> None:
    x = np.random.default_rng(0).normal(0.4, 1, 30)
    assert sign_flip_p(x) == pytest.approx(stats.ttest_1samp(x, 0).pvalue, abs=0.01)
    assert sign_flip_interval(x) == pytest.approx(student_interval(x), abs=0.03)


@given(some.lists(some.floats(-1, 1), min_size=6, max_size=10), some.floats(-1, 1))
@settings(max_examples=60, deadline=None)
def test_the_interval_holds_what_the_test_does_not_reject(differences: list[float], value: float) -> None:
    interval = sign_flip_interval(differences)
    assert interval is not None
    low, high = interval
    if min(abs(value - low), abs(value - high)) > 1e-6:
        assert (low < value < high) == (sign_flip_p(np.array(differences) - value) > 0.05)


def test_six_seeds_span_the_interval_and_five_have_none() -> None:
    assert sign_flip_interval([0.3, 0.1, 0.5, 0.9, 0.2, 0.7]) == (0.1, 0.9)
    assert sign_flip_interval([0.3, 0.1, 0.5, 0.9, 0.2]) is None
    assert sign_flip_bounds(np.ones((3, 5))).tolist() == [[-np.inf, np.inf]] * 3


def test_student_and_bca_are_scipys() -> None:
    x = np.random.default_rng(0).normal(1, 1, 12)
    expected = stats.ttest_1samp(x, 0).confidence_interval(0.95)
    assert student_interval(x) == pytest.approx((expected.low, expected.high))
    assert bca_interval(x) == pytest.approx((expected.low, expected.high), abs=0.2)
    assert bca_interval([0.5] * 6) is None
    assert student_interval([0.5]) is None


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])  # 3·0.01; 2·0.03; then never below 0.06
    assert holm([0.2, 0.001]) == pytest.approx([0.2, 0.002])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(some.lists(some.floats(0, 1), min_size=1, max_size=8))
def test_holm_finds_no_more_than_uncorrected_and_no_less_than_bonferroni(p: list[float]) -> None:
    for raw, adjusted in zip(p, holm(p), strict=True):
        assert raw <= adjusted <= min(1.0, len(p) * raw)


@pytest.mark.parametrize("comparisons", [1, 2, 3, 4, 8, 60])
def test_fewest_seeds_are_those_whose_smallest_p_survives_holm(comparisons: int) -> None:
    n = fewest_seeds(comparisons)
    rivals = [1.0] * (comparisons - 1)
    assert holm([sign_flip_p(np.ones(n)), *rivals])[0] <= 0.05
    assert holm([sign_flip_p(np.ones(n - 1)), *rivals])[0] > 0.05


def test_verdicts() -> None:
    assert verdict(0.01, 0.03, 6, 1) == "better"
    assert verdict(-0.01, 0.03, 6, 1) == "worse"
    assert verdict(0.01, 0.06, 6, 1) == "no detectable difference"
    assert verdict(0.01, 0.03, 5, 1) == "too few seeds"
    assert verdict(0.01, 0.03, 6, 2) == "too few seeds"


@pytest.mark.parametrize("seeds", [6, 7, 8, 10, 12])
@pytest.mark.parametrize("shape", ["normal", "heavy tails (t, 3 degrees)", "difference of two log-normals"])
def test_the_interval_over_seeds_holds_the_truth(seeds: int, shape: str) -> None:
    rng = np.random.default_rng(seeds)
    replicates = 40_000 if seeds < 8 else 4_000
    x = coverage.SHAPES[shape](rng, (replicates, seeds))
    assert 0.93 < coverage.holds(sign_flip_bounds(x)).mean() < 0.97


def test_skewed_differences_cost_a_little_and_bca_is_worse() -> None:
    rng = np.random.default_rng(0)
    mild = coverage.over_seeds(coverage.SHAPES["skewed (gamma, skewness 1)"], 8, 4_000, rng)
    assert 0.93 < mild["sign flips"] < 0.97
    assert mild["BCa"] < 0.91


@pytest.mark.parametrize("model", ["seeds vary most", "images vary most", "seeds and images alike"])
@pytest.mark.parametrize("seeds", [6, 10])
def test_the_interval_over_seeds_and_images_holds_the_truth(seeds: int, model: str) -> None:
    rng = np.random.default_rng(3)
    studies = (coverage.linear(coverage.MODELS[model], seeds, rng) for _ in range(6000))
    found = [seeds_and_images_interval(x, redrawn, coverage.IMAGES) for x, redrawn in studies]
    assert 0.93 < coverage.holds(np.array(found)).mean() < 0.97


def test_images_redrawn_for_each_seed_apart_would_be_far_too_sure() -> None:
    rng = np.random.default_rng(0)
    found = coverage.over_both(lambda: coverage.linear(coverage.MODELS["images vary most"], 6, rng), 200, rng)
    assert found["images by seed"] < 0.8
    assert found["seeds alone"] < 0.7


def test_without_variance_between_images_the_interval_is_students() -> None:
    x = np.array([0.1, 0.4, 0.2, 0.3, 0.5, 0.2])
    redrawn = np.repeat(x[:, None], 50, 1)
    assert seeds_and_images_interval(x, redrawn, 100) == pytest.approx(student_interval(x))
    assert seeds_and_images_interval(x[:5], redrawn[:5], 100) is None


def test_a_redraw_keeps_its_duplicates() -> None:
    drawn = redraw(100, 2000)
    assert (drawn.sum(1) == 100).all()
    assert drawn.var(0).mean() == pytest.approx(0.99, abs=0.02)  # of the binomial; 0 or 1 alone would have 0.23


@pytest.mark.parametrize(("seeds", "comparisons"), [(6, 1), (8, 1), (8, 3), (10, 2), (11, 1), (11, 24), (12, 33)])
def test_the_detectable_difference_is_found_as_often_as_promised(seeds: int, comparisons: int) -> None:
    assert coverage.power(seeds, comparisons, 1500, np.random.default_rng(5)) == pytest.approx(0.8, abs=0.03)


def test_seeds_for_a_difference_are_the_fewest() -> None:
    for size in (0.3, 0.5, 1.0, 3.0):
        n = seeds_for(size)
        assert n is not None
        assert detectable(n) <= size
        assert n == 6 or detectable(n - 1) > size
    assert seeds_for(0.01) is None
    assert detectable(5) == np.inf
