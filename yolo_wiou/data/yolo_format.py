"""YOLO's label files: where they lie, and their lines."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Label:
    """One label, as it stands in its file.

    Attributes:
        line: its line, from 1.
        cls: index of its class.
        values: what follows, normalised to the image: cx, cy, w, h; the x, y of an outline or of a rotated box's
            corners; or cx, cy, w, h and the key points.
    """

    line: int
    cls: int
    values: list[float]

    @property
    def text(self) -> str:
        """The line, as label files have it."""
        return " ".join([str(self.cls), *(f"{value:.6f}" for value in self.values)])


def label_file(image: Path) -> Path:
    """Return where an image's labels are: the last folder `images` of its path is `labels`, and the file a .txt.

    >>> label_file(Path("set/images/train/a.b.jpg")).as_posix(), label_file(Path("set/a.jpg")).as_posix()
    ('set/labels/train/a.b.txt', 'set/a.txt')
    """
    images, labels = f"{os.sep}images{os.sep}", f"{os.sep}labels{os.sep}"
    return Path(labels.join(str(image.with_suffix(".txt")).rsplit(images, 1)))


def read_lines(file: Path) -> list[str]:
    """Return the lines of a label file without their ends, an image without objects may have none.

    Raises:
        UnicodeDecodeError: (a ValueError) it is no text in UTF-8. Ultralytics leaves its image out.
    """
    return file.read_text(encoding="utf-8-sig").splitlines() if file.is_file() else []


def lines_of(images: Iterable[Path]) -> dict[Path, list[str]]:
    """Return the lines of images' label files, without those that cannot be read, of which a warning tells."""
    lines, unread = {}, []
    for image in images:
        try:
            lines[image] = read_lines(label_file(image))
        except UnicodeDecodeError:
            unread.append(label_file(image))
    if unread:
        LOG.warning(
            f"yolo-wiou: {len(unread)} of the label files cannot be read and stay as they are; Ultralytics leaves "
            f"their images out. The first is '{unread[0]}', which is no text in UTF-8."
        )
    return lines


def parse(lines: Sequence[str]) -> list[Label]:
    """Read the lines of a label file; an empty one is none.

    Raises:
        ValueError: a line holds what is no number.
    """
    rows = ((number, line.split()) for number, line in enumerate(lines, start=1))
    return [Label(number, int(float(row[0])), [float(word) for word in row[1:]]) for number, row in rows if row]
