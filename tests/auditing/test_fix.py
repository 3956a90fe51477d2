"""A corrected copy: what is changed, what is not, and that the originals stay."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.labels import contents
from ultralytics.data.dataset import YOLODataset
from ultralytics.data.utils import check_det_dataset

from yolo_wiou import ConfigError
from yolo_wiou.auditing.decisions import Decisions, Findings
from yolo_wiou.auditing.findings import AuditedLabel, DuplicateLabels, MissingLabel
from yolo_wiou.auditing.fix import within_image
from yolo_wiou.auditing.report import Report
from yolo_wiou.compare.detections import rotated_box
from yolo_wiou.compare.rotated import rotated_iou
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
    """With the key points of pose, as corners for obb, which may lie outside; an outline is not moved."""
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
            assert values == [-0.25, 0.125, 0.25, 0.125, 0.25, 0.375, -0.25, 0.375]
        else:
            assert new == lines


def read_by_ultralytics(file: Path, task: str = "detect") -> tuple[int, int]:
    """How many images and labels of a copy Ultralytics reads."""
    data = check_det_dataset(str(file))
    found = YOLODataset(img_path=data["train"], data=data, task=task, augment=False).labels
    return len(found), sum(len(entry["cls"]) for entry in found)


def test_among_outlines_a_box_is_written_as_one(task_data: dict[str, Path], tmp_path: Path) -> None:
    """Ultralytics leaves an image out whose label file has boxes and outlines."""
    shutil.copytree(task_data["segment"].parent, tmp_path / "set")
    data = tmp_path / "set" / "data.yaml"
    image, other, third = images(data)[:3]
    label_file(third).write_text("")  # nor a box alone where all others are outlines
    count = read_by_ultralytics(data)
    missing = [MissingLabel(str(one), 1, "box", (-8.0, 8.0, 24.0, 16.0), 0.9, 1.2) for one in (image, other, third)]
    found = report(data, "detect", labels=[label(image)], missing=missing)
    file = found.fix(tmp_path / "fixed", add=True)
    assert read_by_ultralytics(file) == read_by_ultralytics(file, "segment") == (count[0], count[1] + 3)
    assert parse(corrected(file, image))[0].values == [0.25, 0.125, 0.75, 0.125, 0.75, 0.375, 0.25, 0.375]
    assert corrected(file, third)[0].startswith("1 0.000000 0.125000 0.250000 0.125000 0.250000 0.375000")


def test_key_points_stay_whatever_the_task(task_data: dict[str, Path], tmp_path: Path) -> None:
    data = task_data["pose"]
    image = images(data)[0]
    lines = read_lines(label_file(image))
    gone = MissingLabel(str(image), 1, "box", (0.0, 0.0, 32.0, 64.0), 0.9, 1.2)
    found = report(data, "detect", labels=[label(image)], missing=[gone])
    file = found.fix(tmp_path / "fixed")
    assert corrected(file, image)[0].split()[5:] == lines[0].split()[5:]
    assert read_by_ultralytics(file, "pose") == read_by_ultralytics(data, "pose")
    with pytest.raises(ConfigError, match="is key points too, not a box alone"):
        found.fix(tmp_path / "fixed", add=True)


def test_where_classes_were_read_as_one_each_label_keeps_its_own(shapes: Path, tmp_path: Path) -> None:
    image = images(shapes)[0]
    shutil.copytree(shapes.parent, tmp_path / "set")
    data = tmp_path / "set" / "data.yaml"
    image = images(data)[0]
    label_file(image).write_text(text := "1 .5 .5 .2 .2\n0 .5 .5 .2 .21\n0 .5 .5 .22 .2\n")
    box = (25.6, 25.6, 12.8, 12.8)
    found = replace(
        report(
            data,
            labels=[label(image, 1, cls=0, proposed_cls=0)],
            missing=[MissingLabel(str(image), 0, "disc", (0.0, 0.0, 8.0, 8.0), 0.9, 1.2)],
            duplicates=[
                DuplicateLabels(str(image), one, two, 0, "disc", box, box, 0.9) for one, two in ((1, 2), (2, 3))
            ],
        ),
        single_cls=True,
    )
    second = text.splitlines()[1]
    moved = "1 0.500000 0.250000 0.500000 0.250000"
    assert corrected(found.fix(tmp_path / "fixed", remove=True), image) == [moved, second]
    with pytest.raises(ConfigError, match="with single_cls it is not known of which class it is"):
        found.fix(tmp_path / "added", add=True)


def test_images_that_share_a_label_file_are_corrected_together(shapes: Path, tmp_path: Path) -> None:
    shutil.copytree(shapes.parent, tmp_path / "set")
    data = tmp_path / "set" / "data.yaml"
    image = images(data)[0]
    shutil.copy(image, twin := image.with_suffix(".webp"))
    label_file(image).write_text("0 .2 .2 .1 .1\n0 .5 .5 .1 .1\n")
    file = report(data, labels=[label(image, 1), label(twin, 2), label(twin, 1, reason="spurious")]).fix(
        tmp_path / "fixed"
    )
    moved = "0 0.500000 0.250000 0.500000 0.250000"
    assert corrected(file, image) == corrected(file, twin) == [moved, moved]


@pytest.mark.parametrize("size", [(100, 100), (200, 100)])
def test_a_rotated_box_at_the_border_stays_what_was_proposed(size: tuple[int, int]) -> None:
    """As far as Ultralytics takes it; what it does not take is cut to the part in the image."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        w, h = rng.uniform(20, 60), rng.uniform(8, 20)
        x, y = rng.uniform(-0.3 * w, size[0] - 0.7 * w), rng.uniform(-0.3 * h, size[1] - 0.7 * h)
        box = (x, y, w, h, rng.uniform(-1.5, 1.5))
        points = within_image(box, np.array(size, float))
        low, high = points.min(0), points.max(0)
        taken = np.concatenate([(low + high) / 2, high - low])
        assert ((taken >= 0) & (taken <= 1)).all()
        middle = np.array([x + w / 2, y + h / 2]) / size
        overlap = rotated_iou([box], [rotated_box(points * size)]).item()
        assert overlap > (0.999 if ((middle >= 0) & (middle <= 1)).all() else 0.3)


