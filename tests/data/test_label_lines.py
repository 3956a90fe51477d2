"""Which line of its file a label is, whatever Ultralytics leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from yolo_wiou import ConfigError
from yolo_wiou.data.label_lines import find_lines
from yolo_wiou.data.yolo_format import Label

SQUARE, SAME_BOX = "0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5", "0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.4 0.1 0.5"


def found(folder: Path, lines: list[str], cls: list[int], boxes: list[list[float]], is_single: bool = False) -> Any:
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    (folder / "labels" / "a.txt").write_text("\n".join(lines))
    read = {
        "im_file": str(folder / "images" / "a.jpg"),
        "cls": np.array(cls, np.float32).reshape(-1, 1),
        "bboxes": np.array(boxes, np.float32).reshape(-1, 4),
    }
    return find_lines(read, is_single)


def test_blank_lines_copies_and_other_classes_are_passed_over(tmp_path: Path) -> None:
    lines = ["0 .5 .5 .2 .2", "", "1 .3 .3 .1 .1", "0 .5 .5 .2 .20", "2 .5 .5 .2 .2"]
    here = found(tmp_path, lines, [2, 0], [[0.5, 0.5, 0.2, 0.2], [0.5, 0.5, 0.2, 0.2]])
    assert here.lines == [5, 1]
    assert here.repeated == [(4, 1)]
    assert here.unread == [Label(3, 1, [0.3, 0.3, 0.1, 0.1])]


def test_with_all_classes_as_one_the_box_tells(tmp_path: Path) -> None:
    lines = ["3 .5 .5 .2 .2", "1 .3 .3 .1 .1"]
    assert found(tmp_path, lines, [0, 0], [[0.5, 0.5, 0.2, 0.2], [0.3, 0.3, 0.1, 0.1]], is_single=True).lines == [1, 2]


def test_another_outline_with_the_same_box_is_no_copy(tmp_path: Path) -> None:
    here = found(tmp_path, [f"0 {SQUARE}", f"0 {SAME_BOX}", f"0 {SQUARE}"], [0], [[0.3, 0.3, 0.4, 0.4]])
    assert here.lines == [1]
    assert here.repeated == [(3, 1)]
    assert [label.line for label in here.unread] == [2]


@pytest.mark.parametrize("line", ["0 .5 .5 .2 .3", "1 .5 .5 .2 .2", "", "zero .5 .5 .2 .2"])
def test_a_file_that_has_changed_since_is_told(line: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.txt' does not hold the labels that were read: it has changed since"):
        found(tmp_path, [line], [0], [[0.5, 0.5, 0.2, 0.2]])
