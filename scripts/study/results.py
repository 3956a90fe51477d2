"""What the published runs of a study say: docs/study/NAME.csv, and the statistics of its parts."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from math import isfinite
from pathlib import Path
from typing import TypeAlias

import numpy as np

from yolo_wiou.compare.comparison import add_verdicts, difference, differences_of, paired_test
from yolo_wiou.compare.evaluation import QUOTED, evaluate, metrics_of
from yolo_wiou.compare.findings import METRICS as MEASURED
from yolo_wiou.compare.findings import Comparison, Difference, Spread
from yolo_wiou.compare.run import Record, ended_runs
from yolo_wiou.compare.statistics import fewest_seeds, spread
from yolo_wiou.compare.study import Study
from yolo_wiou.files import read_json

OUT = Path(__file__).parents[2] / "docs" / "study"
METRICS = ("AP", "AP50", "AP75", "AP90")
SIZES = ("AP_small", "AP_medium", "AP_large")
"""COCO's: below 32² and 96² pixels, and above."""
LOGGED = {"IoU": "wiou/iou", "running mean": "wiou/running_mean", "gain": "wiou/gain", "ratio": "wiou/gradient_ratio"}
ROUNDING = 1e-5
"""Of the metrics in the CSV's first rows."""
VERSIONS = ("ultralytics", "torch")
Arm: TypeAlias = tuple[str, str]
"""What is trained under every seed: a data set and a loss."""


class Contrast(Comparison):
    """A comparison of two arms, with the differences of all metrics, and the mean gain of the first."""

    by_metric: dict[str, Difference]
    mean_gain: float | None


class Results:
    """The last epochs of a study's runs, and what its parts make of them.

    Attributes:
        rows: of the CSV, every run and checkpoint.
        runs: metrics by data set, loss and seed.
        images: 95 % interval of AP over seeds and images, by data set, loss, and what it is compared with; where known.
        weights: constant gain of every control, by data set and name.
    """

    def __init__(self, file: Path) -> None:
        """Read the CSV."""
        self.rows = read_rows(file) if file.exists() else []
        table = images_file(file)
        rows = read_rows(table) if table.exists() else []
        self.images = {(row["data"], row["loss"], row["against"]): (row["low"], row["high"]) for row in rows}
        self.weights = {(row["data"], row["against"]): row["weight"] for row in rows if row["weight"]}
        self.runs: dict[Arm, dict[int, dict[str, float]]] = {}
        for row in self.rows:
            if row["checkpoint"] == QUOTED:
                metrics = {name: number(row.get(name)) for name in (*METRICS, *SIZES, *LOGGED)}
                self.runs.setdefault((row["data"], row["loss"]), {})[int(row["seed"])] = metrics

    def versions(self, package: str) -> list[str]:
        """Which versions of a package trained the runs that say so."""
        return sorted({row[package] for row in self.rows if row.get(package)})

    def level(self, arm: Arm) -> dict[str, Spread]:
        """Mean and standard deviation of every metric over the seeds."""
        return {name: spread(run[name] for run in self.runs[arm].values()) for name in (*METRICS, *LOGGED)}

    def against(self, arm: Arm, base: Arm, seeds: Iterable[int], comparisons: int = 1) -> Contrast:
        """Compare two arms under the seeds that both were trained with, one of so many comparisons with the base."""
        planned = list(seeds)
        of_base, of_arm = self.runs.get(base, {}), self.runs.get(arm, {})
        done = [seed for seed in planned if seed in of_base and seed in of_arm]
        differences = {
            name: differences_of((of_base[seed][name], of_arm[seed][name]) for seed in done)
            for name in (*METRICS, *SIZES)
        }
        return Contrast(
            loss=arm[1],
            seeds=done,
            pairs=[(of_base[seed]["AP"], of_arm[seed]["AP"]) for seed in done],
            **dict(paired_test(differences["AP"], comparisons)),
            seeds_needed=fewest_seeds(comparisons),
            seeds_waiting=[seed for seed in planned if seed not in done],
            by_metric={name: difference(values) for name, values in differences.items()},
            mean_gain=float(np.mean([of_arm[seed]["gain"] for seed in done])) if done else None,
        )

    def with_images(self, data: str, loss: str, base: str) -> str:
        """The 95 % interval of AP, in points, for other seeds and other images; a dash where it is not known."""
        interval = self.images.get((data, loss, base))
        return "{:+.2f} to {:+.2f}".format(*(100 * float(end) for end in interval)) if interval else "–"

    def compare(self, study: Study, data: str) -> list[Contrast]:
        """Compare every loss of a study with its baseline on one of its data sets, the best first."""
        rivals = [loss for loss in study.losses if loss != study.baseline]
        contrasts = [self.against((data, loss), (data, study.baseline), study.seeds, len(rivals)) for loss in rivals]
        begun = [contrast for contrast in add_verdicts(contrasts) if contrast.seeds]
        return sorted(begun, key=lambda contrast: -(contrast.mean or 0))


