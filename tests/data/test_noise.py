"""Label noise: exact in number, as large as ordered, and recorded so that it can be undone."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from helpers.labels import contents, edges, flat, rows

from yolo_wiou.data import noise, shapes
from yolo_wiou.data.shapes import ShapesConfig, render_dataset

NOISY = ShapesConfig(train=40, val=3, imgsz=64, noise=0.3, outliers=0.07)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A set with label noise, and the same set without."""
    folder = tmp_path_factory.mktemp("noise")
    clean = NOISY.model_copy(update={"noise": 0.0, "outliers": 0.0})
    return render_dataset(folder / "noisy", NOISY).parent, render_dataset(folder / "clean", clean).parent


def test_noise_is_exact_in_number_and_can_be_undone(noisy: tuple[Path, Path]) -> None:
    labels, clean = rows(noisy[0]), rows(noisy[1])
    with (noisy[0] / "noise.csv").open() as stream:
        records = list(csv.DictReader(stream))
    count = len(flat(noisy[1]))
    kinds = [record["kind"] for record in records]
    assert (kinds.count("jitter"), kinds.count("outlier")) == (round(0.3 * count), round(0.07 * count))
    assert len({(record["image"], record["row"]) for record in records}) == len(records)
    pairs = [pair for images in zip(labels, clean, strict=True) for pair in zip(*images, strict=True)]
    assert sum(changed != original for changed, original in pairs) == len(records)
    for record in records:
        row = labels[int(Path(record["image"]).stem)][int(record["row"])]
        row[1:] = [float(record[key]) for key in ("cx", "cy", "w", "h")]
    assert labels == clean


def test_noise_moves_boxes_as_far_as_ordered(noisy: tuple[Path, Path]) -> None:
    labels = rows(noisy[0])
    with (noisy[0] / "noise.csv").open() as stream:
        for record in csv.DictReader(stream):
            box = np.array(labels[int(Path(record["image"]).stem)][int(record["row"])][1:])
            clean = np.array([float(record[key]) for key in ("cx", "cy", "w", "h")])
            new, old = edges(box), edges(clean)
            assert (box[2:] > 0).all()
            assert new.min() >= -1e-6
            assert new.max() <= 1 + 1e-6
            if record["kind"] == "jitter":
                assert (np.abs(new - old) <= 0.3 * np.tile(clean[2:], 2) + 2e-6).all()
            else:
                overlap = np.minimum(new[2:], old[2:]) - np.maximum(new[:2], old[:2])
                assert overlap.clip(0).prod() < 0.1 * clean[2:].prod()  # at most (1 - sqrt(1/2))^2


def test_noise_changes_neither_images_nor_val(noisy: tuple[Path, Path]) -> None:
    dirty, clean = contents(noisy[0]), contents(noisy[1])
    assert set(dirty) - set(clean) == {"noise.csv"}
    changed = {name for name in clean if dirty[name] != clean[name]}
    assert changed - {shapes.FINGERPRINT} <= {name for name in clean if name.startswith("labels/train/")}


def test_outliers_stay_boxes_where_no_room_is_left() -> None:
    box = noise._displace(np.random.default_rng(0), [0.5, 0.5, 1.0, 1.0])
    assert 0 < box[2] < 1
    assert 0 < box[3] < 1
