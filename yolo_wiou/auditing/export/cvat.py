"""CVAT, to correct in."""

from __future__ import annotations

import math
from itertools import count
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from yolo_wiou.auditing.export.pictures import NAME, Files, Picture, as_json, class_names, pictures, relative
from yolo_wiou.auditing.findings import Box
from yolo_wiou.auditing.report import Report

ATTRIBUTES = ("audit", "score")


def cvat(report: Report) -> Files:
    """`CVAT for images 1.1`, and the labels for the constructor of a task (Raw).

    Every label has the attributes `audit`, what is wrong with it, and `score`. A better box is one more box of its
    group, whose `audit` is `proposal`.
    """
    names, groups = class_names(report), count(1)
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    task = SubElement(SubElement(root, "meta"), "task")
    add(task, name=NAME, size=len(report.sizes), mode="annotation")
    labels = SubElement(task, "labels")
    for name in names:
        add(label := SubElement(labels, "label"), name=name, type="rectangle")
        attributes = SubElement(label, "attributes")
        for attribute in ATTRIBUTES:
            add(SubElement(attributes, "attribute"), name=attribute, mutable=False, input_type="text")
    for number, (picture, place) in enumerate(zip(found := pictures(report), relative(found), strict=True)):
        width, height = map(str, picture.size)
        name = place.encode(errors="replace").decode()  # XML has no place for what is no UTF-8
        image = SubElement(root, "image", {"id": str(number), "name": name, "width": width, "height": height})
        draw_all(image, picture, groups)
    indent(root)
    text = {"mutable": False, "input_type": "text", "default_value": "", "values": [""]}
    attributes_of = [{"name": attribute, **text} for attribute in ATTRIBUTES]
    constructor = [{"name": name, "type": "rectangle", "attributes": attributes_of} for name in names]
    xml = tostring(root, encoding="utf-8", xml_declaration=True)
    return {"cvat.xml": xml, "cvat_labels.json": as_json(constructor)}


def draw_all(image: Element, picture: Picture, groups: count[int]) -> None:
    """Put an image's labels, the better boxes, and what has no label into its element."""
    for row in picture.labels:
        group = {"group_id": str(next(groups))} if row.proposed_box else {}
        draw(image, row.name, row.box, "manual", group, picture.reason(row), f"{row.score:.2f}")
        if row.proposed_box:
            draw(image, row.proposed_name, row.proposed_box, "auto", group, "proposal", "")
    for entry in picture.missing:
        draw(image, entry.name, entry.box, "auto", {}, "missing", f"{entry.confidence:.2f}")


def draw(image: Element, name: str, box: Box, source: str, group: dict[str, str], *values: str) -> None:
    """Put a box into an image's element, with the values of its attributes."""
    x, y, w, h, *angle = box
    edges = {"xtl": x, "ytl": y, "xbr": x + w, "ybr": y + h}
    if angle:
        edges["rotation"] = math.degrees(angle[0]) % 360
    where = {key: f"{value:.2f}" for key, value in edges.items()}
    drawn = SubElement(
        image, "box", {"label": name, "source": source, "occluded": "0", **where, "z_order": "0", **group}
    )
    for attribute, value in zip(ATTRIBUTES, values, strict=True):
        SubElement(drawn, "attribute", name=attribute).text = value


def add(parent: Element, **texts: Any) -> None:
    """Put elements that hold a text into another one."""
    for name, text in texts.items():
        SubElement(parent, name).text = str(text)
