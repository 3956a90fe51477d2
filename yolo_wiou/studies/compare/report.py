"""A study's report: report.html for people, runs.csv for spreadsheets."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import jinja2
from plotly.offline import get_plotlyjs

from yolo_wiou.studies.compare import words
from yolo_wiou.studies.compare.figures import figures_of
from yolo_wiou.studies.compare.measure import FIGURES
from yolo_wiou.studies.compare.pictures import pictures_of

REPORT, TABLE = "report.html", "runs.csv"
WITH_PICTURES = 3
"""Losses of a data set whose images are shown, those that differ most."""

TEMPLATE = "report.html.j2"
CAPTIONS = {
    "differences": (
        "Seed by seed",
        "Each dot is one seed: the loss minus the baseline, trained on the same stream of data. The diamond is their"
        " mean, the thick line its 95 % interval for other seeds, the thin line for other seeds and other images.",
    ),
    "thresholds": ("AP by IoU threshold", "How closely a detection must fit. Mean over the seeds."),
    "threshold_differences": (
        "Difference by IoU threshold",
        "To the baseline, with 95 % intervals. Exploratory.",
    ),
    "curves": ("Training curves", "Validation after each epoch: mean, lowest and highest seed."),
    "iou": ("Fit of the training boxes", "Plain IoU of the positives: mean, lowest and highest seed."),
    "classes": ("Classes that differ most", "Difference of AP to the baseline, with 95 % intervals. Exploratory."),
}


def render(folder: Path, analysis: dict[str, Any]) -> Path:
    """Write report.html, one file that needs no network; returns it.

    Args:
        folder: of the study.
        analysis: of `analyse`.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("yolo_wiou.studies.compare", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "points": words.points,
        "interval": words.interval,
        "p": words.p_value,
        "duration": duration,
    }
    sections = {name: _section(folder, name, data, analysis) for name, data in analysis["data"].items()}
    page = environment.get_template(TEMPLATE).render(
        analysis=analysis, sections=sections, captions=CAPTIONS, figure_names=FIGURES, plotly=get_plotlyjs()
    )
    file = folder / REPORT
    file.write_text(page, encoding="utf-8")
    return file


def _section(folder: Path, name: str, data: dict[str, Any], analysis: dict[str, Any]) -> dict[str, Any]:
    by_size = sorted((one for one in data["comparisons"] if one["seeds"]), key=lambda one: -abs(one["mean"] or 0))
    pictured = {one["loss"]: pictures_of(folder, name, one, analysis["baseline"]) for one in by_size[:WITH_PICTURES]}
    return {
        "data": data,
        "headlines": words.headlines(data["comparisons"], analysis["baseline"]),
        "figures": figures_of(data, analysis["losses"]),
        "pictures": {loss: pictures for loss, pictures in pictured.items() if pictures},
    }


def duration(seconds: float | None) -> str:
    """Seconds as people say them: 42 s, 6 min, 3.5 h."""
    if seconds is None:
        return words.UNKNOWN
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )


def write_table(folder: Path, analysis: dict[str, Any]) -> Path:
    """Write runs.csv, a line a run, finished or not; AP in [0, 1]; returns it."""
    checkpoints = ("last", "best")
    plain = ("data", "loss", "seed", "state", "seconds", "epochs", "epochs_to_near", "iou")
    file = folder / TABLE
    with file.open("w", newline="", encoding="utf-8") as text:
        writer = csv.writer(text)
        writer.writerow([*plain, *(f"{name}_{checkpoint}" for checkpoint in checkpoints for name in FIGURES)])
        for data in analysis["data"].values():
            for run in data["runs"]:
                figures = run.get("figures", {})
                values = [figures.get(checkpoint, {}).get(name) for checkpoint in checkpoints for name in FIGURES]
                writer.writerow(["" if value is None else value for value in (*map(run.get, plain), *values)])
    return file
