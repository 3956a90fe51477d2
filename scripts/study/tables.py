"""Tables of docs/study.md: what a study's runs say."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from noise import HEAVY
from results import METRICS, SIZES, Contrast, Results

sys.path.insert(0, str(Path(__file__).parents[1]))
from markdown import table

from yolo_wiou.compare.findings import Difference
from yolo_wiou.compare.statistics import fewest_seeds
from yolo_wiou.compare.study import Study

RECOVERED = ("AP", "AP75", "AP90")
LEAST = 0.005
"""Below this cost in AP a share of it says nothing."""
NOISES = ("clean", "jitter10", "jitter20", "jitter30", "jitter40", "outliers5")
EXACT = ("clean", "exact")
"""What the studies call data without noise."""
LOOKED_AT = ("jitter", "presets", "dfl", "sweeps")
"""Studies of many losses and few seeds: no verdict is drawn from them."""
REPORTED = {
    "wiou3": "+1.47, one run of YOLOv7 on a part of COCO",
    "iou-balanced": "+1.0 to +2.4 on COCO",
    "iou-balanced-loc": "–",
}
"""What the authors say of AP75 (arXiv:2301.10051; arXiv:1908.05641)."""
Summary = dict[str, Any]


def points(difference: Difference) -> str:
    """A difference in AP points, and its 95 % interval where the seeds allow one."""
    interval = difference.interval
    known = f" ({100 * interval[0]:+.2f} to {100 * interval[1]:+.2f})" if interval else ""
    return f"{100 * (difference.mean or 0):+.2f}{known}"


def exact_of(results: Results, data: str) -> str:
    """What a data set is called whose boxes are exact, from the same start; itself, where there is none."""
    start = data.rpartition("-")[0]
    names = (f"{start}-{name}" if start else name for name in EXACT)
    return next((name for name in names if (name, "ciou") in results.runs), data)


def lost(results: Results, data: str) -> dict[str, float]:
    """What the noise of a data set cost CIoU; nothing where exact data is not known, or is what is asked for."""
    exact = exact_of(results, data)
    if data == exact or (data, "ciou") not in results.runs:
        return {}
    clean, noisy = (results.level((name, "ciou")) for name in (exact, data))
    return {name: (clean[name].mean or 0) - (noisy[name].mean or 0) for name in RECOVERED}


def recovery(contrast: Contrast, lost: Mapping[str, float]) -> str:
    """The share of what the noise cost CIoU that a loss wins back, in AP, AP75 and AP90; – where it cost too little."""
    won = {name: contrast.by_metric[name].mean or 0 for name in lost}
    shares = (won[name] / cost if cost > LEAST else None for name, cost in lost.items())
    return " / ".join("–" if share is None else f"{100 * share:+.0f}" for share in shares)


def judged(contrasts: list[Contrast], lost: Mapping[str, float]) -> str:
    """Every loss against CIoU on one data set, with the verdicts."""
    rows = [
        [
            contrast.loss,
            str(len(contrast.seeds)),
            *(points(contrast.by_metric[name]) for name in METRICS),
            *([recovery(contrast, lost)] if lost else []),
            f"{contrast.p_holm:.3f}" if contrast.p_holm else "–",
            "–" if contrast.detectable is None else f"{100 * contrast.detectable:.2f}",
            contrast.verdict,
            f"{contrast.mean_gain:.2f}",
        ]
        for contrast in contrasts
    ]
    heads = ["loss", "seeds", *(f"Δ{name}" for name in METRICS), *(["recovery, %"] if lost else [])]
    return table([*heads, "p (Holm)", "detectable", "verdict", "gain"], rows)


def looked_at(contrasts: list[Contrast]) -> str:
    """Every loss beside CIoU on one data set, without a verdict."""
    rows = [
        [
            contrast.loss,
            str(len(contrast.seeds)),
            f"{100 * (contrast.mean or 0):+.2f} ({', '.join(f'{100 * (d or 0):+.2f}' for d in contrast.differences)})",
            *(points(contrast.by_metric[name]) for name in METRICS[1:]),
            f"{contrast.mean_gain:.2f}",
        ]
        for contrast in contrasts
    ]
    return table(["loss", "seeds", "ΔAP (each seed)", *(f"Δ{name}" for name in METRICS[1:]), "gain"], rows)


def chance(results: Results, plan: Mapping[str, Study]) -> float:
    """How far a ΔAP goes from seed to seed: its standard deviation, pooled over the losses that are judged."""
    judged = ((study, data) for name, study in plan.items() if name not in LOOKED_AT for data in study.data)
    contrasts = (contrast for pair in judged for contrast in results.compare(*pair))
    return float(np.mean([contrast.sd**2 for contrast in contrasts if contrast.sd]) ** 0.5)


def shared(results: Results, data: str, contrasts: list[Contrast]) -> str:
    """Say how the baseline's runs, which all differences share, lie among all of its runs."""
    runs = results.runs[data, "ciou"]
    seeds = {seed for contrast in contrasts for seed in contrast.seeds}
    luck = float(np.mean([runs[seed]["AP"] for seed in seeds])) - (results.level((data, "ciou"))["AP"].mean or 0)
    where = f"{100 * abs(luck):.2f} points {'above' if luck > 0 else 'below'} the mean of all {len(runs)} of CIoU's"
    return "All share CIoU's runs under these seeds" + (f", which lie {where}." if len(seeds) < len(runs) else ".")