@pytest.mark.parametrize("task", ["segment", "pose"])
def test_what_was_accepted_and_cannot_be_done_is_left_out_with_a_warning(
    task: str, task_data: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The rest of what was accepted is done."""
    data = task_data[task]
    image = images(data)[0]
    lines = read_lines(label_file(image))
    gone = MissingLabel(str(image), 1, "box", (0.0, 0.0, 32.0, 64.0), 0.9, 1.2)
    rows = [label(image), label(image, 2, reason="spurious")] if len(lines) > 1 else [label(image)]
    found = report(data, task, labels=rows, missing=[gone])
    file = found.fix(tmp_path / "fixed", decisions=Decisions(accepted=Findings(labels=rows, missing=[gone])))
    assert len(corrected(file, image)) == len(lines) - len(rows) + 1
    (warning,) = caplog.messages
    assert f"{2 if task == 'segment' else 1} of the accepted changes cannot be made: " in warning
    assert (corrected(file, image)[0] == lines[0]) == (task == "segment")


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


def test_a_decision_on_a_missing_object_is_about_what_is_found_again(shapes: Path, tmp_path: Path) -> None:
    """No two passes give quite the same box; an image without labels has decisions too."""
    shutil.copytree(shapes.parent, tmp_path / "set")
    data = tmp_path / "set" / "data.yaml"
    image = images(data)[0]
    label_file(image).unlink()
    boxes = [(0.0, 0.0, 20.0, 20.0), (0.0, 11.0, 20.0, 20.0), (40.0, 40.0, 20.0, 20.0)]
    decided = [MissingLabel(str(image), 1, "box", box, 0.9, 1.2) for box in boxes]
    again = [replace(one, box=(one.box[0] + 1.0, one.box[1] + 1.5, 19.0, 21.0)) for one in decided]
    found = report(data, missing=again)
    rejected = Decisions(rejected=Findings(missing=decided[1:]))
    assert len(corrected(found.fix(tmp_path / "a", add=True, decisions=rejected), image)) == 1
    accepted = Decisions(accepted=Findings(missing=decided))
    for add in (False, True):
        assert len(corrected(found.fix(tmp_path / "b", add=add, decisions=accepted), image)) == 3
    other_class = Decisions(rejected=Findings(missing=[replace(one, cls=0) for one in decided]))
    assert len(corrected(found.fix(tmp_path / "c", add=True, decisions=other_class), image)) == 3
    named = report(data, labels=[label(image, 1, cls=1, box=again[0].box, is_sure=False)], missing=again[1:])
    assert len(corrected(named.fix(tmp_path / "d", decisions=accepted), image)) == 2  # the first has a label by now


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
    box, other = label(image).box, (8.0, 8.0, 16.0, 17.0)
    pair = DuplicateLabels(str(image), 1, 2, 0, "disc", box, other, 0.9)
    found = report(shapes, labels=[label(image), label(image, 2, box=other)])
    for choice in (
        Findings(labels=[label(image, box=other)]),
        Findings(missing=[MissingLabel("gone.jpg", 0, "disc", (0.0,) * 4, 0.9, 1.0)]),
        Findings(duplicates=[replace(pair, line=9, duplicate=10)]),
        Findings(duplicates=[replace(pair, duplicate=3)]),  # it was removed by hand
        Findings(duplicates=[replace(pair, duplicate_box=box)]),
        Findings(duplicates=[replace(pair, cls=1)]),
    ):
        with pytest.raises(ConfigError, match="the decisions are about other"):
            found.fix(tmp_path / "fixed", decisions=Decisions(accepted=choice))
    assert not (tmp_path / "fixed").exists()


def test_of_two_labels_one_is_removed_whichever_fits_better_now(shapes: Path, tmp_path: Path) -> None:
    shutil.copytree(shapes.parent, tmp_path / "set")
    data = tmp_path / "set" / "data.yaml"
    image = images(data)[0]
    lines = ["0 .25 .25 .25 .25", "0 .25 .265625 .25 .265625", "1 .8 .8 .1 .1"]
    label_file(image).write_text("\n".join(lines))
    box, other = label(image).box, (8.0, 8.0, 16.0, 17.0)
    pair = DuplicateLabels(str(image), 1, 2, 0, "disc", box, other, 0.9)
    turned = replace(pair, line=2, duplicate=1, box=other, duplicate_box=box)
    rows = [label(image, is_sure=False), label(image, 2, box=other, is_sure=False)]
    found = report(data, labels=rows, duplicates=[turned])
    file = found.fix(tmp_path / "fixed", remove=True, decisions=Decisions(accepted=Findings(duplicates=[pair])))
    assert corrected(file, image) == [lines[0], *lines[2:]]
    kept = found.fix(tmp_path / "kept", remove=True, decisions=Decisions(rejected=Findings(duplicates=[pair])))
    assert corrected(kept, image) == lines
    alike = report(data, labels=rows[:1], duplicates=[replace(pair, duplicate_box=box)])  # letter for letter: read once
    file = alike.fix(tmp_path / "alike", decisions=Decisions(accepted=Findings(duplicates=alike.duplicates)))
    assert corrected(file, image) == [lines[0], *lines[2:]]
