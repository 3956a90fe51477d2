"""A corrected copy: what is changed, what is not, and that the originals stay."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from helpers.labels import contents
from ultralytics.data.utils import check_det_dataset

from yolo_wiou import ConfigError
from yolo_wiou.auditing.findings import AuditedLabel, DuplicateLabels, MissingLabel
from yolo_wiou.auditing.fix import Decisions, Findings
from yolo_wiou.auditing.report import Report
from yolo_wiou.data.yolo_format import label_file, parse, read_lines
from yolo_wiou.training.preflight import images_of

SIDE = 64


def report(data: Path, task: str = "detect", **findings: Any) -> Report:
    """A report on rendered images, with some findings."""
    description = check_det_dataset(str(data))
    images = images_of(description, "train")
    found: dict[str, Any] = {"labels": [], "missing": [], "duplicates": [], **findings}
    return Report(
        data=str(data),
        model="best.pt",
        split="train",
        task=task,
        threshold=2.0,
        images=len(images),
        imgsz=SIDE,
        classes=[],
        description=description,
        sizes={str(image): (SIDE, SIDE) for image in images},
        **found,
    )


def images(data: Path) -> list[Path]:
    return images_of(check_det_dataset(str(data)), "train")


def label(image: Path, line: int = 1, **changes: Any) -> AuditedLabel:
    """A loose label with a sure proposal."""
    row = AuditedLabel(
        image=str(image),
        line=line,
        cls=0,
        name="disc",
        box=(8.0, 8.0, 16.0, 16.0),
        score=5.0,
        reason="loose",
        proposed_cls=0,
        proposed_name="disc",
        proposed_box=(16.0, 8.0, 32.0, 16.0),
        iou=0.3,
        is_sure=True,
    )
    return replace(row, **changes)


def corrected(file: Path, image: Path) -> list[str]:
    """The lines of an image's labels in a copy."""
    (copy,) = [copy for copy in images_of(check_det_dataset(str(file)), "train") if copy.resolve() == image.resolve()]
    return read_lines(label_file(copy))


def changes(file: Path) -> list[list[str]]:
    with (file.parent / "fix.csv").open(newline="") as stream:
        return list(csv.reader(stream))[1:]


def test_a_box_is_moved_and_nothing_else_changes(shapes: Path, tmp_path: Path) -> None:
    before = contents(shapes.parent)
    first, *others = images(shapes)
    lines = read_lines(label_file(first))
    file = report(shapes, labels=[label(first, 2)]).fix(tmp_path / "fixed")
    after = "0 0.500000 0.250000 0.500000 0.250000"
    assert corrected(file, first) == [lines[0], after, *lines[2:]]
    assert all(corrected(file, image) == read_lines(label_file(image)) for image in others)
    assert changes(file) == [[str(first), "2", "moved", lines[1], after]]
    kept = {name: content for name, content in contents(shapes.parent).items() if not name.endswith(".cache")}
    assert kept == {name: content for name, content in before.items() if not name.endswith(".cache")}


def test_twice_is_as_once(shapes: Path, tmp_path: Path) -> None:
    image = images(shapes)[0]
    found = report(shapes, labels=[label(image), label(image, 2, reason="spurious")])
    once = contents(found.fix(tmp_path / "fixed", remove=True).parent)
    assert contents(found.fix(tmp_path / "fixed", remove=True).parent) == once


def test_what_is_not_sure_is_left_and_so_is_what_must_be_asked_for(shapes: Path, tmp_path: Path) -> None:
    image = images(shapes)[0]
    lines = read_lines(label_file(image))
    found = report(
        shapes,
        labels=[label(image, is_sure=False), label(image, 2, reason="spurious", is_sure=False)],
        missing=[MissingLabel(str(image), 1, "box", (0.0, 0.0, 32.0, 64.0), 0.9, 1.2)],
        duplicates=[DuplicateLabels(str(image), 1, 2, 0, "disc", (0.0,) * 4, (0.0,) * 4, 0.9)],
    )
    assert corrected(found.fix(tmp_path / "a"), image) == lines
    assert corrected(found.fix(tmp_path / "b", remove=True), image) == [lines[0], *lines[2:]]
    added = found.fix(tmp_path / "c", add=True)
    assert corrected(added, image) == [*lines, "1 0.250000 0.500000 0.500000 1.000000"]
    assert [row[2] for row in changes(added)] == ["added"]