def answers(results: Results, plan: Mapping[str, Study], titles: Mapping[str, str]) -> str:
    """A table for each study and data set, as far as there are seeds for it."""
    text, sd = "", 100 * chance(results, plan)
    for name, title in titles.items():
        for data in plan[name].data:
            contrasts = results.compare(plan[name], data)
            if name in LOOKED_AT and contrasts:
                section = f"{looked_at(contrasts)}\n{shared(results, data, contrasts)} From seed to seed a ΔAP has a "
                section += f"standard deviation of {sd:.2f}, pooled over the losses that are judged.\n"
            elif contrasts := [contrast for contrast in contrasts if len(contrast.seeds) >= fewest_seeds()]:
                section = judged(contrasts, lost(results, data))
            else:
                continue
            text += f"\n### {title.format(data=data)}\n\n{section}"
    return text


def levels(results: Results) -> str:
    """What CIoU reaches on each data set."""
    rows = []
    for name in (name for name in NOISES if (name, "ciou") in results.runs):
        level = results.level((name, "ciou"))
        spreads = [level[metric] for metric in METRICS]
        cells = (f"{100 * (spread.mean or 0):.1f} ± {100 * (spread.sd or 0):.1f}" for spread in spreads)
        rows.append([name, str(level["AP"].n), *cells, f"{level['IoU'].mean:.2f}"])
    return table(["training boxes", "seeds", *METRICS, "IoU of the positives"], rows)


def heavier(results: Results, plan: Mapping[str, Study]) -> str:
    """What a heavier box loss does to CIoU, and the losses that won against that."""
    asked = (
        (HEAVY, "ciou", plan["heavy"].seeds),
        ("iou-balanced", HEAVY, plan["confirmed"].seeds),
        ("alpha-ciou", HEAVY, plan["confirmed"].seeds),
        ("iou-balanced-loc", HEAVY, plan["falling"].seeds),
    )
    rows = []
    for loss, base, seeds in asked:
        contrast = results.against(("jitter40", loss), ("jitter40", base), seeds)
        cells = (points(contrast.by_metric[name]) for name in METRICS)
        p = "–" if contrast.seeds_waiting else f"{contrast.p:.3f}"
        rows.append([f"`{loss}` against `{base}`", str(len(contrast.seeds)), *cells, p])
    return table(["", "seeds", *(f"Δ{name}" for name in METRICS), "p"], rows)


def beside(studies: Mapping[str, Results]) -> str:
    """AP75 as the authors report it, and as it came out here, a column per study and data set."""
    here: dict[str, dict[str, str]] = {}
    for study, results in studies.items():
        for name in (name for name in NOISES if (name, "ciou") in results.runs):
            for loss in (loss for loss in REPORTED if (name, loss) in results.runs):
                contrast = results.against((name, loss), (name, "ciou"), results.runs[name, loss])
                if len(contrast.seeds) >= fewest_seeds():
                    here.setdefault(f"{study}, {name}", {})[loss] = points(contrast.by_metric["AP75"])
    rows = [[loss, said, *(column.get(loss, "–") for column in here.values())] for loss, said in REPORTED.items()]
    return table(["ΔAP75", "the authors", *here], rows)


def by_size(results: Results, data: str, losses: Iterable[str]) -> str:
    """What some losses do to objects of each size, beside CIoU."""
    contrasts = [results.against((data, loss), (data, "ciou"), results.runs[data, loss]) for loss in losses]
    rows = [[c.loss, str(len(c.seeds)), *(points(c.by_metric[size]) for size in SIZES)] for c in contrasts]
    return table(["loss", "seeds", *(f"Δ{size.replace('_', ' ')}" for size in SIZES)], rows)


def mechanism(report: Summary) -> str:
    """Whose boxes the weight of the box loss belongs to."""
    heads = ["loss", "gain of right boxes", "gain of wrong boxes", "share of the weight on wrong boxes"]
    text = ""
    for name, data in report.items():
        about = data["about"]
        text += (
            f"\n**{name}**: {100 * about['wrong']:.0f} % of the positives belong to wrong boxes. Their IoU is "
            f"{about['IoU of wrong']:.2f} (the others' {about['IoU of right']:.2f}), their task-aligned weight "
            f"{about['weight of wrong']:.2f} (the others' {about['weight of right']:.2f}).\n\n"
        )
        rows = [
            [loss, f"{cell['right']:.2f}", f"{cell['wrong']:.2f}", f"{100 * cell['share']:.1f} %"]
            for loss, cell in data["losses"].items()
        ]
        text += table(heads, rows)
    return text
