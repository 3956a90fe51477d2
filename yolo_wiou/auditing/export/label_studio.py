"""Label Studio, to correct in."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import numpy as np

from yolo_wiou.auditing.export.pictures import NAME, Files, Picture, as_json, class_names, pictures, relative
from yolo_wiou.auditing.findings import Box
from yolo_wiou.auditing.fix import edit_of
from yolo_wiou.auditing.report import Report
from yolo_wiou.compare.rotated import corners_of


def label_studio(report: Report) -> Files:
    """Label Studio's tasks, the worst image first, and the labelling interface that they belong to.

    An annotation has the labels as they are, the prediction beside it as the audit would have them: boxes moved,
    classes changed, spurious labels and duplicates left out, missing ones added.
    """
    names = class_names(report)
    found = sorted(zip(images := pictures(report), relative(images, above=1), strict=True), key=lambda of: -of[0].score)
    tasks = [
        {
            "data": {
                "image": f"/data/local-files/?d={quote(place, errors='surrogateescape')}",
                "score": picture.score,
                "findings": picture.findings,
            },
            "annotations": [{"result": as_they_are(picture)}],
            "predictions": [{"model_version": NAME, "result": as_they_should_be(picture, names, report.task)}],
        }
        for picture, place in found
    ]
    return {"labelstudio.json": as_json(tasks), "labelstudio.xml": interface(names)}


def as_they_are(picture: Picture) -> list[dict[str, Any]]:
    """Return an image's labels as regions."""
    notes = {row.line: f"{reason}, {row.score}" for row in picture.labels if (reason := picture.reason(row))}
    return [region(picture, f"line{row.line}", row.name, row.box, notes.get(row.line, "")) for row in picture.labels]


def as_they_should_be(picture: Picture, names: list[str], task: str) -> list[dict[str, Any]]:
    """Return an image's labels as regions, with all that was found put right."""
    regions = []
    for row in picture.labels:
        edit = edit_of(row, task)
        if row.line in picture.copies or (edit and edit.change == "removed"):
            continue
        name = row.name if edit is None or edit.cls is None else names[edit.cls]
        box = edit.box or row.box if edit else row.box
        regions.append(region(picture, f"better{row.line}", name, box, row.reason if edit else ""))
    for number, entry in enumerate(picture.missing):
        regions.append(region(picture, f"missing{number}", entry.name, entry.box, "missing"))
    return regions


def region(picture: Picture, key: str, name: str, box: Box, text: str) -> dict[str, Any]:
    """Return a rectangle as Label Studio has it, in percent, turned about its corner; a text is a note on it."""
    (width, height), (x, y) = picture.size, corners_of(np.array([[*box, 0.0][:5]]))[0, 0].tolist()
    value = {
        "x": 100 * x / width,
        "y": 100 * y / height,
        "width": 100 * box[2] / width,
        "height": 100 * box[3] / height,
        "rotation": math.degrees(box[4]) if len(box) == 5 else 0,
        "rectanglelabels": [name],
    }
    return {
        "id": key,
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": value,
        **({"meta": {"text": [text]}} if text else {}),
    }


def interface(names: Iterable[str]) -> bytes:
    """Return the labelling interface."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name="image", value="$image")
    rectangles = ElementTree.SubElement(view, "RectangleLabels", name="label", toName="image")
    for name in names:
        ElementTree.SubElement(rectangles, "Label", value=name)
    ElementTree.indent(view)
    xml: bytes = ElementTree.tostring(view, encoding="utf-8")
    return xml
