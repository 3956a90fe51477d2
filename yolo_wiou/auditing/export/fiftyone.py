"""FiftyOne, to look at."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from yolo_wiou.auditing.export.pictures import NAME, Files, Picture, as_json, pictures
from yolo_wiou.auditing.findings import Box
from yolo_wiou.auditing.report import Report
from yolo_wiou.compare.rotated import corners_of


def fiftyone(report: Report) -> Files:
    """FiftyOne's JSON, for `fiftyone.Dataset.from_json`: the fields `ground_truth` and `proposals` of every image.

    Labels have the attributes `score`, `reason` and `line`, and what is wrong with them as a tag.
    """
    name, kind = f"{NAME} of {Path(report.data).stem}", "Polylines" if report.task == "obb" else "Detections"
    shapes = f"EmbeddedDocumentField(fiftyone.core.labels.{kind})"
    types = {"filepath": "StringField", "audit_score": "FloatField", "ground_truth": shapes, "proposals": shapes}
    content = {
        "name": name,
        "media_type": "image",
        "sample_fields": {field: f"fiftyone.core.fields.{type}" for field, type in types.items()},
        "samples": [sample(picture, kind) for picture in pictures(report)],
    }
    return {"fiftyone.json": as_json(content)}


def sample(picture: Picture, kind: str) -> dict[str, Any]:
    """Return an image as FiftyOne has it, its boxes as Detections, or as Polylines where they are rotated."""

    def shape(name: str, box: Box, **attributes: Any) -> dict[str, Any]:
        if kind == "Polylines":
            corners = corners_of(np.array([box]))[0] / picture.size
            return {"_cls": "Polyline", "label": name, "points": [corners.tolist()], "closed": True, **attributes}
        shares = np.array(box) / (*picture.size, *picture.size)
        return {"_cls": "Detection", "label": name, "bounding_box": shares.tolist(), **attributes}

    def shapes(items: Iterable[dict[str, Any]]) -> dict[str, Any]:
        return {"_cls": kind, kind.lower(): list(items)}

    labels = (
        shape(row.name, row.box, score=row.score, reason=reason, line=row.line, tags=[reason] if reason else [])
        for row in picture.labels
        for reason in [picture.reason(row)]
    )
    better = (
        shape(row.proposed_name, row.proposed_box, reason=row.reason, line=row.line)
        for row in picture.labels
        if row.proposed_box
    )
    missing = (shape(entry.name, entry.box, reason="missing", confidence=entry.confidence) for entry in picture.missing)
    return {
        "filepath": os.path.abspath(picture.file),
        "audit_score": picture.score,
        "ground_truth": shapes(labels),
        "proposals": shapes([*better, *missing]),
    }
