"""Tables of docs/study.md and of README: what a study's summary, or its runs' CSV, says."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from compatibility import table

from yolo_wiou.studies.compare.statistics import sign_flip_p
from yolo_wiou.studies.compare.summaries import difference

FIGURES = ("AP", "AP50", "AP75", "AP90")
RECOVERED = ("AP", "AP75", "AP90")
LEAST = 0.005
"""Below this cost in AP a share of it says nothing."""
NOISES = ("clean", "jitter10", "jitter20", "jitter30", "jitter40", "outliers5")
LOOKED_AT = ("presets", "dfl", "sweeps")
"""Questions with many losses and few seeds: no verdict is drawn from them."""
REPORTED = {
    "wiou3": "+1.47, one run of YOLOv7 on a part of COCO",
    "iou-balanced-loc": "+1.0 to +2.4 on COCO, the classification balanced too",
}
"""What the authors say of AP75 (2301.10051; 1908.05641)."""
Summary = dict[str, Any]


def points(difference: Summary) -> str:
    """A difference in AP points, and its 95 % interval where the seeds allow one."""
    interval = difference["interval"]
    known = f" ({100 * interval[0]:+.2f} to {100 * interval[1]:+.2f})" if interval else ""
    return f"{100 * difference['mean']:+.2f}{known}"


def recovery(one: Summary, lost: Summary) -> str:
    """The share of what the noise cost CIoU that a loss wins back, in AP, AP75 and AP90; – where it cost too little."""
    shares = (one["figures"][figure]["mean"] / lost[figure] if lost[figure] > LEAST else None for figure in RECOVERED)
    return " / ".join("–" if share is None else f"{100 * share:+.0f}" for share in shares)


def differences(data: Summary, lost: Summary | None = None) -> str:
    """Every loss against CIoU on one data set, the best first."""
    rows = []
    for one in sorted(data["comparisons"], key=lambda one: -one["mean"]):
        figures = one["figures"]
        rows.append(
            [
                one["loss"],
                str(len(one["seeds"])),
                *(points(figures[figure]) for figure in FIGURES),
                *([recovery(one, lost)] if lost else []),
                f"{one['p_holm']:.3f}",
                f"{100 * one['detectable']:.2f}" if one["detectable"] else "–",
                one["verdict"],
                f"{data['losses'][one['loss']]['gain']:.2f}",
            ]
        )
    recovered = ["recovery, %"] if lost else []
    heads = ["loss", "seeds", *(f"Δ{figure}" for figure in FIGURES), *recovered]
    return table([*heads, "p (Holm)", "detectable", "verdict", "gain"], rows)


def looked_at(data: Summary, lost: Summary | None = None) -> str:
    """Every loss beside CIoU on one data set, the best first, without a verdict; and how far chance alone goes."""
    rows = []
    for one in sorted(data["comparisons"], key=lambda one: -one["mean"]):
        each = [100 * difference for difference in one["figures"]["AP"]["differences"]]
        rows.append(
            [
                one["loss"],
                str(len(each)),
                f"{100 * one['mean']:+.2f} ({min(each):+.2f} to {max(each):+.2f})",
                *(points(one["figures"][figure]) for figure in FIGURES[1:]),
                *([recovery(one, lost)] if lost else []),
                f"{data['losses'][one['loss']]['gain']:.2f}",
            ]
        )
    sd = 100 * float(np.mean([one["sd"] ** 2 for one in data["comparisons"]])) ** 0.5
    seeds = max(len(one["seeds"]) for one in data["comparisons"])
    heads = ["loss", "seeds", "ΔAP (its seeds)", *(f"Δ{figure}" for figure in FIGURES[1:])]
    return table([*heads, *(["recovery, %"] if lost else []), "gain"], rows) + (
        f"\nFrom seed to seed a loss's ΔAP has a standard deviation of {sd:.2f} (pooled over these losses), so that a "
        f"mean of {seeds} seeds has a standard error of {sd / seeds**0.5:.2f}.\n"
    )


def levels(study: Summary) -> str:
    """What CIoU reaches on each data set."""
    rows, known = [], by_name(study)
    for name in (name for name in NOISES if name in known):
        ciou = known[name]["losses"]["ciou"]
        cells = (f"{100 * ciou[figure]['mean']:.1f} ± {100 * (ciou[figure]['sd'] or 0):.1f}" for figure in FIGURES)
        rows.append([name, str(ciou["seeds"]), *cells, f"{ciou['IoU']:.2f}"])
    return table(["training boxes", "seeds", *FIGURES, "IoU of the positives"], rows)


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


def by_name(study: Summary) -> dict[str, Summary]:
    """Every data set, from the question that has most seeds of it."""
    found = [(name, data) for question in study.values() for name, data in question["data"].items()]
    return dict(sorted(found, key=lambda one: int(one[1]["losses"]["ciou"]["seeds"])))


def lost(study: Summary, name: str) -> Summary | None:
    """What the noise of a data set cost CIoU; None where clean data is not known, or is what is asked for."""
    known = by_name(study)
    if name not in known or name == "clean" or " " in name or "clean" not in known:
        return None
    clean, noisy = (known[one]["losses"]["ciou"] for one in ("clean", name))
    return {figure: clean[figure]["mean"] - noisy[figure]["mean"] for figure in FIGURES}


def answers(study: Summary, titles: dict[str, str]) -> str:
    """A table for each question and data set."""
    text = ""
    for question, title in titles.items():
        for name, data in study.get(question, {"data": {}})["data"].items():
            if not data["comparisons"]:
                continue
            told = looked_at if question in LOOKED_AT else differences
            text += f"\n### {title.format(data=name)}\n\n" + told(data, lost(study, name))
    return text


def read_runs(file: Path) -> list[dict[str, str]]:
    """The CSV of all runs."""
    with file.open(encoding="utf-8") as text:
        return list(csv.DictReader(text))


def heavier(file: Path) -> str:
    """What a heavier box loss does to CIoU, and IoU-balanced localisation against that, from the CSV of all runs."""
    runs = {(row["data"], row["loss"], row["seed"]): row for row in read_runs(file)}
    pairs = []
    for noise in ("jitter40", "clean"):
        plain, heavy, balanced = (noise, "ciou"), (f"{noise} box=11.4", "ciou"), (noise, "iou-balanced-loc")
        pairs.append((f"`ciou box=11.4` against `ciou`, {noise}", heavy, plain))
        pairs.append((f"`iou-balanced-loc` against `ciou box=11.4`, {noise}", balanced, heavy))
    rows = []
    for title, one, other in pairs:
        seeds = [seed for data, loss, seed in runs if (data, loss) == one and (*other, seed) in runs]
        if not seeds:
            continue
        cells = []
        for figure in FIGURES:
            values = [float(runs[(*one, seed)][figure]) - float(runs[(*other, seed)][figure]) for seed in seeds]
            cells.append(np.array(values))
        p = f"{sign_flip_p(cells[0]):.3f}"
        rows.append([title, str(len(seeds)), *(points(difference(values)) for values in cells), p])
    return table(["", "seeds", *(f"Δ{figure}" for figure in FIGURES), "p"], rows)


def beside(studies: Summary) -> str:
    """AP75 as the authors report it, and as it came out here, a column a study and data set."""
    here: dict[str, dict[str, str]] = {}
    for study, questions in studies.items():
        for data, told in ((data, told) for question in questions.values() for data, told in question["data"].items()):
            found = {one["loss"]: points(one["figures"]["AP75"]) for one in told["comparisons"] if "=" not in data}
            here.setdefault(f"{study}, {data}", {}).update({loss: found[loss] for loss in REPORTED if loss in found})
    places = {place: found for place, found in here.items() if found}
    rows = [[loss, said, *(found.get(loss, "–") for found in places.values())] for loss, said in REPORTED.items()]
    return table(["ΔAP75", "the authors", *places], rows)


def in_short(study: Summary, questions: Sequence[str], name: str) -> str:
    """README's table: what some questions judged on a data set, the best first."""
    judged = [one for question in questions for one in study[question]["data"][name]["comparisons"]]
    rows = [
        [f"`{one['loss']}`", *(points(one["figures"][figure]) for figure in ("AP", "AP50", "AP90")), one["verdict"]]
        for one in sorted(judged, key=lambda one: -one["mean"])
    ]
    return table(["loss", "ΔAP", "ΔAP50", "ΔAP90", "verdict"], rows)
