"""A study's report: report.json, report.html for people, runs.csv for spreadsheets."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from plotly.offline import get_plotlyjs

from yolo_wiou.compare.findings import METRICS, DataFindings, Findings, RunReport
from yolo_wiou.compare.report import text
from yolo_wiou.compare.report.charts import draw_charts
from yolo_wiou.compare.report.images import Picture, draw_images, why_no_images
from yolo_wiou.compare.run import Record
from yolo_wiou.files import as_text, write_json, write_whole

WITH_IMAGES = 3
"""Losses of a data set whose images are shown, those that differ most."""

TEMPLATE = "template.html.j2"
FILTERS = ("count", "duration", "evaluated_on", "headlines", "interval", "note", "p_value", "points", "rows")
"""Functions of `text` that the template uses."""


@dataclass(frozen=True)
class Section:
    """What the page shows of a data set.

    Attributes:
        data: what was found.
        charts: pieces of HTML by the chart's name.
        pictures: images that a loss sees otherwise than the baseline, by loss.
        no_pictures: why there are none, by loss.
    """

    data: DataFindings
    charts: dict[str, str]
    pictures: dict[str, list[Picture]]
    no_pictures: dict[str, str]


def write_report(folder: Path, findings: Findings, records: Sequence[Record]) -> Path:
    """Write report.json, runs.csv and report.html, of which the last needs no network; returns that."""
    write_json(folder / "report.json", findings.plain())
    write_whole(folder / "runs.csv", table_of_runs(findings))
    write_whole(file := folder / "report.html", page(findings, records))
    return file


def page(findings: Findings, records: Sequence[Record]) -> str:
    """Return the page; what the runs detect is shown on their images."""
    return (
        environment()
        .get_template(TEMPLATE)
        .render(
            analysis=findings,
            sections={name: _section(name, findings, records) for name in findings.data},
            metric_names=METRICS,
            plotly=get_plotlyjs(),
        )
    )


def environment() -> jinja2.Environment:
    """Return what renders the template."""
    loader = jinja2.PackageLoader("yolo_wiou.compare.report", ".")
    made = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {name: getattr(text, name) for name in FILTERS}
    return made


def _section(name: str, findings: Findings, records: Sequence[Record]) -> Section:
    data, baseline = findings.data[name], findings.baseline
    by_key = {(record.run.loss, record.run.seed): record for record in records if record.run.data == name}
    compared = [comparison for comparison in data.comparisons if comparison.mean is not None]
    by_size = sorted(compared, key=lambda c: -abs(c.mean or 0))
    shown, rest = by_size[:WITH_IMAGES], by_size[WITH_IMAGES:]
    pictures = {c.loss: draw_images(by_key, c, baseline) for c in shown}
    same_images = len(data.fingerprint.truth) == 1
    reasons = {c.loss: why_no_images(c, same_images) for c in shown if not pictures[c.loss]}
    if rest:
        reasons[", ".join(c.loss for c in rest)] = f"they are shown of the {WITH_IMAGES} losses that differ most."
    pictures = {loss: drawn for loss, drawn in pictures.items() if drawn}
    charts = draw_charts(data, findings.losses)
    return Section(data=data, charts=charts, pictures=pictures, no_pictures=reasons)


def table_of_runs(findings: Findings) -> str:
    """Return a CSV with a row for every run, or one for each checkpoint where it is finished.

    AP in [0, 1], time in seconds; `epochs_to_near` is the epochs until the validation reached 90 % of the baseline's
    final AP, `iou` the mean plain IoU of the positives in the last epoch, `gain` their mean gain.
    """
    hidden = {"failure", "metrics"}
    own = [name for name in RunReport.model_fields if name not in hidden]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [*own, "checkpoint", *METRICS], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for run in (run for data in findings.data.values() for run in data.runs):
        for checkpoint, metrics in run.metrics.items() or [("", None)]:
            row = {**dict(run), "checkpoint": checkpoint, **(dict(metrics) if metrics else {})}
            writer.writerow({key: as_text(cell) for key, cell in row.items()})
    return stream.getvalue()
