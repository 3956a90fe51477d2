"""What the published runs of a study say: docs/study/NAME.csv, and the statistics of its questions."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from math import isfinite
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from yolo_wiou.compare.analysis import PRIMARY, QUOTED
from yolo_wiou.compare.average_precision import FIGURES as MEASURED
from yolo_wiou.compare.average_precision import measure
from yolo_wiou.compare.records import Record, read
from yolo_wiou.compare.study import Study
from yolo_wiou.compare.summaries import difference, judge_together, spread, tested
from yolo_wiou.files import number

OUT = Path(__file__).parents[1] / "docs" / "study"
FIGURES = ("AP", "AP50", "AP75", "AP90")
SIZES = ("AP_small", "AP_medium", "AP_large")
"""COCO's: below 32² and 96² pixels, and above."""
LOGGED = {"IoU": "wiou/iou", "running mean": "wiou/running_mean", "gain": "wiou/gain"}
ROUNDING = 1e-5
"""Of the figures in the CSV's first rows."""
VERSIONS = ("ultralytics", "torch")
Arm: TypeAlias = tuple[str, str]
"""What is trained under every seed: a data set and a loss."""
Comparison: TypeAlias = dict[str, Any]


class Results:
    """The last epochs of a study's runs, and what its questions make of them.

    Attributes:
        rows: of the CSV, every run and checkpoint.
        runs: figures by data set, loss and seed.
    """

    def __init__(self, file: Path) -> None:
        """Read the CSV."""
        self.rows = read_rows(file)
        self.runs: dict[Arm, dict[int, dict[str, float]]] = {}
        for row in self.rows:
            if row["checkpoint"] == QUOTED:
                figures = {name: number(row[name]) for name in (*FIGURES, *SIZES, *LOGGED)}
                self.runs.setdefault((row["data"], row["loss"]), {})[int(row["seed"])] = figures

    def versions(self, package: str) -> list[str]:
        """Which versions of a package trained the runs that say so."""
        return sorted({row[package] for row in self.rows if row.get(package)})

    def level(self, arm: Arm) -> dict[str, dict[str, float]]:
        """Mean and standard deviation of every figure over the seeds."""
        return {name: spread(run[name] for run in self.runs[arm].values()) for name in (*FIGURES, *LOGGED)}

    def against(self, arm: Arm, base: Arm, seeds: Iterable[int], comparisons: int = 1) -> Comparison:
        """Compare two arms under the seeds that both were trained with, one of so many comparisons with the base."""
        planned = list(seeds)
        known, other = self.runs.get(base, {}), self.runs.get(arm, {})
        done = [seed for seed in planned if seed in known and seed in other]
        differences = {
            name: np.array([other[seed][name] - known[seed][name] for seed in done]) for name in (*FIGURES, *SIZES)
        }
        return {
            "loss": arm[1],
            "seeds": done,
            "seeds_waiting": [seed for seed in planned if seed not in done],
            **tested(differences[PRIMARY], comparisons),
            "figures": {name: difference(each) for name, each in differences.items()},
            "gain": float(np.mean([other[seed]["gain"] for seed in done])) if done else None,
        }

    def compare(self, study: Study, data: str) -> list[Comparison]:
        """Compare every loss of a question with its baseline on one of its data sets, the best first."""
        rivals = [loss for loss in study.losses if loss != study.baseline]
        found = [self.against((data, loss), (data, study.baseline), study.seeds, len(rivals)) for loss in rivals]
        judge_together(found)
        return sorted((one for one in found if one["seeds"]), key=lambda one: -one["mean"])


def read_rows(file: Path) -> list[dict[str, str]]:
    """Read a CSV of runs."""
    with file.open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))


def publish(name: str, folder: Path) -> None:
    """Add the finished runs in a study's folder to its CSV.

    Runs are paired with runs that were trained at another time. That is right as long as a run comes out the same
    whenever it is trained, so those that the CSV knows must.

    Raises:
        SystemExit: a run came out otherwise; nothing is written then.
    """
    file = OUT / f"{name}.csv"
    every: list[dict[str, str]] = [*(read_rows(file) if file.exists() else []), *rows_of(folder)]
    runs: dict[tuple[str, str, int, str], dict[str, str]] = {}
    for row in every:
        key = row["data"], row["loss"], int(row["seed"]), row["checkpoint"]
        for name in set(row) & set(runs.get(key, {})) & {*MEASURED, *LOGGED, "stream"}:
            then, now = number(runs[key][name]), number(row[name])
            if abs(then - now) > ROUNDING * max(1, abs(then)):
                sys.exit(
                    f"{', '.join(map(str, key))}: {name} {then} as published and {now} now. What trains here is not "
                    f"what trained the published runs, so they are no pairs: move {file} away to publish your own."
                )
        runs[key] = row
    with file.open("w", newline="", encoding="utf-8") as text:
        writer = csv.DictWriter(text, list(dict.fromkeys(key for row in every for key in row)))
        writer.writeheader()
        writer.writerows(runs[key] for key in sorted(runs))


def rows_of(folder: Path) -> Iterator[dict[str, str]]:
    """Give a row for every finished run, and checkpoint of it, in the folders of a study's questions.

    `stream` is the checksum of all its training batches: equal for runs that are pairs.
    """
    for runs in sorted(folder.glob("*/runs")):
        for record in (record for record in read(runs.parent)[1] if record.is_finished):
            run = record.run
            for checkpoint in run.checkpoints:
                told = {name: value for name, value in measure(record.folder, checkpoint).items() if name in MEASURED}
                told |= logged(record) if checkpoint == QUOTED else {}
                yield {
                    "data": run.data,
                    "loss": run.loss,
                    "seed": str(run.seed),
                    "checkpoint": checkpoint,
                    **{name: f"{value:.7g}" if isfinite(value) else "" for name, value in told.items()},
                    "stream": str(record.result["stream"][-1]),
                    **trained_by(record),
                }


def logged(record: Record) -> dict[str, float]:
    """What a run's log says of its last epoch."""
    return {name: record.at_last(column) for name, column in LOGGED.items()}


def trained_by(record: Record) -> dict[str, str]:
    """What trained a run, if it wrote that down."""
    told = record.provenance
    return {"commit": told.get("commit") or "", **{name: told.get("versions", {}).get(name, "") for name in VERSIONS}}
