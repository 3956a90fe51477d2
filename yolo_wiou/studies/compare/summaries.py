"""Means, spreads, differences and verdicts of a study's figures, where some may be unknown."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from yolo_wiou.studies.compare import statistics as st


def column(pairs: list[tuple[dict[str, Any], dict[str, Any]]], *path: str) -> Any:
    """Differences of one figure."""
    values = []
    for one, other in pairs:
        for key in path:
            one, other = one[key], other[key]
        values.append(float(other) - float(one))  # type: ignore[arg-type]
    return np.array(values)


def difference(differences: Any) -> dict[str, Any]:
    """Mean and interval of differences; None where one is unknown."""
    is_known = len(differences) > 0 and bool(np.isfinite(differences).all())
    return {
        "differences": list(differences),
        "mean": float(differences.mean()) if is_known else math.nan,
        "interval": st.sign_flip_interval(differences) if is_known else None,
    }


def tested(differences: Any, comparisons: int) -> dict[str, Any]:
    """What the differences of the figure that is judged say, one of so many comparisons with a baseline."""
    sd = float(differences.std(ddof=1)) if len(differences) > 1 else math.nan
    return {
        **difference(differences),
        "p": st.sign_flip_p(differences) if len(differences) else None,
        "sd": sd,
        "detectable": st.detectable(len(differences), comparisons) * sd,
    }


def judge_together(comparisons: list[dict[str, Any]]) -> None:
    """Add `p_holm` and `verdict` to all comparisons with one baseline.

    Holm counts them all; one that is under way is undecided, as if it ended with a p of 1.

    Args:
        comparisons: of each what `tested` says, `seeds` and `seeds_waiting`.
    """
    adjusted = st.holm([1.0 if one["p"] is None or one["seeds_waiting"] else one["p"] for one in comparisons])
    for one, p in zip(comparisons, adjusted, strict=True):
        one["p_holm"] = None if one["seeds_waiting"] else p
        one["verdict"] = st.judge(one["mean"], p, len(one["seeds"]), len(comparisons), len(one["seeds_waiting"]))


def mean(values: Iterable[float | None]) -> float:
    """Mean of what is known; NaN where nothing is."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan


def spread(values: Iterable[float]) -> dict[str, float]:
    """Mean and standard deviation of what is known, and how many that is."""
    known = np.array([value for value in values if math.isfinite(value)])
    return {
        "mean": float(known.mean()) if known.size else math.nan,
        "sd": float(known.std(ddof=1)) if known.size > 1 else math.nan,
        "n": int(known.size),
    }


def band(curves: Iterable[list[float]]) -> dict[str, list[float]]:
    """Mean, lowest and highest over seeds, epoch by epoch, as far as all of them go."""
    table = np.array(list(zip(*curves, strict=False)))
    if not table.size:
        return {"mean": [], "low": [], "high": []}
    return {"mean": table.mean(1).tolist(), "low": table.min(1).tolist(), "high": table.max(1).tolist()}
