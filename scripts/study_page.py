"""Write docs/study.md, and every run of the studies as CSV, from what study_noise.py and study_bccd.py left.

    python scripts/study_page.py [NOISE [BCCD]]

NOISE and BCCD are the folders of the studies: their reports are read into docs/study/*.json, their runs into *.csv.
Questions that the folders do not hold stay as they are there, so that a study may be trained in parts. The page is a
pure function of these, in the words of study.md.j2.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import jinja2
import numpy as np
from study_tables import FIGURES, LOOKED_AT, Summary, answers, beside, heavier, levels, mechanism, read_runs

from yolo_wiou.storage import read_table
from yolo_wiou.studies.compare.records import read
from yolo_wiou.studies.compare.run import read_json
from yolo_wiou.studies.compare.statistics import fewest_seeds

PAGE = Path(__file__).parents[1] / "docs" / "study.md"
OUT = PAGE.parent / "study"
TEMPLATE = Path(__file__).with_name("study.md.j2")
LOGGED = {"IoU": "wiou/iou", "running mean": "wiou/running_mean", "gain": "wiou/gain"}
QUESTIONS = {
    "noise": {
        "wise": "Wise-IoU on {data}",
        "falling": "Gains that fall with the IoU loss, on {data}",
        "exact": "IoU-balanced localisation on {data} boxes",
        "outliers": "Wise-IoU on {data}",
        "outliers-falling": "Gains that fall with the IoU loss, on {data}",
        "clean": "Wise-IoU on {data} boxes",
        "jitter": "Weaker noise: {data}",
        "presets": "The other presets on {data}",
        "dfl": "With `gain.dfl`, on {data}",
        "sweeps": "Other settings, on {data}",
    },
    "bccd": {
        "wise": "Wise-IoU on {data}",
        "exact": "Wise-IoU on {data} boxes",
        "balanced": "IoU-balanced localisation on {data}",
        "others": "Other losses on {data}",
    },
}
"""What the page calls a question, study by study."""


def collect(folder: Path) -> tuple[Summary, list[Summary]]:
    """Read every question of a study: what the page needs of its report, and a row for every run and checkpoint."""
    questions: Summary = {}
    rows: list[Summary] = []
    for file in sorted(folder.glob("*/report.json")):
        report = read_json(file)
        logged = {(r.run.data, r.run.loss, r.run.seed): last(r.folder) for r in read(file.parent)[1] if r.is_finished}
        questions[file.parent.name] = {
            "versions": report["provenance"]["versions"],
            "processor": report["provenance"]["processor"],
            "data": {
                name: summarise(name, data, logged, 2 if file.parent.name in LOOKED_AT else fewest_seeds())
                for name, data in report["data"].items()
                if data["losses"]
            },
        }
        for run in (run for data in report["data"].values() for run in data["runs"] if run["state"] == "finished"):
            key = run["data"], run["loss"], run["seed"]
            for checkpoint, figures in run["figures"].items():
                numbers = {name: value for name, value in figures.items() if not isinstance(value, dict)}
                numbers |= logged[key] if checkpoint == "last" else {}
                told = {name: "" if value is None else f"{value:.5g}" for name, value in numbers.items()}
                rows.append({"data": key[0], "loss": key[1], "seed": key[2], "checkpoint": checkpoint, **told})
    return questions, rows


def last(folder: Path) -> dict[str, float]:
    """What a run's log says of its last epoch."""
    row = read_table(folder / "train" / "results.csv")[-1]
    return {name: row[column] for name, column in LOGGED.items()}


def summarise(name: str, data: Summary, logged: dict[tuple[str, str, int], dict[str, float]], fewest: int) -> Summary:
    """Means of every loss on a data set, and its differences to the baseline where it has the fewest seeds for it."""
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
            if len(one["seeds"]) >= fewest
        ],
    }


def write(name: str, folder: Path) -> None:
    """Read a study into docs/study, over what is known of the same questions and runs."""
    questions, rows = collect(folder)
    summary, table = OUT / f"{name}.json", OUT / f"{name}.csv"
    known = read_json(summary) if summary.exists() else {}
    summary.write_text(json.dumps({**known, **questions}, indent=1), encoding="utf-8")
    every = [*(read_runs(table) if table.exists() else []), *rows]
    runs = {(row["data"], row["loss"], int(row["seed"]), row["checkpoint"]): row for row in every}
    with table.open("w", newline="", encoding="utf-8") as text:
        writer = csv.DictWriter(text, list(dict.fromkeys(key for row in every for key in row)))
        writer.writeheader()
        writer.writerows(runs[key] for key in sorted(runs))


def page() -> str:
    """The whole page."""
    studies, why = {name: read_json(OUT / f"{name}.json") for name in QUESTIONS}, read_json(OUT / "why.json")
    about = next(iter(studies["noise"].values()))
    template = jinja2.Environment(keep_trailing_newline=True).from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        levels={name: levels(study) for name, study in studies.items()},
        answers={name: answers(study, QUESTIONS[name]) for name, study in studies.items()},
        heavier=heavier(OUT / "noise.csv"),
        beside=beside(studies),
        mechanism=mechanism(why),
        versions=", ".join(f"{name} {version}" for name, version in about["versions"].items()),
        processor=about["processor"],
    )


def main(folders: list[str]) -> None:
    """Read the studies that are named, and write the page."""
    for name, folder in zip(QUESTIONS, folders, strict=False):
        write(name, Path(folder))
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
