"""Labels as Ultralytics reads them, each with its line."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ultralytics.data.dataset import YOLODataset
from ultralytics.data.utils import check_det_dataset

from yolo_wiou import ConfigError
from yolo_wiou.auditing.labels import Labels, collect
from yolo_wiou.data.yolo_format import label_file, parse, read_lines


def read(data: Path, task: str, **settings: Any) -> Labels:
    description = check_det_dataset(str(data))
    found = YOLODataset(img_path=description["train"], data=description, task=task, augment=False, **settings)
    return collect(found.labels, task, settings)


def copied(data: Path, folder: Path) -> Path:
    shutil.copytree(data.parent, folder)
    return folder / data.name


@pytest.mark.parametrize("task", ["detect", "segment", "pose", "obb"])
def test_every_label_has_its_line_and_its_box_in_pixels(
    task: str, shapes: Path, task_data: dict[str, Path], tmp_path: Path
) -> None:
    data = copied(task_data.get(task, shapes), tmp_path / "set")
    labels = read(data, task)
    assert len(labels) > 12
    for image, line, cls, box in zip(labels.image, labels.line, labels.cls, labels.box, strict=True):
        written = parse(read_lines(label_file(labels.files[image])))[line - 1]
        assert (written.line, written.cls) == (line, cls)
        points = np.array(written.values[: 4 if task == "pose" else None]).reshape(-1, 2) * labels.sizes[image]
        if task in {"detect", "pose"}:
            assert box == pytest.approx([*(points[0] - points[1] / 2), *points[1]], abs=1e-3)
        elif task == "segment":
            assert box == pytest.approx([*points.min(0), *np.ptp(points, 0)], abs=1e-3)
        else:
            assert box[:2] + box[2:4] / 2 == pytest.approx(points.mean(0), abs=1e-2)
            sides = np.linalg.norm(np.diff(points[:3], axis=0), axis=1)
            assert sorted(box[2:4]) == pytest.approx(sorted(sides), abs=1e-2)


@pytest.mark.parametrize("task", ["detect", "segment"])
def test_of_lines_that_are_equal_the_first_is_read_and_the_others_are_known(
    task: str, shapes: Path, task_data: dict[str, Path], tmp_path: Path
) -> None:
    """Ultralytics sorts the labels of such a file."""
    data = copied(task_data.get(task, shapes), tmp_path / "set")
    whole = read(data, task)
    image = int(np.bincount(whole.image).argmax())
    file = label_file(whole.files[image])
    lines = read_lines(file)
    file.write_text("\n".join(["", *lines, "", lines[1], lines[0]]) + "\n")
    found = read(data, task)
    in_file = found.image == image
    assert found.repeated == ((image, len(lines) + 3, 3), (image, len(lines) + 4, 2))
    assert sorted(found.line[in_file]) == list(range(2, len(lines) + 2))
    order = np.argsort(found.line[in_file])
    assert found.box[in_file][order] == pytest.approx(whole.box[whole.image == image])
    assert found.cls[in_file][order].tolist() == whole.cls[whole.image == image].tolist()


def test_labels_that_were_not_asked_for_leave_the_others_their_lines(shapes: Path, tmp_path: Path) -> None:
    data = copied(shapes, tmp_path / "set")
    every, some = read(data, "detect"), read(data, "detect", classes=[1])
    assert set(some.cls.tolist()) == {1}
    assert some.line.tolist() == every.line[every.cls == 1].tolist()
    assert some.repeated == ()
    assert some.asked == [1]
    image, box = some.with_unasked()
    assert image.tolist() == every.image.tolist()
    assert np.sort(box, 0) == pytest.approx(np.sort(every.box, 0), abs=1e-3)


@pytest.mark.parametrize("task", ["segment", "pose", "obb"])
def test_labels_that_were_not_asked_for_have_their_boxes(task: str, task_data: dict[str, Path], tmp_path: Path) -> None:
    data = copied(task_data[task], tmp_path / "set")
    every, none = read(data, task), read(data, task, classes=[99])
    assert (len(none), len(none.unasked)) == (0, len(every))
    assert none.with_unasked()[1] == pytest.approx(every.box, abs=1e-2)


def test_labels_that_have_changed_since_they_were_read_are_refused(shapes: Path, tmp_path: Path) -> None:
    data = copied(shapes, tmp_path / "set")
    description = check_det_dataset(str(data))
    found = YOLODataset(img_path=description["train"], data=description, augment=False).labels
    label = max(found, key=lambda label: len(label["cls"]))
    file = label_file(Path(label["im_file"]))
    lines = read_lines(file)
    for now in (lines[1:], [lines[0]] * len(lines), [*lines[:-1], "0 0.5 0.5 0.01 0.01"], []):
        file.write_text("\n".join(now))
        with pytest.raises(ConfigError, match="does not hold the labels that were read"):
            collect(found, "detect", {})
    file.write_text("\n".join(reversed(lines)))
    assert collect([label], "detect", {}).line.tolist() == list(range(len(lines), 0, -1))


def test_classes_that_are_read_as_one_keep_their_lines(shapes: Path, tmp_path: Path) -> None:
    data = copied(shapes, tmp_path / "set")
    every = read(data, "detect")
    one = read(data, "detect", single_cls=True)
    assert set(one.cls.tolist()) == {0}
    assert one.line.tolist() == every.line.tolist()
