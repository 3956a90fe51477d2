"""What is said of labels whose errors are known."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.audits import NAMES, World, in_shares, oracle_scores, overlap

from yolo_wiou.auditing.evidence import Seen, weigh
from yolo_wiou.auditing.findings import AuditedLabel
from yolo_wiou.auditing.judge import Judgement, judge
from yolo_wiou.auditing.labels import Labels
from yolo_wiou.auditing.scores import robust_z, score

WRONG = ("loose", "shifted", "class", "spurious")


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def judgement(world: World) -> Judgement:
    return judged(world)


def judged(world: World, threshold: float = 2.0, **changes: Any) -> Judgement:
    return judge(world.labels, Seen.of(world.detections), NAMES, threshold, **changes)


def by_kind(world: World, judgement: Judgement) -> dict[str, list[tuple[AuditedLabel, list[float]]]]:
    """Every row with its truth, by what was planted."""
    labels = world.labels
    place = {(f"{i}.jpg", line): n for n, (i, line) in enumerate(zip(labels.image, labels.line, strict=True))}
    found: dict[str, list[tuple[AuditedLabel, list[float]]]] = {}
    for row in judgement.labels:
        number = place[row.image, row.line]
        found.setdefault(world.kinds[number], []).append((row, world.truth[number]))
    return found


def test_the_score_is_that_of_plain_arithmetic(world: World) -> None:
    found = score(world.labels, weigh(world.labels, Seen.of(world.detections)))
    assert found == pytest.approx(oracle_scores(world.labels, world.detections), abs=1e-4)


def test_wrong_labels_come_first(world: World, judgement: Judgement) -> None:
    kinds = by_kind(world, judgement)
    wrong = [row.score for kind in WRONG for row, _ in kinds[kind]]
    clean = [row.score for row, _ in kinds["clean"]]
    assert np.mean(np.array(wrong)[:, None] > np.array(clean)) > 0.97  # AUROC
    scores = [row.score for row in judgement.labels]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == len(world.labels)


@pytest.mark.parametrize(("kind", "share"), [("loose", 0.5), ("shifted", 0.8), ("class", 0.8), ("spurious", 0.9)])
def test_the_reason_is_what_was_done(kind: str, share: float, world: World, judgement: Judgement) -> None:
    reasons = Counter[str](row.reason for row, _ in by_kind(world, judgement)[kind])
    assert reasons[kind] >= share * reasons.total()


def test_right_labels_are_left_alone(world: World, judgement: Judgement) -> None:
    kinds = by_kind(world, judgement)
    right = [row for kind in ("clean", "duplicate") for row, _ in kinds[kind]]
    assert sum(row.is_flagged for row in right) <= 0.02 * len(right)
    assert sum(row.is_sure for row in right) <= 0.005 * len(right)


@pytest.mark.parametrize("seed", range(3))
def test_of_right_labels_alone_hardly_any_is_flagged(seed: int) -> None:
    world = World(seed=seed, wrong=False)
    found = judged(world)
    assert sum(row.is_flagged for row in found.labels) <= 0.01 * len(world.labels)
    assert found.threshold > 2
    assert not found.missing
    assert not found.duplicates


def test_what_is_proposed_is_better(world: World, judgement: Judgement) -> None:
    kinds = by_kind(world, judgement)
    moved = [(row, truth) for kind in ("loose", "shifted") for row, truth in kinds[kind] if row.is_sure]
    assert len(moved) > 50
    better = [overlap(row.proposed_box, truth[1:]) > overlap(row.box, truth[1:]) for row, truth in moved]
    assert np.mean(better) > 0.95
    for row, _ in moved:
        assert row.iou == pytest.approx(overlap(row.proposed_box, row.box), abs=2e-3)
        assert row.proposed_cls == row.cls
    renamed = [(row, truth) for row, truth in kinds["class"] if row.reason == "class"]
    assert all(row.proposed_cls == truth[0] and row.proposed_box == row.box for row, truth in renamed)
    assert all(row.proposed_cls is None and not row.is_sure for row, _ in kinds["spurious"] if row.reason == "spurious")


def test_the_model_agrees_with_as_many_labels_as_have_the_class_that_it_names(
    world: World, judgement: Judgement
) -> None:
    """Of right labels with all, and not where one in three objects is taken for another class."""
    share = world.kinds.count("class") / len(world.kinds)
    assert judgement.agreement == pytest.approx(1 - share, abs=0.02)
    pairs = world.detections.reshape(-1, 2, 7)  # each object, and what else it is taken for
    swapped = pairs[::3, ::-1, 6].copy()
    pairs = pairs.copy()
    pairs[::3, :, 6] = swapped
    confused = judge(world.labels, Seen.of(pairs.reshape(-1, 7)), NAMES, 2.0)
    assert confused.agreement == pytest.approx(2 / 3, abs=0.05)


def test_an_outline_is_not_moved_unasked(world: World) -> None:
    moved = [row for row in judged(world, can_move=False).labels if row.reason in {"loose", "shifted"}]
    assert moved
    assert not any(row.is_sure for row in moved)


def test_missing_labels_are_the_dropped_ones(world: World, judgement: Judgement) -> None:
    dropped = [(f"{int(row[0])}.jpg", row[1], row[2:]) for row in world.dropped]
    right = [
        any(image == row.image and cls == row.cls and overlap(box, row.box) > 0.5 for image, cls, box in dropped)
        for row in judgement.missing
    ]
    assert np.mean(right) > 0.9
    assert sum(right) > 0.7 * len(dropped)
    certainty = [row.certainty for row in judgement.missing]
    assert certainty == sorted(certainty, reverse=True)


def test_no_object_of_a_class_that_was_not_asked_for_is_missing(world: World) -> None:
    """And none over a label of such a class: of a file that is read in part, the rest is there all the same."""
    labels, is_asked = world.labels, world.labels.cls == 0
    image, box = labels.image[~is_asked], labels.box[~is_asked]
    some = replace(
        labels,
        **{name: getattr(labels, name)[is_asked] for name in ("image", "line", "cls", "box", "bbox")},
        asked=[0],
        unasked=tuple(zip(image.tolist(), box.tolist(), strict=True)),
    )
    every, found = (judge(of, Seen.of(world.detections), NAMES, 2).missing for of in (labels, some))
    assert {row.cls for row in every} == {0, 1, 2}
    assert {(row.image, row.box) for row in found} == {(row.image, row.box) for row in every if row.cls == 0}


def test_duplicates_are_pairs(world: World, judgement: Judgement) -> None:
    labels = world.labels
    second = {
        (f"{labels.image[n]}.jpg", int(labels.line[n])) for n, kind in enumerate(world.kinds) if kind == "duplicate"
    }
    assert {(row.image, max(row.line, row.duplicate)) for row in judgement.duplicates} == second


def test_two_objects_that_overlap_are_no_duplicate() -> None:
    """Where the detector sees both."""
    boxes = np.array([[100.0, 100, 100, 100], [120, 100, 100, 100]])
    labels = a_set(boxes, np.zeros(2, int))
    table = np.array([[0, *box, 0.9, 0] for box in boxes], np.float32)
    assert len(judge(labels, Seen.of(table[:1]), NAMES, 2).duplicates) == 1
    assert judge(labels, Seen.of(table), NAMES, 2).duplicates == []
    other_class = a_set(boxes, np.array([0, 1]))
    assert judge(other_class, Seen.of(table[:1]), NAMES, 2).duplicates == []


def a_set(boxes: np.ndarray, cls: np.ndarray, images: int = 1) -> Labels:
    return Labels(
        files=tuple(Path(f"{number}.jpg") for number in range(images)),
        sizes=np.full((images, 2), 640),
        image=np.zeros(len(cls), int),
        line=np.arange(len(cls)) + 1,
        cls=cls,
        box=boxes,
        bbox=in_shares(boxes, (640, 640)),
    )


def test_nothing_is_said_of_nothing() -> None:
    empty = a_set(np.zeros((0, 4)), np.zeros(0, int))
    found = judge(empty, Seen.of(np.zeros((0, 7), np.float32)), NAMES, 2)
    assert (found.labels, found.missing, found.duplicates) == ([], [], [])
    one = a_set(np.array([[10.0, 10, 50, 50]]), np.zeros(1, int))
    assert [row.reason for row in judge(one, Seen.of(np.zeros((0, 7), np.float32)), NAMES, 2).labels] == [""]
    only_seen = judge(empty, Seen.of(np.array([[0, 1, 2, 30, 40, 0.9, 1]], np.float32)), NAMES, 2)
    assert only_seen.missing == []  # nobody knows how confident this detector is of what is there


def test_of_a_class_that_is_hardly_found_no_label_is_spurious_or_changed_unasked(world: World) -> None:
    """That the detector does not know the class is likelier."""
    hardly = world.detections[(world.detections[:, 6] != 0) | (world.detections[:, 0] % 4 == 0)]
    labels = judge(world.labels, Seen.of(hardly), NAMES, 2).labels
    assert {row.cls for row in labels if row.reason == "spurious"} == {1, 2}
    assert {row.reason for row in labels if row.cls == 0} >= {"class", "loose"}
    assert {row.cls for row in labels if row.is_sure} == {1, 2}


def test_an_object_is_as_large_as_it_was_detected_not_as_it_was_labelled() -> None:
    """In shares of the longer side; the second label is four times too large, the third has nothing to show for it."""
    boxes = np.array([[10.0, 10, 64, 16], [200, 200, 256, 64], [500, 300, 32, 32]])
    labels = replace(a_set(boxes, np.zeros(3, int)), sizes=np.array([[640, 480]]))
    seen = Seen.of(np.array([[0, 10, 10, 64, 16, 0.9, 0], [0, 200, 200, 64, 16, 0.9, 0]], np.float32))
    assert weigh(labels, seen).size.tolist() == pytest.approx([0.05, 0.05, 0.05])


def test_rotated_boxes_are_compared_as_such() -> None:
    """An upright label across a turned object has the same centre and size."""
    boxes = np.array([[100.0, 100, 200, 20, 0.0]])
    labels = a_set(np.repeat(boxes, 30, 0) + np.arange(30)[:, None] * [0, 0, 0, 0, 0.05], np.zeros(30, int))
    seen = Seen.of(np.array([[0, 100, 100, 200, 20, 0.9, 0, 0.0]], np.float32))
    loc = weigh(labels, seen).loc
    assert loc[0] == pytest.approx(0, abs=1e-6)
    assert loc[-1] > 0.7
    assert np.all(np.diff(loc) > 0)


def test_a_small_group_is_measured_with_the_others() -> None:
    values = np.array([*np.linspace(-1, 1, 101), 5.0, 5.0])
    groups = np.array([0] * 101 + [1, 2])
    assert robust_z(values, groups)[-1] > 4  # alone, each would be the median
    apart = robust_z(np.concatenate([values[:101], values[:101] + 9]), np.repeat([0, 1], 101))
    assert apart[:101] == pytest.approx(apart[101:])
