"""Pairs of runs that differ in nothing, and why: what is the same to the last bit was not compared."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from yolo_wiou.compare.coco import read_detections
from yolo_wiou.compare.evaluation import QUOTED, EvaluatedRun

NOTHING = 0.001
"""An AP below this is none."""

Pair: TypeAlias = tuple[EvaluatedRun, EvaluatedRun]
"""The baseline's run and the loss's under one seed."""


def why_nothing(pairs: Sequence[Pair]) -> str:
    """Say why pairs hold nothing to compare: no AP differs, or none is above 0; empty where there is, or no pair."""
    runs = [run for pair in pairs for run in pair]
    found_nothing = all((run.quoted.AP or 0) < NOTHING for run in runs)
    if not pairs or (not found_nothing and any(base.quoted.AP != rival.quoted.AP for base, rival in pairs)):
        return ""
    base, rival = pairs[0]
    first, second = base.record.run.config, rival.record.run.config
    if first and second and first.differs_in_name_alone(second):
        return f"{rival.record.run.loss} is {base.record.run.loss} under another name."
    if all(detect_the_same(*pair) for pair in pairs):
        return f"Under every seed both detect exactly the same, so their weights have not parted. {_how_far(runs)}"
    if found_nothing:
        return "AP is 0 for both under every seed. Train longer, or start from trained weights."
    return "Under every seed both have the same AP, to the last digit."


def detect_the_same(base: EvaluatedRun, rival: EvaluatedRun) -> bool:
    """Whether two runs detect something, and the very same; weights that differ do not."""
    if base.quoted.AP != rival.quoted.AP:
        return False
    first, second = (read_detections(run.record.folder, QUOTED) for run in (base, rival))
    return len(first) > 0 and np.array_equal(first, second)


def _how_far(runs: Sequence[EvaluatedRun]) -> str:
    """Say how far the optimizer came, which is where weights that are the same come from."""
    if not any(run.result.optimizer.lr for run in runs):
        return "The learning rate is 0."
    steps = max((run.result.steps or 0 for run in runs), default=0)
    few = f"The longest run took {steps} optimizer step{'s' * (steps != 1)}, " if steps else "They took few steps, "
    return f"{few}and the learning rate rises from 0 in the warm-up: train longer."
