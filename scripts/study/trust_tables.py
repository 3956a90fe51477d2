"""Tables of docs/study.md on `trust`: help on loose boxes, harm elsewhere, and what else was tried."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from results import METRICS, Contrast, Results, read_rows
from scipy import stats
from tables import LEAST, exact_of, points

sys.path.insert(0, str(Path(__file__).parents[1]))
from markdown import table

from yolo_wiou.compare.statistics import fewest_seeds, seeds_for
from yolo_wiou.compare.study import Study

MARGIN = 0.003
"""Of AP: what "not worse" allows."""


def costs(results: Results, plan: Mapping[str, Study]) -> str:
    """What other boxes than exact ones cost the baseline, under the seeds of both."""
    rows = {}
    for study in plan.values():
        for data in study.data:
            cost = results.against((exact_of(results, data), study.baseline), (data, study.baseline), study.seeds)
            if exact_of(results, data) != data and cost.seeds:
                rows[data] = [data, str(len(cost.seeds)), *(points(cost.by_metric[name]) for name in METRICS)]
    return table(["boxes", "seeds", *METRICS], list(rows.values())) if rows else ""


def control_of(study: Study, loss: str) -> str:
    """What `compare` calls the baseline that is as heavy as a loss."""
    return f"{study.baseline} as heavy as {loss}"


def against(results: Results, plan: Mapping[str, Study]) -> str:
    """Every loss beside the baseline and an equally heavy one, and that beside the baseline, where all seeds are."""
    rows = []
    for study in plan.values():
        for data in study.data:
            for loss in [loss for loss in study.losses if loss != study.baseline]:
                control = control_of(study, loss)
                for arm, base in ((loss, study.baseline), (loss, control), (control, study.baseline)):
                    contrast = results.against((data, arm), (data, base), study.seeds)
                    if not contrast.seeds_waiting:
                        won = recovered(results, data, contrast) if base == study.baseline else "–"
                        weight = results.weights.get((data, base))
                        named = f"{base} ({weight})" if weight else base
                        rows.append(row_of(contrast, data, named, won, results.with_images(data, arm, base)))
    metrics = [f"Δ{name}" for name in METRICS]
    heads = ["boxes", "loss", "against", "seeds", *metrics, "recovery, %", "p", "ΔAP with other images", "seeds for it"]
    return table(heads, rows) if rows else ""


def recovered(results: Results, data: str, contrast: Contrast) -> str:
    """The share of the AP that the noise costs the baseline which a loss wins back, by the seeds of all three.

    With its 95 % interval, of the bias-corrected bootstrap over seeds; a dash where the noise costs less than LEAST.
    """
    exact, noisy = (results.runs.get((name, "ciou"), {}) for name in (exact_of(results, data), data))
    own = results.runs[data, contrast.loss]
    seeds = sorted(set(exact) & set(contrast.seeds))
    if exact is noisy or len(seeds) < fewest_seeds():
        return "–"
    cost, won = ([runs[seed]["AP"] - noisy[seed]["AP"] for seed in seeds] for runs in (exact, own))
    if np.mean(cost) < LEAST:
        return "–"
    found = stats.bootstrap((won, cost), share, paired=True, rng=np.random.default_rng(0)).confidence_interval
    return f"{share(won, cost):+.0f} ({found.low:+.0f} to {found.high:+.0f})"


def share(won: Any, cost: Any, axis: int = -1) -> Any:
    """What is won of a cost, in %."""
    return 100 * np.mean(won, axis) / np.mean(cost, axis)


def row_of(contrast: Contrast, data: str, base: str, won: str, with_images: str) -> list[str]:
    """A comparison as a row; with how many seeds a difference such as the one seen would be found by."""
    needed = contrast.sd and contrast.mean and seeds_for(abs(contrast.mean) / contrast.sd)
    return [
        data,
        contrast.loss,
        base,
        str(len(contrast.seeds)),
        *(points(contrast.by_metric[name]) for name in METRICS),
        won,
        "–" if contrast.p is None else f"{contrast.p:.4f}",
        with_images,
        str(needed or "over 1,000"),
    ]


def harm(results: Results, plan: Mapping[str, Study]) -> str:
    """Whether a loss is worse than the baseline by MARGIN, and how many seeds it takes to tell."""
    rows = []
    for study in plan.values():
        for data in study.data:
            for loss in [loss for loss in study.losses if loss != study.baseline]:
                contrast = results.against((data, loss), (data, study.baseline), study.seeds)
                interval = contrast.by_metric["AP"].interval
                if contrast.seeds_waiting or not contrast.sd or not interval:
                    continue
                needed = str(seeds_for(MARGIN / contrast.sd) or "over 1,000")
                with_images = results.images.get((data, loss, study.baseline))
                said = by_margin(*interval)
                if with_images and (other := by_margin(*map(float, with_images))) != said:
                    said += f"; with other images {other}"
                seen = points(contrast.by_metric["AP"]), results.with_images(data, loss, study.baseline)
                rows.append([data, loss, str(len(contrast.seeds)), *seen, said, needed])
    by = f"by {100 * MARGIN:.1f} points"
    heads = ["boxes", "loss", "seeds", "ΔAP", "with other images", by, "seeds to tell"]
    return table(heads, rows) if rows else ""


def by_margin(low: float, high: float) -> str:
    """Say what an interval says of a loss that is worse by MARGIN."""
    if low > -MARGIN:
        return "not worse"
    return "worse" if high < -MARGIN else "worse, by how much is open" if high < 0 else "open"


def ideas(file: Path) -> str:
    """What was tried on the way, in points of AP against CIoU under the same seed: mean (each seed) by data set."""
    runs: dict[tuple[str, str], dict[str, float]] = {}
    for row in read_rows(file):
        runs.setdefault((row["idea"], row["data"]), {})[row["seed"]] = float(row["AP"])
    data = list(dict.fromkeys(data for _, data in runs))

    def cell(idea: str, name: str) -> str:
        base, of_idea = runs.get(("ciou", name), {}), runs.get((idea, name), {})
        differences = [of_idea[seed] - base[seed] for seed in sorted(set(base) & set(of_idea))]
        if not differences:
            return "–"
        each = f" ({', '.join(f'{d:+.2f}' for d in differences)})" if len(differences) > 1 else ""
        return f"{np.mean(differences):+.2f}{each}"

    tried = [idea for idea in dict.fromkeys(idea for idea, _ in runs) if idea != "ciou"]
    return table(["idea", *data], [[idea, *(cell(idea, name) for name in data)] for idea in tried])
