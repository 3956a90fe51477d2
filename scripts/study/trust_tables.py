"""Tables of docs/study.md on `trust`: help on loose boxes, harm elsewhere, and what else was tried."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from results import METRICS, Contrast, Results, read_rows
from tables import points

sys.path.insert(0, str(Path(__file__).parents[1]))
from markdown import table

from yolo_wiou.compare.statistics import fewest_seeds, seeds_for
from yolo_wiou.compare.study import Study

MARGIN = 0.003
"""Of AP: what "not worse" allows."""


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
                        rows.append(row_of(contrast, data, base, won))
    heads = ["boxes", "loss", "against", "seeds", *(f"Δ{name}" for name in METRICS), "recovery, %", "p"]
    return table(heads, rows) if rows else ""


def recovered(results: Results, data: str, contrast: Contrast) -> str:
    """The share of the AP that the noise costs the baseline which a loss wins back, by the seeds of all three."""
    start = data.rpartition("-")[0]
    names = (f"{start}-exact" if start else "exact", "clean")
    exact = next((results.runs[name, "ciou"] for name in names if (name, "ciou") in results.runs), {})
    noisy, own = (results.runs[data, loss] for loss in ("ciou", contrast.loss))
    seeds = sorted(set(exact) & set(contrast.seeds))
    if exact is noisy or len(seeds) < fewest_seeds():
        return "–"
    cost, won = (np.mean([runs[seed]["AP"] - noisy[seed]["AP"] for seed in seeds]) for runs in (exact, own))
    return f"{100 * won / cost:+.0f}"


def row_of(contrast: Contrast, data: str, base: str, won: str) -> list[str]:
    """A comparison as a row."""
    return [
        data,
        contrast.loss,
        base,
        str(len(contrast.seeds)),
        *(points(contrast.by_metric[name]) for name in METRICS),
        won,
        "–" if contrast.p is None else f"{contrast.p:.4f}",
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
                said = "not worse" if interval[0] > -MARGIN else "worse" if interval[1] < -MARGIN else "open"
                rows.append([data, loss, str(len(contrast.seeds)), points(contrast.by_metric["AP"]), said, needed])
    heads = ["boxes", "loss", "seeds", "ΔAP", f"by {100 * MARGIN:.1f} points", "seeds to tell"]
    return table(heads, rows) if rows else ""


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
