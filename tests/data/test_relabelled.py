"""Relabelled copies: the same images with other labels, found by Ultralytics, and nothing of anybody's overwritten."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.labels import contents
from helpers.places import not_permitted
from ultralytics.data.dataset import YOLODataset
from ultralytics.data.utils import check_det_dataset, img2label_paths

from yolo_wiou import ConfigError
from yolo_wiou.data.relabelled import check_relabelled, write_relabelled
from yolo_wiou.data.yolo_format import label_file, parse, read_lines
from yolo_wiou.training.preflight import describe, images_of


@pytest.mark.parametrize("image", ["/a/images/b/images/c.d.jpg", "/a/c.jpg", "/images.x/c.PNG", "/images/c.jpeg"])
def test_labels_lie_where_ultralytics_looks_for_them(image: str) -> None:
    assert [str(label_file(Path(image)))] == img2label_paths([image])


def test_a_copy_refers_to_the_same_images_with_its_own_labels(shapes: Path, tmp_path: Path) -> None:
    before = contents(shapes.parent)
    data = describe(shapes)
    images = images_of(data, "train")
    lines = {image: read_lines(label_file(image)) for image in images}
    changed = {label_file(image): text[1:] for image, text in lines.items() if image != images[0]}
    file = write_relabelled(tmp_path / "copy", data, "train", images, changed)
    copy = check_det_dataset(str(file))
    assert copy["names"] == data["names"]
    assert images_of(copy, "val") == images_of(data, "val")
    seen = images_of(copy, "train")
    assert [image.resolve() for image in seen] == [image.resolve() for image in images]
    assert [read_lines(label_file(image)) for image in seen] == [lines[images[0]], *changed.values()]
    assert contents(shapes.parent) == before


def test_images_of_one_name_in_several_folders_stay_apart(tmp_path: Path) -> None:
    images, data = two_folders(tmp_path)
    changed = {label_file(image): [f"{number} .5 .5 .1 .1"] for number, image in enumerate(images)}
    write_relabelled(tmp_path / "copy", data, "train", images, changed, **{"note.txt": "said"})
    seen = sorted((tmp_path / "copy" / "images" / "train").rglob("*.png"))
    assert [image.read_text() for image in seen] == ["a", "b"]
    assert [parse(read_lines(label_file(image)))[0].cls for image in seen] == [0, 1]
    assert (tmp_path / "copy" / "note.txt").read_text() == "said"


def two_folders(root: Path) -> tuple[list[Path], dict[str, Any]]:
    """Two images of one name, and their data set."""
    images = [root / part / "images" / "1.png" for part in ("a", "b")]
    for image in images:
        image.parent.mkdir(parents=True)
        image.write_text(image.parts[-3])
    return images, {"train": [str(image.parent) for image in images], "val": "somewhere", "names": {0: "a", 1: "b"}}


def test_images_on_two_drives_stay_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has no path from one to the other."""

    def no_path(paths: list[Path]) -> str:
        raise ValueError("Paths don't have the same drive")

    images, data = two_folders(tmp_path)
    monkeypatch.setattr(os.path, "commonpath", no_path)
    copy = write_relabelled(tmp_path / "copy", data, "train", images, {}).parent
    assert sorted(image.read_text() for image in (copy / "images" / "train").rglob("*.png")) == ["a", "b"]