def read_rows(file: Path) -> list[dict[str, str]]:
    """Read a CSV of runs."""
    with file.open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))


def images_file(file: Path) -> Path:
    """Where the intervals over seeds and images lie, beside the CSV of the runs: they need every detection."""
    return file.with_name(f"{file.stem}-images.csv")


def publish_images(name: str, folder: Path, parts: Iterable[str]) -> None:
    """Add the intervals over seeds and images of a study's parts that are over, and the weights of their controls.

    They are taken from the reports of `compare`.
    """
    file = images_file(OUT / f"{name}.csv")
    known = {(row["data"], row["loss"], row["against"]): row for row in (read_rows(file) if file.exists() else [])}
    for part in parts:
        report = folder / part / "report.json"
        findings = read_json(report) if report.is_file() else {"data": {}}
        for data, found in findings["data"].items():
            pairs = [(findings["baseline"], comparison) for comparison in found["comparisons"]]
            controls = [comparison["control"] for _, comparison in pairs if comparison.get("control")]
            weights = {control["name"]: f"{control['weight']:.2f}" for control in controls}
            for base, comparison in [*pairs, *((control["name"], control["comparison"]) for control in controls)]:
                interval = comparison.get("seeds_and_images")
                if interval and not comparison["seeds_waiting"]:
                    low, high = (f"{end:.6f}" for end in interval)
                    row = {"data": data, "loss": comparison["loss"], "against": base, "low": low, "high": high}
                    row["weight"] = weights.get(base, "")
                    known[data, comparison["loss"], base] = row
    with file.open("w", newline="", encoding="utf-8") as text:
        writer = csv.DictWriter(text, ["data", "loss", "against", "low", "high", "weight"])
        writer.writeheader()
        writer.writerows(known[key] for key in sorted(known))


def number(text: str | None) -> float:
    """Read a number; NaN where there is none."""
    return float(text or "nan")


def publish(name: str, folder: Path, parts: Iterable[str]) -> None:
    """Add the finished runs of a study's parts, which lie in its folder, to its CSV.

    Runs are paired with runs that were trained at another time. That is right as long as a run comes out the same
    whenever it is trained, so those that the CSV knows must.

    Raises:
        SystemExit: a run came out otherwise; nothing is written then.
    """
    file = OUT / f"{name}.csv"
    every: list[dict[str, str]] = [*(read_rows(file) if file.exists() else []), *rows_of(folder, parts)]
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


def rows_of(folder: Path, parts: Iterable[str]) -> Iterator[dict[str, str]]:
    """Give a row for every finished run, and checkpoint of it, in the folders of a study's parts.

    `stream` is the checksum of all its training batches: equal for runs that are pairs.
    """
    for part in sorted(parts):
        for record in ended_runs(folder / part):
            for checkpoint in record.run.checkpoints if record.result else ():
                yield row_of(record, checkpoint)


def row_of(record: Record, checkpoint: str) -> dict[str, str]:
    """The row of a finished run's checkpoint; only the quoted one has what the log says of the last epoch."""
    result, metrics = record.result, metrics_of(evaluate(record.folder, checkpoint))
    assert result is not None
    values = {name: getattr(metrics, name) for name in MEASURED}
    if checkpoint == QUOTED:
        values |= {name: record.at_last(column) for name, column in LOGGED.items()}
    origin = result.provenance
    return {
        "data": record.run.data,
        "loss": record.run.loss,
        "seed": str(record.run.seed),
        "checkpoint": checkpoint,
        **{name: "" if value is None or not isfinite(value) else f"{value:.7g}" for name, value in values.items()},
        "stream": str(result.stream[-1]),
        "commit": (origin and origin.commit) or "",
        **{name: origin.versions.get(name, "") if origin else "" for name in VERSIONS},
    }