def test_a_class_is_changed_and_the_rest_of_its_line_stays(task_data: dict[str, Path], tmp_path: Path) -> None:
    for task, data in task_data.items():
        image = images(data)[0]
        lines = read_lines(label_file(image))
        found = report(data, task, labels=[label(image, reason="class", proposed_cls=1)])
        new = corrected(found.fix(tmp_path / task), image)
        assert new == ["1" + lines[0][1:], *lines[1:]]


def test_a_box_is_written_as_its_task_has_it(task_data: dict[str, Path], tmp_path: Path) -> None:
    """With the key points of pose, as corners for obb; an outline is not moved."""
    for task, data in task_data.items():
        image = images(data)[0]
        lines = read_lines(label_file(image))
        box = (-16.0, 8.0, 32.0, 16.0, *((0.0,) if task == "obb" else ()))
        new = corrected(report(data, task, labels=[label(image, proposed_box=box)]).fix(tmp_path / task), image)
        assert new[1:] == lines[1:]
        values = parse(new)[0].values
        if task == "pose":
            assert values == [0.125, 0.25, 0.25, 0.25, *parse(lines)[0].values[4:]]
        elif task == "obb":
            assert values == [0, 0.125, 0.25, 0.125, 0.25, 0.375, 0, 0.375]
        else:
            assert new == lines


@pytest.mark.parametrize("task", ["segment", "pose"])
def test_a_missing_object_is_not_added_where_a_box_is_no_label(
    task: str, task_data: dict[str, Path], tmp_path: Path
) -> None:
    data = task_data[task]
    gone = MissingLabel(str(images(data)[0]), 1, "box", (0.0, 0.0, 32.0, 64.0), 0.9, 1.2)
    with pytest.raises(ConfigError, match=f"a label of task {task} is"):
        report(data, task, missing=[gone]).fix(tmp_path / "fixed", add=True)
    assert not (tmp_path / "fixed").exists()


def test_decisions_count_more_than_rules(shapes: Path, tmp_path: Path) -> None:
    image, other = images(shapes)[:2]
    lines, of_other = (read_lines(label_file(one)) for one in (image, other))
    sure, unsure = label(image, 1), label(image, 2, is_sure=False)
    spurious = label(other, 1, reason="spurious", is_sure=False)
    gone = MissingLabel(str(other), 1, "box", (0.0, 0.0, 32.0, 64.0), 0.9, 1.2)
    found = report(shapes, labels=[sure, unsure, spurious], missing=[gone])
    decisions = tmp_path / "decisions.json"
    accepted = {"labels": [asdict(unsure), asdict(spurious)], "missing": [asdict(gone)]}
    decisions.write_text(json.dumps({"accepted": accepted, "rejected": {"labels": [asdict(sure)]}}))
    file = found.fix(tmp_path / "fixed", decisions=decisions)
    moved = "0 0.500000 0.250000 0.500000 0.250000"
    assert corrected(file, image) == [lines[0], moved, *lines[2:]]
    assert corrected(file, other) == [*of_other[1:], "1 0.250000 0.500000 0.500000 1.000000"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        ("{", "is no decisions.json"),
        ('{"accepted": {"labels": [{"image": "a.jpg"}]}}', "is no decisions.json"),
        ('{"acepted": {}}', "is no decisions.json"),
    ],
)
def test_what_is_no_file_of_decisions_is_refused(content: str | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / "decisions.json"
    if content:
        file.write_text(content)
    with pytest.raises(ConfigError, match=message):
        Decisions.read(file)


def test_decisions_about_other_labels_are_refused(shapes: Path, tmp_path: Path) -> None:
    image = images(shapes)[0]
    found = report(shapes, labels=[label(image)])
    changed = label(image, box=(8.0, 8.0, 16.0, 17.0))
    for choice in (
        Findings(labels=[changed]),
        Findings(missing=[MissingLabel("gone.jpg", 0, "disc", (0.0,) * 4, 0.9, 1.0)]),
        Findings(duplicates=[DuplicateLabels(str(image), 9, 10, 0, "disc", (0.0,) * 4, (0.0,) * 4, 0.9)]),
    ):
        with pytest.raises(ConfigError, match="the decisions are about other"):
            found.fix(tmp_path / "fixed", decisions=Decisions(accepted=choice))
    assert not (tmp_path / "fixed").exists()
