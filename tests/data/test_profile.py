"""The profile of a data set's boxes, and what it advises, on label files written by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from yolo_wiou.data.advice import Candidate, candidates, commands, nwd_constant, shape_scale
from yolo_wiou.data.profile import Profile, profile
from yolo_wiou.losses import load_config

approx = pytest.approx


def write(folder: Path, name: str, labels: str, size: tuple[int, int] = (200, 100), exif: int = 0) -> Path:
    """An image and its label file."""
    image, file = folder / "images" / f"{name}.jpg", folder / "labels" / f"{name}.txt"
    for path in (image, file):
        path.parent.mkdir(exist_ok=True)
    tags = Image.Exif()
    tags[274] = exif
    Image.new("RGB", size).save(image, exif=tags)
    file.write_text(labels)
    return image


def of(sides: Sequence[float], elongations: list[float] | None = None, crowding: float = 0.0) -> Profile:
    """A profile of these objects."""
    n = len(sides)
    shapes = np.array(elongations or [1.2] * n)
    return Profile(640, np.array([n]), np.array(sides, dtype=float), shapes, np.full(n, crowding), ())


def test_sizes_are_in_pixels_of_the_network_s_input(tmp_path: Path) -> None:
    """200 x 100 at imgsz 640 is 640 x 320: a tenth of both sides is 64 x 32."""
    image = write(tmp_path, "a", "0 0.5 0.5 0.1 0.1\n1 0.2 0.2 0.05 0.4\n")
    found = profile([image], "detect", 640)
    assert found.sides.tolist() == approx([math.sqrt(64 * 32), math.sqrt(32 * 128)])
    assert found.elongations.tolist() == approx([2, 4])
    assert found.counts.tolist() == [2]
    assert found.mean_side == approx((math.sqrt(64 * 32) + 64) / 2)
    assert (found.tiny, found.small, found.large, found.elongated) == (0, 0, 0, 0.5)


def test_an_image_that_the_camera_turned_is_read_as_ultralytics_reads_it(tmp_path: Path) -> None:
    turned, upright = (write(tmp_path, f"e{exif}", "0 0.5 0.5 0.1 0.1\n", exif=exif) for exif in (6, 1))
    found = profile([turned, upright], "detect", 640)
    assert found.elongations.tolist() == approx([2, 2])
    outline = "0 0.1 0.1 0.3 0.1 0.3 0.2 0.1 0.2\n"  # 0.2 of 100 by 0.1 of 200 where it was turned
    found = profile([write(tmp_path, "o6", outline, exif=6)], "segment", 640)
    assert found.elongations.tolist() == approx([1])


@pytest.mark.parametrize(
    ("task", "labels", "side", "elongation"),
    [
        ("segment", "0 0.1 0.1 0.3 0.1 0.2 0.5\n", math.sqrt(128 * 128), 1.0),  # a triangle's upright box
        ("pose", "0 0.5 0.5 0.2 0.1 0.4 0.4 2 0.6 0.6 2\n", math.sqrt(128 * 32), 4.0),
        # a square of 32√2 px that stands on its corner
        ("obb", "0 0.5 0.4 0.55 0.5 0.5 0.6 0.45 0.5\n", 32 * math.sqrt(2), 1.0),
        ("detect", "0 0.5 0.4 0.55 0.5 0.5 0.6 0.45 0.5\n", 64.0, 1.0),  # and the upright box about it
    ],
)
def test_every_task_has_its_kind_of_label(
    tmp_path: Path, task: str, labels: str, side: float, elongation: float
) -> None:
    found = profile([write(tmp_path, "a", labels)], task, 640)
    assert found.sides.tolist() == approx([side])
    assert found.elongations.tolist() == approx([elongation])


def test_key_points_may_lie_anywhere(tmp_path: Path) -> None:
    found = profile([write(tmp_path, "a", "0 0.5 0.5 0.2 0.1 0.4 0.4 2 0 0 0\n")], "pose", 640)
    assert (found.counts.tolist(), found.outlines) == ([1], 0)


def test_crowds_are_objects_that_overlap_within_an_image(tmp_path: Path) -> None:
    twins = "0 0.5 0.5 0.2 0.2\n0 0.6 0.5 0.2 0.2\n0 0.1 0.1 0.05 0.05\n"
    found = profile([write(tmp_path, "a", twins), write(tmp_path, "b", twins[:18])], "detect", 640)
    assert found.crowding.tolist() == approx([1 / 3, 1 / 3, 0, 0])
    assert found.crowded == 0.5


def test_what_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    good = write(tmp_path, "good", "0 0.5 0.5 0.2 0.2\n")
    words = write(tmp_path, "words", "0 a b c d\n")
    broken = write(tmp_path, "broken", "0 0.5 0.5 0.2 0.2\n")
    broken.write_bytes(b"no image")
    odd = (
        "0 0.5 0.5 nan 0.2",
        "0 0.5 0.5 inf 0.2",
        "0 300 200 50 40",
        "0 0.5 0.5 -0.2 0.2",
        "0 0.5 0.5",
        "0 0 0 2 0 2 2",
    )
    beyond = [write(tmp_path, f"odd{i}", f"0 0.5 0.5 0.2 0.2\n{line}\n") for i, line in enumerate(odd)]
    bomb = write(tmp_path, "bomb", "0 0.5 0.5 0.2 0.2\n")
    Image.new("1", (20_000, 10_000)).save(bomb)  # above Pillow's limit
    empty, without = write(tmp_path, "empty", ""), write(tmp_path, "without", "0 0.5 0.5 0 0.2\n")
    (tmp_path / "labels" / "empty.txt").unlink()
    found = profile([good, words, broken, bomb, empty, without, *beyond], "detect", 640)
    assert found.counts.tolist() == [1, 0, 0]
    assert [path.stem for path in found.unread] == ["words", "broken", "bomb", *(f"odd{i}" for i in range(len(odd)))]
    assert not len(profile([empty], "detect", 640).sides)


def test_the_profile_in_words() -> None:
    words = str(of([8, 20, 40, 200], [1, 1, 2, 4], crowding=0.5))
    assert "1 images, 4 objects, at imgsz=640" in words
    assert "mean 67 px, half of them 17 to 80; 25% below 16, 50% below 32 (small), 25% from 96 on (large)" in words
    assert "median 1.50, 25% at 3 and more" in words
    assert "4.0 objects an image, 4 at most; 100% overlap another by IoU 0.3 and more" in words


def names(found: Profile, task: str = "detect") -> list[str]:
    return [candidate.loss for candidate in candidates(found, task)]


def test_each_property_has_its_candidates() -> None:
    assert names(of([60] * 10)) == []
    assert names(of([20] * 4 + [60] * 6)) == ["iou-nwd"]
    assert names(of([10] * 10)) == ["nwd"]
    assert names(of([60] * 10, [5.0] * 4 + [1.0] * 6)) == ["shape-iou"]
    assert names(of([60] * 10, [5.0] * 4 + [1.0] * 6), "obb") == ["kld"]
    assert names(of([60] * 10, crowding=0.5)) == ["uiou"]
    assert names(of([200] * 10)) == ["inner-ciou"]
    assert names(of([200] * 10, crowding=0.5), "obb") == []


def test_constant_and_scale_are_computed_and_taken_by_the_losses() -> None:
    found = of([10.04, 20.04], [9.0, 2.0])
    assert nwd_constant(found) == 15.0
    assert shape_scale(found) == 0.5  # 9^0.5 is 3
    assert shape_scale(of([1], [3.0])) == 1.0
    for candidate in candidates(found, "detect"):
        load_config(candidate.loss, candidate.settings)


def test_commands_compare_with_the_seeds_that_can_tell() -> None:
    chosen = [Candidate(name, "", {"overlap.inner": 0.8}) for name in ("inner-ciou", "inner-siou")]
    lines = commands(chosen, "data=my.yaml", "obb")
    assert lines[0] == "yolo-wiou losses inner-ciou loss.overlap.inner=0.8 > my-inner-ciou.yaml"
    assert lines[-1].startswith("yolo-wiou obb compare data=my.yaml losses=ciou,my-inner-ciou.yaml,my-inner-siou.yaml")
    assert [commands(chosen[:1] * n, "")[-1][-1] for n in (1, 2, 3, 4)] == ["6", "7", "7", "8"]
