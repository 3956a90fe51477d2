"""Reading a rendered data set back: its files, and its labels as numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def contents(root: Path) -> dict[str, bytes]:
    return {str(file.relative_to(root)): file.read_bytes() for file in sorted(root.rglob("*")) if file.is_file()}


def rows(root: Path, split: str = "train") -> list[list[list[float]]]:
    files = sorted((root / "labels" / split).iterdir())
    return [[[float(value) for value in line.split()] for line in file.read_text().splitlines()] for file in files]


def flat(root: Path) -> list[np.ndarray]:
    return [np.array(row) for image in rows(root) for row in image]


def edges(boxes: np.ndarray) -> np.ndarray:
    centre, size = boxes[..., :2], boxes[..., 2:4]
    return np.concatenate([centre - size / 2, centre + size / 2], axis=-1)
