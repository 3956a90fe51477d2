"""What a training saw of the labels that are audited, over the second half of its epochs."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yolo_wiou.auditing.labels import Labels
from yolo_wiou.auditing.overlap import Floats
from yolo_wiou.data.label_lines import SAME
from yolo_wiou.errors import ConfigError
from yolo_wiou.training.label_history import load_history


@dataclass(frozen=True)
class Past:
    """Means over the later half of a training: what it has learnt by heart in the end, it had not yet then.

    Attributes:
        loc: (N,) 1 - IoU of the boxes that were to learn each label; NaN where none was.
        cls: (N,) minus its class margin, likewise.
        changed: how many of them have been another label then, of which nothing counts.
    """

    loc: Floats
    cls: Floats
    changed: int = 0


def recall(run: Path | str, labels: Labels) -> Past:
    """Read what a run that was trained with `audit=true` recorded of labels.

    Args:
        run: its folder.
        labels: of the split that it was trained on.

    Raises:
        ConfigError: it recorded nothing, or other labels.
    """
    history = load_history(run)
    places = {place: row for row, place in enumerate(zip(history.image.tolist(), history.line.tolist(), strict=True))}
    files = [str(file) for file in labels.files]
    wanted = zip(labels.image.tolist(), labels.line.tolist(), strict=True)
    rows = np.array([places.get((files[image], line), -1) for image, line in wanted], np.int64)
    if len(rows) and (rows < 0).all():
        raise ConfigError(f"'run={run}' recorded other labels: it was not trained on these images.")
    is_known = rows >= 0
    is_same = is_known & (history.cls[rows] == labels.cls) & (np.abs(history.box[rows] - labels.bbox).max(1) < SAME)

    def late(values: NDArray[np.float32]) -> Floats:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of a label that no epoch showed
            means = np.asarray(np.nanmean(values[len(values) // 2 :], axis=0, dtype=np.float64))
        return np.where(is_same, means[rows], np.nan)

    return Past(loc=1 - late(history.iou), cls=-late(history.margin), changed=int((is_known & ~is_same).sum()))
