"""Which labels are called wrong, why, and what would be better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from yolo_wiou.auditing.evidence import HIT, Evidence, Seen, typical_confidence, weigh
from yolo_wiou.auditing.findings import AuditedLabel, DuplicateLabels, MissingLabel, Reason
from yolo_wiou.auditing.history import Past
from yolo_wiou.auditing.labels import Labels
from yolo_wiou.auditing.one_to_one import duplicates, missing
from yolo_wiou.auditing.overlap import Floats, centre, iou, iou_of_pairs, plain
from yolo_wiou.auditing.scores import misplacement, score

CHANGE = 1.5
"""How many times the threshold must be reached before a class is changed unasked."""
NEAR = 0.2
"""Least IoU of a label with a box that it is moved to unasked."""
SURE = 0.6
"""Confidence, over the typical one of the class, from which a detection speaks against a label."""
SOMETHING = 0.05
"""Least IoU of a label with a detection that can be of its object."""
NOTHING = 0.07
"""Confidence, over the typical one, times IoU, below which nothing is where a label says that something is."""
KNOWN = 0.5
"""Share of a class's labels whose object is found, from which the detector knows the class.

Below it, that nothing is found says nothing, and no label is changed unasked: another class may be named because the
detector has not learnt this one, and a rare class must not vanish by that.
"""
FAR = 0.4
"""Distance of the centres, in sides of the better box, from which a label is shifted rather than loose."""


@dataclass(frozen=True)
class Judgement:
    """What is found; labels in order of their score, the others by how sure they are.

    Attributes:
        labels: all of them.
        missing: objects without a label.
        duplicates: pairs of labels for one object.
        threshold: from which labels were called wrong, which is at least the one that was asked for.
        typical: (classes,) how confident the detector is of objects that it has found.
        found: (classes,) share of the labels whose object it has found; NaN where there are none.
        agreement: share of the labels with a sure detection whose class it names; NaN where there are none.
    """

    labels: list[AuditedLabel]
    missing: list[MissingLabel]
    duplicates: list[DuplicateLabels]
    threshold: float
    typical: Floats
    found: Floats
    agreement: float


def judge(
    labels: Labels,
    seen: Seen,
    names: Mapping[int, str],
    threshold: float,
    past: Past | None = None,
    can_move: bool = True,
) -> Judgement:
    """Judge every label by what was detected on its image.

    Args:
        labels: of a split.
        seen: what was detected on the same images.
        names: of the classes.
        threshold: least value from which a label is called wrong, as `Verdicts` has it.
        past: what the training saw of the labels, where that is known.
        can_move: whether a label is its box, so that it may be moved; an outline is more.
    """
    evidence = weigh(labels, seen)
    classes = max((*names, *labels.cls.tolist(), *seen.cls.tolist()), default=-1) + 1
    typical = typical_confidence(labels, seen, evidence, classes)
    hits = np.bincount(labels.cls[evidence.hit >= 0], minlength=classes)
    with np.errstate(invalid="ignore"):
        found = hits / np.bincount(labels.cls, minlength=classes)
    is_known = found[labels.cls] >= KNOWN
    verdicts = Verdicts(labels, seen, evidence, typical, score(labels, evidence, past), is_known, threshold)
    rows = [verdicts.row(index, names, can_move) for index in range(len(labels))]
    return Judgement(
        labels=sorted(rows, key=lambda row: -row.score),
        missing=missing(labels, seen, verdicts.explained, typical, names),
        duplicates=duplicates(labels, seen, evidence, typical, names),
        threshold=round(verdicts.threshold, 2),
        typical=typical,
        found=found,
        agreement=verdicts.agreement,
    )


class Verdicts:
    """The verdict on every label.

    Two numbers are held against the threshold: how badly a label is placed, in standard deviations, and the logarithm
    of how much more speaks for another class than for its own. They count where the detector is sure enough.

    Attributes:
        threshold: from which a label is called wrong; raised where hardly any is.
        reason: (N,) of each label.
        explained: (N,) the detection that a wrong label's object was found by; -1 where there is none.
        agreement: as a Judgement has it.
    """

    def __init__(
        self,
        labels: Labels,
        seen: Seen,
        evidence: Evidence,
        typical: Floats,
        unusual: Floats,
        is_known: NDArray[np.bool_],
        threshold: float,
    ) -> None:
        """Judge."""
        self.labels, self.seen, self.evidence, self.is_known = labels, seen, evidence, is_known
        confidence = np.append(seen.confidence / typical[seen.cls], 0.0)  # the last is for -1
        boxes = np.concatenate([seen.box, np.zeros((1, labels.box.shape[1]))])
        nearest, rival = evidence.nearest, evidence.rival
        self.score, self.better = unusual, boxes[nearest]
        speaks = (confidence[nearest] >= SURE) & (evidence.overlap >= SOMETHING)
        self.place = np.where(speaks, misplacement(labels, evidence, confidence[nearest]), 0)
        of_other = np.where(iou_of_pairs(labels.box, boxes[rival]) >= HIT, confidence[rival], 0)
        self.kind = np.where(of_other >= SURE, evidence.odds, 0)
        of_own = confidence[evidence.hit]
        agrees = (of_own >= of_other)[np.maximum(of_own, of_other) >= SURE]
        self.agreement = float(agrees.mean()) if len(agrees) else np.nan
        self.threshold = threshold = raised(threshold, np.maximum(self.place, self.kind))
        is_misplaced, is_misnamed = self.place >= threshold, self.kind >= threshold
        of_rival = np.append(typical[seen.cls], 1.0)[rival]
        presence = np.maximum(evidence.same / typical[labels.cls], evidence.other / of_rival)
        is_unusual = self.score >= threshold
        shift = np.abs(centre(self.better) - centre(labels.box)) / np.maximum(self.better[:, 2:4], 1e-9)
        self.reason = np.select(
            [
                is_misnamed,
                is_misplaced & (shift.max(1) >= FAR),
                is_misplaced,
                is_unusual & is_known & (presence < NOTHING),
                is_unusual,
            ],
            ["class", "shifted", "loose", "spurious", "unclear"],
            default="",
        )
        by_place = np.where(is_misplaced, nearest, -1)
        self.explained = np.where(is_misnamed, rival, by_place)

    def row(self, index: int, names: Mapping[int, str], can_move: bool) -> AuditedLabel:
        """Return what is said of a label."""
        labels, reason = self.labels, cast("Reason", str(self.reason[index]))
        cls, box = int(labels.cls[index]), labels.box[index]
        row = AuditedLabel(
            image=str(labels.files[labels.image[index]]),
            line=int(labels.line[index]),
            cls=cls,
            name=names.get(cls, str(cls)),
            box=plain(box),
            score=round(float(self.score[index]), 3),
            reason=reason,
        )
        if (detection := int(self.explained[index])) < 0:
            return row
        better_cls = int(self.seen.cls[detection])
        if reason == "class":
            better, is_sure = box, self.kind[index] >= CHANGE * self.threshold
        else:
            better = self.better[index]
            is_near = self.evidence.overlap[index] >= NEAR and better_cls == cls
            is_sure = can_move and is_near
        return replace(
            row,
            proposed_cls=better_cls,
            proposed_name=names.get(better_cls, str(better_cls)),
            proposed_box=plain(better),
            iou=round(float(iou(box[None], better[None])[0, 0]), 3),
            is_sure=bool(is_sure and self.is_known[index]),
        )


def raised(threshold: float, values: Floats) -> float:
    """Raise a threshold until at most a third of what is above it would be there if all labels were right.

    Of right labels a few are always above; where hardly more are, it is these. (Benjamini and Hochberg's control of
    the false discovery rate, with a share of false alarms that was measured.)
    """
    while (above := (values >= threshold).sum()) and false_alarms(threshold) * len(values) > above / 3:
        threshold += 0.05
    return threshold


def false_alarms(threshold: float) -> float:
    """Share of right labels that are above a threshold, as measured (docs/audit.md)."""
    return float(0.03 * np.exp(-1.7 * (threshold - 2)))
