"""What a training saw of the labels that are audited, over the second half of its epochs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yolo_wiou.auditing.labels import Labels
from yolo_wiou.auditing.overlap import Floats
from yolo_wiou.data.label_lines import SAME
from yolo_wiou.files import from_common_folder
from yolo_wiou.training.label_history import LabelHistory, load_history


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

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known of any label."""
        return bool(np.isnan(self.loc).all() and np.isnan(self.cls).all())


def recall(run: Path | str, labels: Labels, is_single: bool = False) -> Past:
    """Read what a run that was trained with `audit=true` recorded of labels, also where their images were moved since.

    Args:
        run: its folder.
        labels: of the split that it was trained on.
        is_single: whether all classes were read as one, so that they do not tell whether a label has changed.

    Raises:
        ConfigError: it recorded nothing.
    """
    history = load_history(run)
    if not len(history.line):  # of a training without a label
        return Past(*np.full((2, len(labels)), np.nan))
    rows = rows_of(history, labels, [str(file) for file in labels.files], history.image.tolist())
    if (rows < 0).all():
        images = list(dict.fromkeys(history.image.tolist()))
        moved = dict(zip(images, below(images), strict=True))
        rows = rows_of(history, labels, below(labels.files), [moved[image] for image in history.image.tolist()])
    is_known = rows >= 0
    is_same = is_known & (np.abs(history.box[rows] - labels.bbox).max(1, initial=0) < SAME)
    if not is_single:
        is_same &= history.cls[rows] == labels.cls

    def late(values: NDArray[np.float32]) -> Floats:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of a label that no epoch showed
            means = np.asarray(np.nanmean(values[len(values) // 2 :], axis=0, dtype=np.float64))
        return np.where(is_same, means[rows], np.nan)

    return Past(loc=1 - late(history.iou), cls=-late(history.margin), changed=int((is_known & ~is_same).sum()))


def rows_of(history: LabelHistory, labels: Labels, files: list[str], recorded: list[str]) -> NDArray[np.int64]:
    """Return the row of each label in a history, (N,); -1 where it has none.

    Args:
        history: what was recorded.
        labels: to look up.
        files: what the images of the labels are called.
        recorded: what the image of each row is called.
    """
    places = {place: row for row, place in enumerate(zip(recorded, history.line.tolist(), strict=True))}
    wanted = zip(labels.image.tolist(), labels.line.tolist(), strict=True)
    return np.array([places.get((files[image], line), -1) for image, line in wanted], np.int64)


def below(files: Sequence[Path | str]) -> list[str]:
    """Return the paths of images from the folder that holds them all."""
    return [file.as_posix() for file in from_common_folder([Path(file) for file in files])] if files else []
