"""A study's report: report.html for people, runs.csv for spreadsheets."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import jinja2
from plotly.offline import get_plotlyjs

from yolo_wiou.storage import write_whole
from yolo_wiou.studies.compare import words
from yolo_wiou.studies.compare.charts import charts_of
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
        " mean, the thick line its 95 % interval for other seeds, the thin line above that for other seeds and images.",
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
        "duration": words.duration,
        "count": words.count,
        "judged_by": words.judged_by,
    }
    sections = {name: _section(folder, name, data, analysis) for name, data in analysis["data"].items()}
    page = environment.get_template(TEMPLATE).render(
        analysis=analysis, sections=sections, captions=CAPTIONS, figure_names=FIGURES, plotly=get_plotlyjs()
    )
    file = folder / REPORT
    write_whole(file, page)
    return file


def _section(folder: Path, name: str, data: dict[str, Any], analysis: dict[str, Any]) -> dict[str, Any]:
    by_size = sorted((one for one in data["comparisons"] if one["seeds"]), key=lambda one: -abs(one["mean"] or 0))
    pictured = {one["loss"]: pictures_of(folder, name, one, analysis["baseline"]) for one in by_size[:WITH_PICTURES]}
    return {
        "data": data,
        "headlines": words.headlines(data["comparisons"], analysis["baseline"]),
        "charts": charts_of(data, analysis["losses"]),
        "pictures": {loss: pictures for loss, pictures in pictured.items() if pictures},
        "note": words.UNEVEN if words.is_uneven(data) else "",
    }


def write_table(folder: Path, analysis: dict[str, Any]) -> Path:
    """Write runs.csv, a row for every run, or one for each checkpoint where it is finished; returns it.

    AP in [0, 1], time in seconds; `epochs_to_near` is the epochs until the validation reached 90 % of the baseline's
    final AP, `iou` the mean plain IoU of the positives in the last epoch, `gain` their mean gain.
    """
    own = ("data", "loss", "seed", "state", "seconds", "epochs", "epochs_to_near", "iou", "gain")
    file, text = folder / TABLE, io.StringIO()
    writer = csv.DictWriter(
        text, [*own, "checkpoint", *FIGURES], restval="", extrasaction="ignore", lineterminator="\n"
    )
    writer.writeheader()
    for run in (run for data in analysis["data"].values() for run in data["runs"]):
        for checkpoint, figures in run.get("figures", {"": {}}).items():
            writer.writerow({**run, "checkpoint": checkpoint, **figures})
    write_whole(file, text.getvalue())
    return file