def test_an_earlier_copy_is_replaced_and_nothing_else(shapes: Path, tmp_path: Path) -> None:
    data = describe(shapes)
    images = images_of(data, "train")
    folder = write_relabelled(tmp_path / "copy", data, "train", images, {}, **{"first.csv": "1"}).parent
    YOLODataset(img_path=str(folder / "images"), data=data, task="detect", augment=False)
    assert list(folder.rglob("*.cache"))  # Ultralytics' own, which is in nobody's way
    write_relabelled(folder, data, "train", images, {}, **{"second.csv": "2"})
    assert not (folder / "first.csv").exists()
    assert (folder / "second.csv").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy"]
    copy = describe(folder / "data.yaml")
    with pytest.raises(ConfigError, match="holds the data set that is read"):
        write_relabelled(folder, copy, "train", images_of(copy, "train"), {})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels/train/000000.txt", "0 .5 .5 .9 .9"),
        ("labels/train/000000.txt", None),
        ("images/train/000000.png", "another"),
        ("images/train/000000.png", None),
        ("data.yaml", "names: [a]"),
        ("runs/best.pt", "weights"),
        ("notes.txt", "mine"),
    ],
)
def test_what_was_changed_in_a_copy_is_never_lost(name: str, content: str | None, shapes: Path, tmp_path: Path) -> None:
    data = describe(shapes)
    images = images_of(data, "train")
    folder = write_relabelled(tmp_path / "copy", data, "train", images, {}).parent
    (file := folder / name).unlink(missing_ok=True)
    if content:
        file.parent.mkdir(exist_ok=True)
        file.write_text(content)
    before = contents(folder)
    with pytest.raises(ConfigError, match=rf"fix={folder}' holds '{name}'.*Take another folder"):
        check_relabelled(folder, "fix")
    with pytest.raises(ConfigError, match=f"holds '{name}'"):
        write_relabelled(folder, data, "train", images, {})
    assert contents(folder) == before


def test_what_file_managers_leave_is_no_change_and_no_name_is_too_odd(shapes: Path, tmp_path: Path) -> None:
    data = describe(shutil.copytree(shapes.parent, tmp_path / "set") / "data.yaml")
    image = images_of(data, "train")[0]
    odd = image.rename(image.with_name(f"two\nlines{image.suffix}"))
    label_file(image).rename(label_file(odd))
    images = [odd, *images_of(data, "train")[1:3]]
    write_relabelled(tmp_path / "copy", data, "train", images, {})
    (tmp_path / "copy" / ".DS_Store").touch()
    (tmp_path / "copy" / "labels" / "Thumbs.db").touch()
    assert write_relabelled(tmp_path / "copy", data, "train", images, {}).is_file()


