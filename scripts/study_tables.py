"""Tables of docs/study.md and of README: what a study's runs say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from compatibility import table
from study_noise import HEAVY
from study_results import FIGURES, SIZES, Comparison, Results

from yolo_wiou.compare.statistics import fewest_seeds
from yolo_wiou.compare.study import Study

RECOVERED = ("AP", "AP75", "AP90")
LEAST = 0.005
"""Below this cost in AP a share of it says nothing."""
NOISES = ("clean", "jitter10", "jitter20", "jitter30", "jitter40", "outliers5")
LOOKED_AT = ("jitter", "presets", "dfl", "sweeps")
"""Questions with many losses and few seeds: no verdict is drawn from them."""
REPORTED = {
    "wiou3": "+1.47, one run of YOLOv7 on a part of COCO",
    "iou-balanced": "+1.0 to +2.4 on COCO",
    "iou-balanced-loc": "–",
}
"""What the authors say of AP75 (2301.10051; 1908.05641)."""
Summary = dict[str, Any]


def points(difference: Summary) -> str:
    """A difference in AP points, and its 95 % interval where the seeds allow one."""
    interval = difference["interval"]
    known = f" ({100 * interval[0]:+.2f} to {100 * interval[1]:+.2f})" if interval else ""
    return f"{100 * difference['mean']:+.2f}{known}"


def lost(results: Results, data: str) -> dict[str, float]:
    """What the noise of a data set cost CIoU; nothing where clean data is not known, or is what is asked for."""
    if data == "clean" or not {("clean", "ciou"), (data, "ciou")} <= set(results.runs):
        return {}
    clean, noisy = (results.level((name, "ciou")) for name in ("clean", data))
    return {figure: clean[figure]["mean"] - noisy[figure]["mean"] for figure in RECOVERED}


def recovery(one: Comparison, lost: Mapping[str, float]) -> str:
    """The share of what the noise cost CIoU that a loss wins back, in AP, AP75 and AP90; – where it cost too little."""
    shares = (one["figures"][figure]["mean"] / cost if cost > LEAST else None for figure, cost in lost.items())
    return " / ".join("–" if share is None else f"{100 * share:+.0f}" for share in shares)


def judged(found: list[Comparison], lost: Mapping[str, float]) -> str:
    """Every loss against CIoU on one data set, with the verdicts."""
    rows = [
        [
            one["loss"],
            str(len(one["seeds"])),
            *(points(one["figures"][figure]) for figure in FIGURES),
            *([recovery(one, lost)] if lost else []),
            f"{one['p_holm']:.3f}" if one["p_holm"] else "–",
            f"{100 * one['detectable']:.2f}" if np.isfinite(one["detectable"]) else "–",
            one["verdict"],
            f"{one['gain']:.2f}",
        ]
        for one in found
    ]
    heads = ["loss", "seeds", *(f"Δ{figure}" for figure in FIGURES), *(["recovery, %"] if lost else [])]
    return table([*heads, "p (Holm)", "detectable", "verdict", "gain"], rows)


def looked_at(found: list[Comparison]) -> str:
    """Every loss beside CIoU on one data set, without a verdict."""
    rows = [
        [
            one["loss"],
            str(len(one["seeds"])),
            f"{100 * one['mean']:+.2f} ({', '.join(f'{100 * each:+.2f}' for each in one['differences'])})",
            *(points(one["figures"][figure]) for figure in FIGURES[1:]),
            f"{one['gain']:.2f}",
        ]
        for one in found
    ]
    return table(["loss", "seeds", "ΔAP (each seed)", *(f"Δ{figure}" for figure in FIGURES[1:]), "gain"], rows)


def chance(results: Results, plan: Mapping[str, Study]) -> float:
    """How far a ΔAP goes from seed to seed: its standard deviation, pooled over the losses that are judged."""
    judged = ((study, data) for name, study in plan.items() if name not in LOOKED_AT for data in study.data)
    return float(np.mean([one["sd"] ** 2 for pair in judged for one in results.compare(*pair) if one["sd"] > 0]) ** 0.5)


def shared(results: Results, data: str, found: list[Comparison]) -> str:
    """Say how the baseline's runs, which all differences share, lie among all of its runs."""
    runs = results.runs[data, "ciou"]
    seeds = {seed for one in found for seed in one["seeds"]}
    luck = float(np.mean([runs[seed]["AP"] for seed in seeds])) - results.level((data, "ciou"))["AP"]["mean"]
    where = f"{100 * abs(luck):.2f} points {'above' if luck > 0 else 'below'} the mean of all {len(runs)} of CIoU's"
    return "All share CIoU's runs under these seeds" + (f", which lie {where}." if len(seeds) < len(runs) else ".")


