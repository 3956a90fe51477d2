"""Relabelled copies: the same images with other labels, found by Ultralytics, and nothing of anybody's overwritten."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from helpers.labels import contents
from ultralytics.data.utils import check_det_dataset, img2label_paths

from yolo_wiou import ConfigError
from yolo_wiou.data.relabelled import write_relabelled
from yolo_wiou.data.yolo_format import label_file, parse, read_lines
from yolo_wiou.training.preflight import describe, images_of


@pytest.mark.parametrize("image", ["/a/images/b/images/c.d.jpg", "/a/c.jpg", "/images.x/c.PNG", "/images/c.jpeg"])
def test_labels_lie_where_ultralytics_looks_for_them(image: str) -> None:
    assert [str(label_file(Path(image)))] == img2label_paths([image])


def test_a_copy_refers_to_the_same_images_with_its_own_labels(shapes: Path, tmp_path: Path) -> None:
    before = contents(shapes.parent)
    data = describe(shapes)
    images = images_of(data, "train")
    changed = {image: read_lines(label_file(image))[1:] for image in images}
    file = write_relabelled(tmp_path / "copy", data, "train", changed)
    copy = check_det_dataset(str(file))
    assert copy["names"] == data["names"]
    assert images_of(copy, "val") == images_of(data, "val")
    seen = images_of(copy, "train")
    assert [image.resolve() for image in seen] == [image.resolve() for image in images]
    assert [read_lines(label_file(image)) for image in seen] == list(changed.values())
    assert contents(shapes.parent) == before


def test_images_of_one_name_in_several_folders_stay_apart(tmp_path: Path) -> None:
    for part in ("a", "b"):
        (tmp_path / part / "images").mkdir(parents=True)
        (tmp_path / part / "images" / "1.png").write_text(part)
    images = [tmp_path / part / "images" / "1.png" for part in ("a", "b")]
    labels = {image: [f"{number} .5 .5 .1 .1"] for number, image in enumerate(images)}
    data = {"train": [str(image.parent) for image in images], "val": "somewhere", "names": {0: "a", 1: "b"}}
    write_relabelled(tmp_path / "copy", data, "train", labels, **{"note.txt": "said"})
    seen = sorted((tmp_path / "copy" / "images" / "train").rglob("*.png"))
    assert [image.read_text() for image in seen] == ["a", "b"]
    assert [parse(read_lines(label_file(image)))[0].cls for image in seen] == [0, 1]
    assert (tmp_path / "copy" / "note.txt").read_text() == "said"


def test_an_earlier_copy_is_replaced_and_nothing_else(shapes: Path, tmp_path: Path) -> None:
    data = describe(shapes)
    labels: dict[Path, list[str]] = {image: [] for image in images_of(data, "train")}
    folder = write_relabelled(tmp_path / "copy", data, "train", labels, first="1").parent
    write_relabelled(folder, data, "train", labels, second="2")
    assert not (folder / "first").exists()
    assert (folder / "second").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy"]
    copy = describe(folder / "data.yaml")
    with pytest.raises(ConfigError, match="holds the data set that is read"):
        write_relabelled(folder, copy, "train", {image: [] for image in images_of(copy, "train")})
    (folder / "data.yaml").unlink()
    before = contents(folder)
    with pytest.raises(ConfigError, match="holds something else"):
        write_relabelled(folder, data, "train", labels)
    assert contents(folder) == before


def test_a_copy_is_complete_or_not_there(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(target: Path, place: Path) -> None:
        raise OSError("not here")

    data = describe(shapes)
    labels = {image: ["0 .5 .5 .1 .1"] for image in images_of(data, "train")}
    for name in ("symlink", "link"):
        monkeypatch.setattr(os, name, no_links)
    file = write_relabelled(tmp_path / "copied", data, "train", labels)
    copies = sorted((file.parent / "images" / "train").iterdir())
    assert not any(image.is_symlink() for image in copies)
    assert [copy.read_bytes() for copy in copies] == [image.read_bytes() for image in labels]
    monkeypatch.setattr(shutil, "copyfile", no_links)
    with pytest.raises(OSError, match="not here"):
        write_relabelled(tmp_path / "failed", data, "train", labels)
    assert [path.name for path in tmp_path.iterdir()] == ["copied"]
