"""Write docs/study.md, and every run of the studies as CSV, from what study_noise.py and study_bccd.py left.

    python scripts/study_page.py [NOISE [BCCD]]

NOISE and BCCD are the folders of the studies: their reports are read into docs/study/*.json, their runs into *.csv. The
page is a pure function of these.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from compatibility import table

from yolo_wiou.storage import read_table
from yolo_wiou.studies.compare.records import read
from yolo_wiou.studies.compare.run import read_json

PAGE = Path(__file__).parents[1] / "docs" / "study.md"
OUT = PAGE.parent / "study"
FIGURES = ("AP", "AP75", "AP90")
LOGGED = {"IoU": "wiou/iou", "running mean": "wiou/running_mean", "gain": "wiou/gain"}
Summary = dict[str, Any]


def collect(folder: Path) -> tuple[Summary, list[Summary]]:
    """Read every question of a study: what the page needs of its report, and a row for every run, each once."""
    questions: Summary = {}
    rows: dict[tuple[Any, ...], Summary] = {}
    for file in sorted(folder.glob("*/report.json")):
        report = read_json(file)
        logged = {(r.run.data, r.run.loss, r.run.seed): last(r.folder) for r in read(file.parent)[1] if r.is_finished}
        questions[file.parent.name] = {
            "versions": report["provenance"]["versions"],
            "processor": report["provenance"]["processor"],
            "data": {name: summarise(name, data, logged) for name, data in report["data"].items()},
        }
        for run in (run for data in report["data"].values() for run in data["runs"] if run["state"] == "finished"):
            key = run["data"], run["loss"], run["seed"]
            for checkpoint, figures in run["figures"].items():
                numbers = {name: value for name, value in figures.items() if not isinstance(value, dict)}
                told = {"data": key[0], "loss": key[1], "seed": key[2], "checkpoint": checkpoint}
                rows[(*key, checkpoint)] = {**told, **numbers, **(logged[key] if checkpoint == "last" else {})}
    return questions, [rows[key] for key in sorted(rows)]


def last(folder: Path) -> dict[str, float]:
    """What a run's log says of its last epoch."""
    row = read_table(folder / "train" / "results.csv")[-1]
    return {name: row[column] for name, column in LOGGED.items()}


def summarise(name: str, data: Summary, logged: dict[tuple[str, str, int], dict[str, float]]) -> Summary:
    """Means of every loss on a data set, and its differences to the baseline."""
    return {
        "losses": {
            loss: {
                "seeds": len(summary["seeds"]),
                **{figure: summary["figures"]["last"][figure] for figure in FIGURES},
                **{key: float(np.mean([logged[name, loss, seed][key] for seed in summary["seeds"]])) for key in LOGGED},
            }
            for loss, summary in data["losses"].items()
        },
        "comparisons": [
            {
                **{key: one[key] for key in ("loss", "seeds", "mean", "p", "p_holm", "verdict", "sd", "detectable")},
                "figures": {figure: one["exploratory"]["figures"][figure] for figure in FIGURES},
            }
            for one in data["comparisons"]
            if one["seeds"]
        ],
    }


def write(name: str, folder: Path) -> None:
    """Read a study into docs/study."""
    questions, rows = collect(folder)
    OUT.mkdir(exist_ok=True)
    (OUT / f"{name}.json").write_text(json.dumps(questions, indent=1), encoding="utf-8")
    with (OUT / f"{name}.csv").open("w", newline="", encoding="utf-8") as text:
        writer = csv.DictWriter(text, rows[0])
        writer.writeheader()
        writer.writerows({key: f"{v:.5g}" if isinstance(v, float) else v for key, v in row.items()} for row in rows)


def points(difference: Summary) -> str:
    """A difference in AP points, and its 95 % interval where the seeds allow one."""
    interval = difference["interval"]
    known = f" ({100 * interval[0]:+.2f} to {100 * interval[1]:+.2f})" if interval else ""
    return f"{100 * difference['mean']:+.2f}{known}"


def recovery(difference: Summary, figure: str, lost: Summary | None) -> str:
    """The share of what the noise cost CIoU that a loss wins back."""
    return f"{100 * difference['mean'] / lost[figure]:+.0f} %" if lost else "–"


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
                *([recovery(figures["AP"], "AP", lost)] if lost else []),
                f"{one['p_holm']:.3f}",
                one["verdict"],
                f"{data['losses'][one['loss']]['gain']:.2f}",
            ]
        )
    recovered = ["recovery of AP"] if lost else []
    return table(
        ["loss", "seeds", *(f"Δ{figure}" for figure in FIGURES), *recovered, "p (Holm)", "verdict", "gain"], rows
    )


def levels(by_name: dict[str, Summary]) -> str:
    """What CIoU reaches on each data set."""
    rows = []
    for name, data in by_name.items():
        ciou = data["losses"]["ciou"]
        cells = (f"{100 * ciou[figure]['mean']:.1f} ± {100 * (ciou[figure]['sd'] or 0):.1f}" for figure in FIGURES)
        rows.append([name, str(ciou["seeds"]), *cells, f"{ciou['IoU']:.2f}"])
    return table(["training boxes", "seeds", *FIGURES, "IoU of the positives"], rows)


def mechanism(report: Summary) -> str:
    """Whose boxes the weight of the box loss belongs to."""
    text = ""
    for name, data in report.items():
        about = data["about"]
        text += (
            f"\n{name}: {100 * about['wrong']:.0f} % of the positives belong to wrong boxes. Their IoU is "
            f"{about['IoU of wrong']:.2f} (the others' {about['IoU of right']:.2f}), their task-aligned weight "
            f"{about['weight of wrong']:.2f} (the others' {about['weight of right']:.2f}).\n\n"
        )
        rows = [
            [loss, f"{cell['right']:.2f}", f"{cell['wrong']:.2f}", f"{100 * cell['share']:.1f} %"]
            for loss, cell in data["losses"].items()
        ]
        text += table(
            ["loss", "gain of right boxes", "gain of wrong boxes", "share of the weight on wrong boxes"], rows
        )
    return text


def answers(noise: Summary) -> str:
    """A table for each question and data set; recovery where clean and noisy CIoU are both known."""
    known = {name: data for question in noise.values() for name, data in question["data"].items()}
    text = ""
    for question, about in QUESTIONS.items():
        for name, data in noise.get(question, {"data": {}})["data"].items():
            text += f"\n### {about.format(data=name)}\n\n" + differences(data, lost(known, name))
    return text


def lost(known: dict[str, Summary], name: str) -> Summary | None:
    """What the noise of a data set cost CIoU."""
    if name == "clean" or "clean" not in known:
        return None
    clean, noisy = (known[one]["losses"]["ciou"] for one in ("clean", name))
    return {figure: clean[figure]["mean"] - noisy[figure]["mean"] for figure in FIGURES}