def test_a_folder_that_is_no_copy_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may hold a whole data set."""
    (tmp_path / "images").mkdir()
    monkeypatch.setattr("yolo_wiou.data.relabelled.inventory", pytest.fail)
    with pytest.raises(ConfigError, match=r"holds 'images'"):
        check_relabelled(tmp_path, "fix")


def test_a_link_to_a_folder_is_followed(shapes: Path, tmp_path: Path) -> None:
    data = describe(shapes)
    images = images_of(data, "train")
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    for _ in range(2):
        write_relabelled(tmp_path / "link", data, "train", images, {})
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "disk" / "data.yaml").is_file()
    copy = describe(tmp_path / "link" / "data.yaml")
    with pytest.raises(ConfigError, match="holds the data set that is read"):
        write_relabelled(tmp_path / "disk", copy, "train", images_of(copy, "train"), {})


def test_a_folder_that_cannot_be_replaced_is_refused_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder := tmp_path / "folder").mkdir()
    with monkeypatch.context() as changes:
        changes.chdir(folder)
        with pytest.raises(ConfigError, match=r"'fix=.' is the folder that you are in.*'fix=/.*folder/copy' say"):
            check_relabelled(Path(), "fix")
    with monkeypatch.context() as changes:
        changes.setattr(os.path, "ismount", lambda path: path == folder)
        with pytest.raises(ConfigError, match=r"'fix=.*folder' is a file system of its own"):
            check_relabelled(folder, "fix")
    with monkeypatch.context() as changes:
        mkdir = os.mkdir

        def not_beside(path: Path) -> None:
            not_permitted(path) if path.parent == tmp_path else mkdir(path)

        changes.setattr(os, "mkdir", not_beside)
        with pytest.raises(
            ConfigError, match=rf"cannot be replaced: nothing can be written in '{re.escape(str(tmp_path))}'"
        ):
            check_relabelled(folder, "fix")
    assert check_relabelled(folder) == folder


def test_an_earlier_copy_comes_back_where_it_cannot_be_replaced(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = describe(shapes)
    images = images_of(data, "train")
    folder = write_relabelled(tmp_path / "copy", data, "train", images, {}).parent
    before, moves = contents(folder), []

    def replace(source: Path, target: Path) -> None:
        moves.append(source)
        if len(moves) == 2:  # the first moves the earlier copy aside
            raise OSError("not now")
        source.rename(target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OSError, match="not now"):
        write_relabelled(folder, data, "train", images, {}, **{"new.csv": ""})
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_a_list_that_repeats_images_is_kept(shapes: Path, tmp_path: Path) -> None:
    described = describe(shapes)
    images = images_of(described, "train")
    (tmp_path / "train.txt").write_text("".join(f"{image}\n" for image in (*images, *images[:3], images[0])))
    data = {**described, "train": str(tmp_path / "train.txt")}
    listed = images_of(data, "train")
    assert len(listed) == len(images) + 4
    copy = describe(write_relabelled(tmp_path / "copy", data, "train", listed, {}))
    assert [image.resolve() for image in images_of(copy, "train")] == listed
    (tmp_path / "copy").rename(tmp_path / "moved")
    assert len(images_of(describe(tmp_path / "moved" / "data.yaml"), "train")) == len(listed)


def test_label_files_that_do_not_change_are_the_same_byte_by_byte(tmp_path: Path) -> None:
    images, data = two_folders(tmp_path)
    for image, content in zip(images, ("0 0.5 0.5 0.1 0.1\r\n".encode("utf-16"), b""), strict=True):
        label_file(image).parent.mkdir()
        label_file(image).write_bytes(content)
    copy = write_relabelled(tmp_path / "copy", data, "train", images, {}).parent
    copies = [label_file(image) for image in sorted((copy / "images").rglob("*.png"))]
    assert [file.read_bytes() for file in copies] == [label_file(image).read_bytes() for image in images]


def test_names_that_are_no_utf_8_are_copied(tmp_path: Path) -> None:
    image = tmp_path / "images" / os.fsdecode(b"caf\xe9.png")
    image.parent.mkdir()
    image.write_text("a")
    data = {"train": str(image.parent), "val": str(image), "names": {0: "a"}}
    for _ in range(2):
        file = write_relabelled(
            tmp_path / "copy",
            data,
            "train",
            [image] * 2,
            {label_file(image): ["0 .5 .5 .1 .1"]},
            **{"a.csv": image.name},
        )
    assert [path.name for path in (file.parent / "labels" / "train").iterdir()] == [image.with_suffix(".txt").name]
    assert yaml.safe_load(file.read_text("utf-8"))["val"] == str(image)
    assert os.fsdecode((file.parent / "a.csv").read_bytes()) == image.name


def test_images_that_share_a_label_file_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    images = [tmp_path / "images" / f"1{ending}" for ending in (".jpg", ".webp")]
    images[0].parent.mkdir()
    for image in images:
        image.write_text("a")
    data = {"train": str(images[0].parent), "val": "somewhere", "names": {0: "a"}}
    write_relabelled(tmp_path / "copy", data, "train", images, {label_file(images[0]): ["0 .5 .5 .1 .1"]})
    assert "1.jpg' and '1.webp' have one label file" in caplog.text
    assert len(list((tmp_path / "copy" / "labels" / "train").iterdir())) == 1


def test_a_copy_is_complete_or_not_there(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(target: Path, place: Path) -> None:
        raise OSError("not here")

    data = describe(shapes)
    images = images_of(data, "train")
    for name in ("symlink", "link"):
        monkeypatch.setattr(os, name, no_links)
    file = write_relabelled(tmp_path / "copied", data, "train", images, {})
    copies = sorted((file.parent / "images" / "train").iterdir())
    assert not any(image.is_symlink() for image in copies)
    assert [copy.read_bytes() for copy in copies] == [image.read_bytes() for image in images]
    monkeypatch.setattr(shutil, "copyfile", no_links)
    with pytest.raises(OSError, match="not here"):
        write_relabelled(tmp_path / "failed", data, "train", images, {})
    assert [path.name for path in tmp_path.iterdir()] == ["copied"]
