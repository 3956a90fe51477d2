"""A data set's images with other labels: a copy of the labels that refers to the same images.

YOLO finds an image's labels by the image's path, so the copy has an `images` folder of its own, full of links.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from yolo_wiou.data.yolo_format import label_file
from yolo_wiou.errors import ConfigError
from yolo_wiou.files import DRAFT, check_folder, from_common_folder, why_not_writable

LOG = logging.getLogger(__name__)
HEAD = "# The images of another data set, with labels of their own. Written by yolo-wiou."
"""First line of the data.yaml that we write."""
MANIFEST = ".yolo-wiou-written"
"""What we wrote into a folder: only a folder that is still like that is replaced."""
DESCRIBED = ("path", "yaml_file", "download", "train", "val", "test", "minival")
"""Keys of a data.yaml that say where things are."""
IGNORED = {MANIFEST, ".DS_Store", "Thumbs.db", "desktop.ini"}
"""What is no part of a copy: our own list of it, and what file managers leave."""
TEXTS, CACHES = (".csv", ".txt", ".yaml"), (".cache", ".npy")
"""Endings of what may be edited by hand, and of what Ultralytics leaves beside labels and images."""


def check_relabelled(folder: Path, option: str = "") -> Path:
    """See that a relabelled copy may be written here: nothing is there, or a copy just as we wrote it before.

    Args:
        folder: where.
        option: of the user that names it: `fix` or `out`.

    Returns:
        The folder itself, where the path is a link.

    Raises:
        ConfigError: something else lies there, a copy was changed since, or nothing may be written.
    """
    given = f"{option}=" if option else ""
    name = f"{given}{folder}"
    check_folder(folder, name)
    folder = folder.resolve()
    if not folder.is_dir():
        return folder
    other = f"Take another folder, '{given}{folder / 'copy'}' say."
    if os.path.ismount(folder) or Path.cwd().is_relative_to(folder):
        kind = "a file system of its own" if os.path.ismount(folder) else "the folder that you are in"
        raise ConfigError(f"'{name}' is {kind}, which no new folder can take the place of. {other}")
    if why := why_not_writable(folder.parent):
        raise ConfigError(f"'{name}' cannot be replaced: {why}. {other}")
    if strange := strangers(folder):
        raise ConfigError(
            f"'{name}' holds '{strange[0]}', which is not of an earlier copy or was changed since, and stays as it is. "
            "Take another folder."
        )
    return folder


def strangers(folder: Path) -> list[str]:
    """Return the files of a folder that are not, or no longer, as `write_relabelled` wrote them."""
    file = folder / MANIFEST
    if not file.is_file():  # not ours, however large: nothing of it is read
        return sorted(path.name for path in folder.iterdir() if path.name not in IGNORED)
    written = file.read_text("utf-8", "surrogateescape").split("\n")[:-1]
    return sorted(line.partition(" ")[2] for line in {*written} ^ {*inventory(folder)})


def inventory(folder: Path) -> list[str]:
    """Return a line for each file of a copy: a checksum, of an image its size alone, and its path."""
    lines = []
    for path in sorted(folder.rglob("*")):
        is_file = path.is_symlink() or not path.is_dir()
        if is_file and path.suffix not in CACHES and path.name not in IGNORED:
            is_text = path.suffix in TEXTS and not path.is_symlink()
            mark = f"{zlib.crc32(path.read_bytes()):08x}" if is_text else path.lstat().st_size
            lines.append(f"{mark} {'?'.join(path.relative_to(folder).as_posix().splitlines())}")
    return lines


def write_relabelled(
    folder: Path,
    data: Mapping[str, Any],
    split: str,
    images: Sequence[Path],
    changed: Mapping[Path, Sequence[str]],
    **files: str,
) -> Path:
    """Write a copy of one split's labels, changed, which refers to the same images; other splits stay where they are.

    It holds `images/SPLIT`, links to the images (copies where a file system has no links), `labels/SPLIT`, and a
    data.yaml; of images that are listed several times a list too. It stands complete or not at all, and takes the
    place of one that was written here before.

    Args:
        folder: to be made.
        data: Ultralytics' description of the data set, with full paths (`check_det_dataset`).
        split: whose labels these are.
        images: all images of the split, as often as it lists them.
        changed: the lines of label files that change, by their path; no lines, no file. Others are copied as they are.
        **files: what to put beside them, content by name: `**{"planted.csv": text}`.

    Returns:
        The data.yaml.

    Raises:
        ConfigError: as `check_relabelled`; or the images themselves lie in the folder.
    """
    place = check_relabelled(folder)
    if any(above.resolve().is_relative_to(place) for above in {image.parent for image in images}):
        raise ConfigError(f"'{folder}' holds the data set that is read: take another folder.")
    copies = places(images, split)
    warn_of_shared(list(copies))
    texts = {**files, "data.yaml": f"{HEAD}\n{describe(data, split)}"}
    if len(copies) < len(images):
        texts |= {
            f"{split}.txt": "".join(f"./{copies[image].as_posix()}\n" for image in images),
            "data.yaml": f"{HEAD}\n{describe(data, split, f'{split}.txt')}",
        }
    draft = beside(place)
    try:
        for image, copy in copies.items():
            link(made(draft / copy), image)
            copy_labels(label_file(draft / copy), label_file(image), changed)
        for name, content in texts.items():
            write_text(draft / name, content)
        write_text(draft / MANIFEST, "".join(f"{line}\n" for line in inventory(draft)))
        put_in_place(draft, place)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return folder / "data.yaml"


def copy_labels(copy: Path, file: Path, changed: Mapping[Path, Sequence[str]]) -> None:
    """Write the copy of a label file, with the lines that it is to have, or byte by byte."""
    if file in changed:
        lines = "".join(f"{line}\n" for line in changed[file])
        if lines:
            write_text(made(copy), lines)
    elif file.is_file():
        shutil.copyfile(file, made(copy))


def places(images: Sequence[Path], split: str) -> dict[Path, Path]:
    """Return where a copy has each image, below its folder; images of one name in several folders stay apart."""
    return {image: Path("images", split, path) for image, path in zip(images, from_common_folder(images), strict=True)}


def describe(data: Mapping[str, Any], split: str, where: str = "") -> str:
    """Return the data.yaml: the other splits by their full paths, and what the data set says beside them."""
    splits = {key: data[key] for key in ("train", "val", "test") if data.get(key) is not None}
    full = {key: splits[key] if isinstance(splits[key], list) else str(splits[key]) for key in splits}
    rest = {key: value for key, value in data.items() if key not in DESCRIBED}
    return yaml.safe_dump({**full, split: where or f"images/{split}", **rest}, sort_keys=False, allow_unicode=True)


def warn_of_shared(images: Sequence[Path]) -> None:
    """Say which images have one label file, since they differ in their endings alone."""
    first: dict[Path, Path] = {}
    shared = [(one, image) for image in images if (one := first.setdefault(label_file(image), image)) != image]
    if shared:
        one, image = shared[0]
        LOG.warning(
            f"yolo-wiou: '{one}' and '{image.name}' have one label file: what is changed for one of them is changed "
            f"for both. Images like the second: {len(shared)}."
        )


def made(file: Path) -> Path:
    """Return the path of a file, whose folder is there from now on."""
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def write_text(file: Path, text: str) -> None:
    """Write a text as it is, also with names of files that are no UTF-8."""
    file.write_bytes(text.encode("utf-8", "surrogateescape"))


def beside(folder: Path) -> Path:
    """Return a path beside a folder that nobody can guess."""
    return folder.with_name(f".{folder.name}.{secrets.token_hex(8)}{DRAFT}")


def put_in_place(draft: Path, folder: Path) -> None:
    """Let a draft take the place of a folder; what was there is moved aside first, and back if that fails."""
    if not folder.exists():
        os.replace(draft, folder)
        return
    os.replace(folder, aside := beside(folder))
    try:
        os.replace(draft, folder)
    except BaseException:
        os.replace(aside, folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


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
