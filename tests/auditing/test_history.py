"""What a training recorded of its labels counts in the score."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.audits import World

from yolo_wiou.auditing.audit import changed
from yolo_wiou.auditing.evidence import Seen, weigh
from yolo_wiou.auditing.history import Past, recall
from yolo_wiou.auditing.labels import Labels
from yolo_wiou.auditing.scores import score
from yolo_wiou.training.label_history import HISTORY, LABELS, RECORD


def labels() -> Labels:
    return Labels(
        files=(Path("a.jpg"), Path("b.jpg")),
        sizes=np.full((2, 2), 100),
        image=np.array([0, 0, 1]),
        line=np.array([1, 3, 1]),
        cls=np.zeros(3, int),
        box=np.full((3, 4), 10.0),
        bbox=np.array([[0.5, 0.5, 0.1, 0.1]] * 3),
    )


def write(folder: Path, rows: list[str], iou: list[list[float]], margin: list[list[float]]) -> None:
    (folder / LABELS).write_text("\n".join(["image,line,class,cx,cy,w,h", *rows]) + "\n")
    records = np.zeros(np.shape(iou), RECORD)
    records["iou"], records["margin"] = iou, margin
    records.tofile(folder / HISTORY)


def test_the_later_half_is_what_counts(tmp_path: Path) -> None:
    """By image and line, whatever the order of the record; an epoch that showed none of a label is left out."""
    rows = ["b.jpg,1,0,.5,.5,.1,.1", "a.jpg,3,0,.5,.5,.1,.1", "a.jpg,2,0,.5,.5,.1,.1"]
    nan = float("nan")
    iou = [[0.1, 0.1, 0.1], [0.2, 0.2, 0.2], [0.5, nan, 0.9], [0.75, 0.25, 0.9]]
    margin: list[list[float]] = [[-1, -1, -1], [-1, -1, -1], [0.5, nan, 1], [0.25, nan, 1]]
    write(tmp_path, rows, iou, margin)
    past = recall(tmp_path, labels())
    assert past.loc == pytest.approx([nan, 0.75, 1 - 0.625], nan_ok=True)
    assert past.cls == pytest.approx([nan, nan, -0.375], nan_ok=True)


def test_what_was_seen_of_another_label_does_not_count(tmp_path: Path) -> None:
    """Lines that were swapped, classes and boxes that were corrected since the training."""
    rows = ["a.jpg,1,0,.5,.5,.1,.1", "a.jpg,3,1,.5,.5,.1,.1", "b.jpg,1,0,.5,.6,.1,.1"]
    write(tmp_path, rows, [[0.25] * 3], [[0.5] * 3])
    past = recall(tmp_path, labels())
    assert past.loc == pytest.approx([0.75, float("nan"), float("nan")], nan_ok=True)
    assert past.cls == pytest.approx([-0.5, float("nan"), float("nan")], nan_ok=True)
    assert past.changed == 2
    assert changed(past) == ["Since the training 2 labels changed: what it saw of them then does not count."]
    assert changed(Past(past.loc, past.cls)) == changed(None) == []


def test_where_all_classes_are_read_as_one_a_class_is_no_change(tmp_path: Path) -> None:
    write(
        tmp_path, [f"{place},2,.5,.5,.1,.1" for place in ("a.jpg,1", "a.jpg,3", "b.jpg,1")], [[0.25] * 3], [[0.5] * 3]
    )
    assert recall(tmp_path, labels(), is_single=True).changed == 0
    assert recall(tmp_path, labels()).changed == 3


def test_images_that_were_moved_since_are_known_by_their_place_in_the_set(tmp_path: Path) -> None:
    write(tmp_path, ["/then/x/a.jpg,1,0,.5,.5,.1,.1", "/then/y/a.jpg,1,0,.5,.5,.1,.1"], [[0.25, 0.5]], [[0.5, 1]])
    files = (tmp_path / "now" / "x" / "a.jpg", tmp_path / "now" / "y" / "a.jpg")
    past = recall(tmp_path, replace(labels(), files=files))
    assert past.loc == pytest.approx([0.75, float("nan"), 0.5], nan_ok=True)
    assert past.changed == 0


def test_a_record_of_other_labels_does_not_count(tmp_path: Path) -> None:
    write(tmp_path, ["c.jpg,1,0,.5,.5,.1,.1"], [[0.5]], [[0.5]])
    past = recall(tmp_path, labels())
    write(tmp_path, [], np.zeros((1, 0)).tolist(), np.zeros((1, 0)).tolist())
    assert recall(tmp_path, labels()).is_empty
    assert past.is_empty
    assert changed(past) == [
        "The training saw other labels, or had no epoch to see these in: what it saw does not count."
    ]
    evidence = weigh(labels(), Seen.of(np.array([[0, 10, 10, 10, 10, 0.9, 0]], np.float32)))
    assert (score(labels(), evidence, past) == score(labels(), evidence)).all()


def test_what_the_training_saw_raises_the_score_of_what_the_pass_misses() -> None:
    """A label that has been learnt by heart: the pass finds it right, the epochs before did not."""
    world = World()
    evidence = weigh(world.labels, Seen.of(world.detections))
    alone = score(world.labels, evidence)
    learnt = int(np.flatnonzero(np.array(world.kinds) == "clean")[np.argmin(alone[np.array(world.kinds) == "clean"])])
    loc, cls = evidence.loc.copy(), evidence.other - evidence.same
    loc[learnt] = 0.9
    loc[:3] = cls[:3] = np.nan  # no epoch showed them
    both = score(world.labels, evidence, Past(loc, cls))
    assert both[learnt] > np.quantile(both, 0.8) > alone[learnt]
    assert both[:3] == pytest.approx(alone[:3])