def answers(results: Results, plan: Mapping[str, Study], titles: Mapping[str, str]) -> str:
    """A table for each question and data set, as far as there are seeds for it."""
    text, sd = "", 100 * chance(results, plan)
    for question, title in titles.items():
        for data in plan[question].data:
            found = results.compare(plan[question], data)
            if question in LOOKED_AT and found:
                told = f"{looked_at(found)}\n{shared(results, data, found)} From seed to seed a ΔAP has a standard "
                told += f"deviation of {sd:.2f}, pooled over the losses that are judged.\n"
            elif found := [one for one in found if len(one["seeds"]) >= fewest_seeds()]:
                told = judged(found, lost(results, data))
            else:
                continue
            text += f"\n### {title.format(data=data)}\n\n{told}"
    return text


def levels(results: Results) -> str:
    """What CIoU reaches on each data set."""
    rows = []
    for name in (name for name in NOISES if (name, "ciou") in results.runs):
        level = results.level((name, "ciou"))
        cells = (f"{100 * level[figure]['mean']:.1f} ± {100 * level[figure]['sd']:.1f}" for figure in FIGURES)
        rows.append([name, str(level["AP"]["n"]), *cells, f"{level['IoU']['mean']:.2f}"])
    return table(["training boxes", "seeds", *FIGURES, "IoU of the positives"], rows)


def heavier(results: Results, plan: Mapping[str, Study]) -> str:
    """What a heavier box loss does to CIoU, and the losses that won against that."""
    asked = (
        (HEAVY, "ciou", plan["heavy"].seeds),
        ("iou-balanced", HEAVY, plan["confirmed"].seeds),
        ("alpha-ciou", HEAVY, plan["confirmed"].seeds),
        ("iou-balanced-loc", HEAVY, plan["falling"].seeds),
    )
    rows = []
    for one, other, seeds in asked:
        found = results.against(("jitter40", one), ("jitter40", other), seeds)
        cells = (points(found["figures"][figure]) for figure in FIGURES)
        p = "–" if found["seeds_waiting"] else f"{found['p']:.3f}"
        rows.append([f"`{one}` against `{other}`", str(len(found["seeds"])), *cells, p])
    return table(["", "seeds", *(f"Δ{figure}" for figure in FIGURES), "p"], rows)


def beside(studies: Mapping[str, Results]) -> str:
    """AP75 as the authors report it, and as it came out here, a column a study and data set."""
    here: dict[str, dict[str, str]] = {}
    for study, results in studies.items():
        for name in (name for name in NOISES if (name, "ciou") in results.runs):
            for loss in (loss for loss in REPORTED if (name, loss) in results.runs):
                found = results.against((name, loss), (name, "ciou"), results.runs[name, loss])
                if len(found["seeds"]) >= fewest_seeds():
                    here.setdefault(f"{study}, {name}", {})[loss] = points(found["figures"]["AP75"])
    rows = [[loss, said, *(found.get(loss, "–") for found in here.values())] for loss, said in REPORTED.items()]
    return table(["ΔAP75", "the authors", *here], rows)


def by_size(results: Results, data: str, losses: Iterable[str]) -> str:
    """What some losses do to objects of each size, beside CIoU."""
    found = [results.against((data, loss), (data, "ciou"), results.runs[data, loss]) for loss in losses]
    rows = [[one["loss"], str(len(one["seeds"])), *(points(one["figures"][size]) for size in SIZES)] for one in found]
    return table(["loss", "seeds", *(f"Δ{size.replace('_', ' ')}" for size in SIZES)], rows)


def in_short(results: Results, studies: Iterable[Study], data: str) -> str:
    """README's table: what some questions judged on a data set, the best first."""
    found = [one for study in studies for one in results.compare(study, data)]
    rows = [
        [f"`{one['loss']}`", *(points(one["figures"][figure]) for figure in FIGURES), one["verdict"]]
        for one in sorted(found, key=lambda one: -one["mean"])
    ]
    return table(["loss", *(f"Δ{figure}" for figure in FIGURES), "verdict"], rows)


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
