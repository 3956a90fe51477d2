"""A data set's images with other labels: a copy of the labels that refers to the same images.

YOLO finds an image's labels by the image's path, so the copy has an `images` folder of its own, full of links.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from yolo_wiou.data.yolo_format import label_file
from yolo_wiou.errors import ConfigError
from yolo_wiou.files import DRAFT, check_folder

MARK = "# The images of another data set, with labels of their own. Written by yolo-wiou, which may write it again."
"""First line of the data.yaml that we write: only a folder that has it is replaced."""
DESCRIBED = ("path", "yaml_file", "download", "train", "val", "test", "minival")
"""Keys of a data.yaml that say where things are."""


def check_relabelled(folder: Path, option: str = "out") -> None:
    """See that a relabelled copy may be written here: nothing is there, or a copy that we wrote before.

    Raises:
        ConfigError: something else lies there, or nothing may be written.
    """
    check_folder(folder, f"{option}={folder}")
    if folder.is_dir() and any(folder.iterdir()) and not is_relabelled(folder):
        raise ConfigError(
            f"'{option}={folder}' holds something else already, which stays as it is: take another folder."
        )


def is_relabelled(folder: Path) -> bool:
    """Return whether `write_relabelled` wrote a folder."""
    file = folder / "data.yaml"
    return file.is_file() and file.read_bytes().startswith(MARK.encode())


def write_relabelled(
    folder: Path, data: Mapping[str, Any], split: str, labels: Mapping[Path, Sequence[str]], **files: str
) -> Path:
    """Write a copy of one split's labels, changed, which refers to the same images; other splits stay where they are.

    It holds `images/SPLIT`, links to the images (copies where a file system has no links), `labels/SPLIT`, and a
    data.yaml. It stands complete or not at all, and takes the place of one that was written here before.

    Args:
        folder: to be made.
        data: Ultralytics' description of the data set, with full paths (`check_det_dataset`).
        split: whose labels these are.
        labels: the lines of each image's label file, by the image's path; all images of the split. No lines, no file.
        **files: what to put beside them, content by name: `**{"planted.csv": text}`.

    Returns:
        The data.yaml.

    Raises:
        ConfigError: as `check_relabelled`; or the images themselves lie in the folder.
    """
    check_relabelled(folder)
    images = [Path(os.path.abspath(image)) for image in labels]
    if any(image.is_relative_to(folder.absolute()) for image in images):
        raise ConfigError(f"'{folder}' holds the data set that is read: take another folder.")
    draft = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}{DRAFT}")
    try:
        for (image, where), lines in zip(places(images, split).items(), labels.values(), strict=True):
            place = draft / where
            place.parent.mkdir(parents=True, exist_ok=True)
            link(place, image)
            if lines:
                file = label_file(place)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        for name, content in files.items():
            (draft / name).write_text(content, encoding="utf-8")
        (draft / "data.yaml").write_text(f"{MARK}\n{describe(data, split)}", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(draft, folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return folder / "data.yaml"


def places(images: Sequence[Path], split: str) -> dict[Path, Path]:
    """Return where a copy has each image, below its folder; images of one name in several folders stay apart."""
    full = [Path(os.path.abspath(image)) for image in images]
    root = os.path.commonpath([image.parent for image in full])
    return {image: Path("images", split, path.relative_to(root)) for image, path in zip(images, full, strict=True)}


def describe(data: Mapping[str, Any], split: str) -> str:
    """Return the data.yaml: the other splits by their full paths, and what the data set says beside them."""
    splits = {key: data[key] for key in ("train", "val", "test") if data.get(key) is not None}
    where = {key: splits[key] if isinstance(splits[key], list) else str(splits[key]) for key in splits}
    rest = {key: value for key, value in data.items() if key not in DESCRIBED}
    return yaml.safe_dump({**where, split: f"images/{split}", **rest}, sort_keys=False, allow_unicode=True)


def link(place: Path, image: Path) -> None:
    """Make an image be found at another place too: a link, or a copy where none can be made (Windows, FAT)."""
    target = image.resolve()
    for make in (os.symlink, os.link, shutil.copyfile):
        try:
            make(target, place)
        except (OSError, NotImplementedError):
            if make is shutil.copyfile:
                raise
        else:
            return
