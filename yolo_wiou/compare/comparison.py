"""Every loss against the baseline on one data set, seed by seed, and the verdicts on all of them together."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np

from yolo_wiou.compare import statistics as st
from yolo_wiou.compare.average_precision import Floats
from yolo_wiou.compare.evaluation import EvaluatedRun
from yolo_wiou.compare.findings import (
    METRICS,
    Comparison,
    Difference,
    Exploratory,
    ImageChoice,
    Metrics,
    PairedTest,
    Verdict,
)
from yolo_wiou.compare.identity import Pair, detect_the_same, why_nothing
from yolo_wiou.compare.run import Record

SIZES = (0.0025, 0.005, 0.01, 0.02)
"""True differences of AP for which the report tells how many seeds they need."""

SHOWN = 2
"""Images shown of each kind, those that a loss sees better and those that it sees worse."""

ComparisonT = TypeVar("ComparisonT", bound=Comparison)


def compare_losses(
    rivals: Mapping[str, str], records: Sequence[Record], runs: Mapping[tuple[str, int], EvaluatedRun]
) -> list[Comparison]:
    """Compare every loss with its baseline, seed by seed, and add the verdicts on all of them together.

    Args:
        rivals: by loss, what it is compared with.
        records: all runs of the data set, also those that are still to come.
        runs: the finished ones, by loss and seed.
    """
    known = {key for key, run in runs.items() if run.quoted.AP is not None}
    same_images = len({run.record.fingerprint for run in runs.values()}) == 1
    comparisons = []
    for loss, baseline in rivals.items():
        both = baseline, loss
        planned = sorted({record.run.seed for record in records if record.run.loss == loss})
        pairs = [(runs[baseline, seed], runs[loss, seed]) for seed in planned if {(n, seed) for n in both} <= known]
        waiting = {r.run.seed for r in records if r.run.loss in both and r.state == "waiting"}
        comparisons.append(_compare(loss, pairs, waiting, len(rivals), same_images))
    return add_verdicts(comparisons)


def add_verdicts(comparisons: Sequence[ComparisonT]) -> list[ComparisonT]:
    """Return comparisons that are asked together, with `p_holm` and `verdict`.

    Holm's correction counts them all; one that is under way, or compares nothing, is as if it ended with a p of 1.
    """
    adjusted = st.holm([1.0 if c.p is None or c.seeds_waiting else c.p for c in comparisons])
    return [
        comparison.model_copy(
            update={
                "p_holm": None if comparison.seeds_waiting or comparison.nothing else p,
                "verdict": "nothing compared" if comparison.nothing else _verdict(comparison, p, len(comparisons)),
            }
        )
        for comparison, p in zip(comparisons, adjusted, strict=True)
    ]


def _verdict(comparison: Comparison, p: float, comparisons: int) -> Verdict:
    return st.verdict(comparison.mean, p, len(comparison.seeds), comparisons, len(comparison.seeds_waiting))


def _compare(loss: str, pairs: Sequence[Pair], waiting: set[int], rivals: int, same_images: bool) -> Comparison:
    """Compare one loss with the baseline; `pairs` are runs whose AP is known."""
    ap = [(base.quoted.AP, rival.quoted.AP) for base, rival in pairs]
    differences = differences_of(ap)
    explored = _explore(pairs) if pairs else None
    images = tuple(_choose_images(pairs)) if pairs and same_images else ()
    redrawn = _redrawn(pairs) if pairs and same_images else None
    test = paired_test(differences, rivals)
    if nothing := why_nothing(pairs):  # an interval of [0, 0] would say that the losses are equal
        test = test.model_copy(update=dict.fromkeys(("mean", "interval", "p", "sd", "detectable")))
    comparison = Comparison(
        loss=loss,
        seeds=[base.record.run.seed for base, _ in pairs],
        pairs=ap,
        **dict(test),
        seeds_needed=st.fewest_seeds(rivals),
        seeds_waiting=sorted(waiting),
    )
    if identical := [base.record.run.seed for base, rival in pairs if detect_the_same(base, rival)]:
        comparison = comparison.model_copy(update={"identical": tuple(identical)})
    if nothing or not pairs:
        return comparison.model_copy(update={"nothing": nothing} if nothing else {})
    return comparison.model_copy(
        update={
            "bca": st.bca_interval(differences),
            "student": st.student_interval(differences),
            "seeds_and_images": None if redrawn is None else st.seeds_and_images_interval(differences, *redrawn),
            "seeds_for": tuple(st.seeds_for(size / test.sd, rivals) if test.sd else None for size in SIZES),
            "exploratory": explored,
            "images": images,
        }
    )


def paired_test(differences: Floats, comparisons: int) -> PairedTest:
    """Say what the differences of the metric that is judged say, one of so many comparisons with a baseline."""
    sd = float(differences.std(ddof=1)) if len(differences) > 1 else math.nan
    return PairedTest(
        **dict(difference(differences)),
        p=st.sign_flip_p(differences) if len(differences) else None,
        sd=sd,
        detectable=st.detectable(len(differences), comparisons) * sd,
    )


def difference(differences: Floats) -> Difference:
    """Return mean and interval of differences; unknown where one of them is."""
    is_known = len(differences) > 0 and bool(np.isfinite(differences).all())
    return Difference(
        differences=differences.tolist(),
        mean=float(differences.mean()) if is_known else None,
        interval=st.sign_flip_interval(differences) if is_known else None,
    )


def differences_of(pairs: Iterable[tuple[float | None, float | None]]) -> Floats:
    """Return rival minus base of every pair; NaN where one is unknown."""
    return np.array([math.nan if base is None or rival is None else rival - base for base, rival in pairs])


def _explore(pairs: Sequence[Pair]) -> Exploratory:
    """Return the differences of all that no verdict rests on."""

    def differences_by(keys: Iterable[str], value: Callable[[Metrics, str], float | None]) -> dict[str, Difference]:
        return {key: difference(differences_of((value(b, key), value(r, key)) for b, r in metrics)) for key in keys}

    metrics = [(base.quoted, rival.quoted) for base, rival in pairs]
    first = metrics[0][0]
    return Exploratory(
        metrics=differences_by(METRICS, getattr),
        by_threshold=differences_by(first.by_threshold, lambda metrics, key: metrics.by_threshold[key]),
        by_class=differences_by(first.by_class, lambda metrics, key: metrics.by_class.get(key)),
    )


def _redrawn(pairs: Sequence[Pair]) -> tuple[Floats, int] | None:
    """Return the differences on redrawn images, (seeds, draws), and the number of images; None for too few draws."""
    redrawn = np.stack([rival.redrawn - base.redrawn for base, rival in pairs])
    redrawn = redrawn[:, ~np.isnan(redrawn).any(0)]  # a draw without any object tells nothing
    return (redrawn, len(pairs[0][0].quality)) if redrawn.shape[1] > 1 else None


def _choose_images(pairs: Sequence[Pair]) -> Iterator[ImageChoice]:
    """Choose the images that two losses see most differently, mean over seeds, each by its most typical seed."""
    by_seed = np.nan_to_num(np.stack([rival.quality - base.quality for base, rival in pairs]))
    mean = by_seed.mean(0)
    order = np.argsort(mean, kind="stable")
    for image in [*(i for i in order[::-1][:SHOWN] if mean[i] > 0), *(i for i in order[:SHOWN] if mean[i] < 0)]:
        is_alike = by_seed[:, image] * mean[image] > 0  # a seed that shows what is said of all
        distance = np.where(is_alike, np.abs(by_seed[:, image] - mean[image]), np.inf)
        base, rival = pairs[int(distance.argmin())]
        yield ImageChoice(
            image=int(image),
            seed=base.record.run.seed,
            mean=float(mean[image]),
            quality=(float(base.quality[image]), float(rival.quality[image])),
        )
