"""Write docs/study.md, and every run of the studies as CSV, from what study_noise.py and study_bccd.py left.

    python scripts/study_page.py [NOISE [BCCD]]

NOISE and BCCD are the folders of the studies: their reports are read into docs/study/*.json, their runs into *.csv. The
page is a pure function of these, in the words of study.md.j2.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from compatibility import table

from yolo_wiou.storage import read_table
from yolo_wiou.studies.compare.records import read
from yolo_wiou.studies.compare.run import read_json
from yolo_wiou.studies.compare.statistics import fewest_seeds, sign_flip_p
from yolo_wiou.studies.compare.summaries import difference

PAGE = Path(__file__).parents[1] / "docs" / "study.md"
OUT = PAGE.parent / "study"
TEMPLATE = Path(__file__).with_name("study.md.j2")
FIGURES = ("AP", "AP75", "AP90")
LOGGED = {"IoU": "wiou/iou", "running mean": "wiou/running_mean", "gain": "wiou/gain"}
LEAST = 0.005
"""Below this cost in AP a share of it says nothing."""
NOISES = ("clean", "jitter10", "jitter20", "jitter40", "outliers5")
QUESTIONS = {
    "wise": "Wise-IoU on {data}",
    "falling": "Gains that fall with the IoU loss, on {data}",
    "exact": "IoU-balanced localisation on {data} boxes",
    "outliers": "Wise-IoU on {data}",
    "clean": "Wise-IoU on {data} boxes",
    "dfl": "With `gain.dfl`, on {data}",
    "jitter": "Wise-IoU on {data}",
    "presets": "All presets on {data} (looked at, not judged)",
    "sweeps": "Settings on {data} (looked at, not judged)",
}
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
            "data": {name: summarise(name, data, logged) for name, data in report["data"].items() if data["losses"]},
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
            if len(one["seeds"]) >= fewest_seeds()
        ],
    }


def write(name: str, folder: Path) -> None:
    """Read a study into docs/study."""
    questions, rows = collect(folder)
    OUT.mkdir(exist_ok=True)
    (OUT / f"{name}.json").write_text(json.dumps(questions, indent=1), encoding="utf-8")
    with (OUT / f"{name}.csv").open("w", newline="", encoding="utf-8") as text:
        writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows({key: f"{v:.5g}" if isinstance(v, float) else v for key, v in row.items()} for row in rows)


def points(difference: Summary) -> str:
    """A difference in AP points, and its 95 % interval where the seeds allow one."""
    interval = difference["interval"]
    known = f" ({100 * interval[0]:+.2f} to {100 * interval[1]:+.2f})" if interval else ""
    return f"{100 * difference['mean']:+.2f}{known}"


def recovery(one: Summary, lost: Summary) -> str:
    """The share of what the noise cost CIoU that a loss wins back, in AP, AP75 and AP90; – where it cost too little."""
    shares = (one["figures"][figure]["mean"] / lost[figure] if lost[figure] > LEAST else None for figure in FIGURES)
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
                one["verdict"],
                f"{data['losses'][one['loss']]['gain']:.2f}",
            ]
        )
    recovered = ["recovery, %"] if lost else []
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


def by_name(noise: Summary) -> dict[str, Summary]:
    """Every data set, from the question that has most seeds of it."""
    found = [(name, data) for question in noise.values() for name, data in question["data"].items()]
    return dict(sorted(found, key=lambda one: int(one[1]["losses"]["ciou"]["seeds"])))


def lost(noise: Summary, name: str) -> Summary | None:
    """What the noise of a data set cost CIoU; None where clean data is not known, or is what is asked for."""
    known = by_name(noise)
    if name not in known or name == "clean" or " " in name or "clean" not in known:
        return None
    clean, noisy = (known[one]["losses"]["ciou"] for one in ("clean", name))
    return {figure: clean[figure]["mean"] - noisy[figure]["mean"] for figure in FIGURES}


def answers(noise: Summary) -> str:
    """A table for each question and data set."""
    text = ""
    for question, title in QUESTIONS.items():
        for name, data in noise.get(question, {"data": {}})["data"].items():
            if not data["comparisons"]:
                continue
            text += f"\n### {title.format(data=name)}\n\n" + differences(data, lost(noise, name))
    return text


def heavier() -> str:
    """What a heavier box loss does to CIoU, and IoU-balanced localisation against that."""
    with (OUT / "noise.csv").open(encoding="utf-8") as text:
        runs = {(row["data"], row["loss"], row["seed"]): row for row in csv.DictReader(text)}
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


def in_short(noise: Summary) -> str:
    """README's table: what was judged on loose boxes, the best first."""
    judged = [one for question in ("wise", "falling") for one in noise[question]["data"]["jitter40"]["comparisons"]]
    cost = lost(noise, "jitter40")
    rows = [
        [
            f"`{one['loss']}`",
            *(points(one["figures"][figure]) for figure in ("AP", "AP90")),
            *([recovery(one, cost)] if cost else []),
            one["verdict"],
        ]
        for one in sorted(judged, key=lambda one: -one["mean"])
    ]
    return table(["loss", "ΔAP", "ΔAP90", "recovery, %", "verdict"], rows)


def page() -> str:
    """The whole page."""
    noise, why = (read_json(OUT / f"{name}.json") for name in ("noise", "why"))
    known, about = by_name(noise), next(iter(noise.values()))
    template = jinja2.Environment(keep_trailing_newline=True).from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        levels=levels({name: known[name] for name in NOISES if name in known}),
        answers=answers(noise),
        heavier=heavier(),
        mechanism=mechanism(why),
        versions=", ".join(f"{name} {version}" for name, version in about["versions"].items()),
        processor=about["processor"],
    )


def main(folders: list[str]) -> None:
    """Read the studies that are named, and write the page."""
    for name, folder in zip(("noise", "bccd"), folders, strict=False):
        write(name, Path(folder))
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
