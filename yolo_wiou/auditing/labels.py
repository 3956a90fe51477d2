"""The labels that are audited, as Ultralytics reads them, each with the line of the file that it stands in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolo_wiou.auditing.overlap import Boxes, Floats
from yolo_wiou.compare.detections import asked_classes, rotated_box
from yolo_wiou.data.label_lines import around, find_lines
from yolo_wiou.data.yolo_format import Label


@dataclass(frozen=True)
class Labels:
    """The labels of a split, in the order of its images.

    Attributes:
        files: the images, each once.
        sizes: (I, 2) width and height of each image in pixels.
        image: (N,) which image a label belongs to.
        line: (N,) its line in the image's label file, from 1.
        cls: (N,) index of its class.
        box: (N, 4) or (N, 5), in pixels.
        bbox: (N, 4) the upright box about it, cx, cy, w, h as shares of the image.
        repeated: image, line, and line of the first, of labels that stand twice in their file, letter for letter:
            Ultralytics reads one of them.
        asked: the classes that were asked for; None for all.
        unasked: image and box of the labels of other classes.
    """

    files: tuple[Path, ...]
    sizes: NDArray[np.int64]
    image: NDArray[np.int64]
    line: NDArray[np.int64]
    cls: NDArray[np.int64]
    box: Boxes
    bbox: Floats
    repeated: tuple[tuple[int, int, int], ...] = ()
    asked: Sequence[int] | None = None
    unasked: tuple[tuple[int, Sequence[float]], ...] = ()

    def __len__(self) -> int:
        """How many there are."""
        return len(self.cls)

    def with_unasked(self) -> tuple[NDArray[np.int64], Boxes]:
        """Image and box of every label that there is, image by image."""
        image = np.concatenate([self.image, np.array([image for image, _ in self.unasked], np.int64)])
        boxes = np.array([box for _, box in self.unasked], np.float64).reshape(-1, self.box.shape[1])
        order = np.argsort(image, kind="stable")
        return image[order], np.concatenate([self.box, boxes])[order]


def collect(read: Sequence[dict[str, Any]], task: str, settings: Mapping[str, Any]) -> Labels:
    """Return the labels that a data set of Ultralytics has read.

    Args:
        read: of the data set: `im_file`, `shape` (height, width), `cls` (n, 1), `bboxes` (n, 4) xywh in shares of the
            image; for task obb also `segments`, the corners.
        task: detect, segment, pose or obb.
        settings: that it was read by: `single_cls`, whether all classes were read as one, and `classes`.

    Raises:
        ConfigError: a label is not in its file.
    """
    image: list[int] = []
    line: list[int] = []
    box: list[list[float]] = []
    repeated: list[tuple[int, int, int]] = []
    unasked: list[tuple[int, list[float]]] = []
    for number, label in enumerate(read):
        size = np.array(label["shape"][::-1], np.float64)
        found = find_lines(label, is_single=bool(settings.get("single_cls")))
        image += [number] * len(found.lines)
        line += found.lines
        repeated += [(number, *pair) for pair in found.repeated]
        unasked += [(number, box_of(other, task, size)) for other in found.unread]
        if task == "obb":
            box += [rotated_box(np.asarray(corners, np.float64) * size) for corners in label["segments"]]
        else:
            box += in_pixels(label["bboxes"].reshape(-1, 4).astype(np.float64), size).tolist()
    return Labels(
        files=tuple(Path(label["im_file"]) for label in read),
        sizes=np.array([label["shape"][::-1] for label in read], np.int64).reshape(-1, 2),
        image=np.array(image, np.int64),
        line=np.array(line, np.int64),
        cls=np.concatenate([np.zeros(0), *(label["cls"].reshape(-1) for label in read)]).astype(np.int64),
        box=np.array(box, np.float64).reshape(-1, 5 if task == "obb" else 4),
        bbox=np.concatenate([np.zeros((0, 4)), *(label["bboxes"].reshape(-1, 4) for label in read)]),
        repeated=tuple(repeated),
        asked=asked_classes(settings),
        unasked=tuple(unasked),
    )


def box_of(label: Label, task: str, size: Floats) -> list[float]:
    """Return the box of a label in a file, in pixels of an image of that size."""
    values = label.values
    if task == "obb":
        return rotated_box(np.reshape(values[: len(values) // 2 * 2], (-1, 2)) * size)
    box = values[:4] if task == "pose" or len(values) == 4 else around(values)
    return list(in_pixels(np.array([box]), size)[0].tolist())


def in_pixels(boxes: Floats, size: Floats) -> Boxes:
    """Turn boxes cx, cy, w, h in shares of an image of that size, (N, 4), into corner, width and height in pixels."""
    scaled = boxes * np.tile(size, 2)
    return np.concatenate([scaled[:, :2] - scaled[:, 2:] / 2, scaled[:, 2:]], 1)
