"""An audit's report as one HTML file, which needs no network: what was found, and a gallery to decide in."""

from __future__ import annotations

from pathlib import Path

import jinja2

from yolo_wiou.auditing.gallery import cards
from yolo_wiou.auditing.report import Report
from yolo_wiou.data.advice import candidates
from yolo_wiou.data.profile import profile
from yolo_wiou.files import draft_of
from yolo_wiou.training.preflight import images_of

TEMPLATE = "template.html.j2"
FILE = "audit.html"


def write_page(report: Report, folder: Path) -> Path:
    """Write audit.html into a folder that is there; one card after the other, so that it needs no memory."""
    with draft_of(file := folder / FILE) as draft:
        page(report).dump(str(draft), encoding="utf-8", errors="surrogateescape")
    return file


def page(report: Report) -> jinja2.environment.TemplateStream:
    """Return the page, piece by piece."""
    loader = jinja2.PackageLoader("yolo_wiou.auditing", ".")
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    like = profile(images_of(report.description, report.split), report.task, report.imgsz)
    return environment.get_template(TEMPLATE).stream(
        report=report,
        cards=cards(report),
        profile=str(like) if len(like.sides) else "",
        candidates=list(candidates(like, report.task)) if len(like.sides) else [],
    )
