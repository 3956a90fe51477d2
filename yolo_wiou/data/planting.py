"""Label errors to order: planted with a seed into a copy of any data set's labels, and written down.

Whoever looks for wrong labels can be judged by what was planted. An error of each kind is one that people make: loose
edges, a box beside its object, another class, an object without label, a label without object, a label that is there
twice.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from yolo_wiou.data.iou import iou
from yolo_wiou.data.noise import Row, decimals
from yolo_wiou.data.relabelled import check_relabelled, places, write_relabelled
from yolo_wiou.data.yolo_format import Label, label_file, lines_of, parse
from yolo_wiou.errors import ConfigError
from yolo_wiou.files import as_text

Share = Annotated[float, Field(ge=0, le=1)]
Edges = NDArray[np.float64]
"""(2, 2) the low and the high corner of a box, x and y as shares of the image."""

PLANTED = "planted.csv"
"""The truth, beside the data.yaml: a row for each error."""
SHIFTED = 0.4, 0.8
"""How far a box moves, in widths and heights of its own."""
REACH = {"loose": (0.2, 0.4), "duplicate": (0.0, 0.05)}
"""How far its edges move, likewise."""
DRAWS = 64
"""How many places are tried for one error that a border, or other labels, may leave no room."""


class PlantConfig(BaseModel):
    """How many errors of each kind, as shares of all labels; no label has two.

    Raises:
        pydantic.ValidationError: (a ValueError) for a share out of its range, or shares that exceed 1 together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    loose: Share = Field(default=0.15, description="every edge moved by 20 to 40 % of the box's side, in or out")
    shifted: Share = Field(default=0.05, description="moved by 40 to 80 % of the box's size, in any direction")
    wrong: Share = Field(default=0.05, description="another class, any of the others")
    dropped: Share = Field(default=0.05, description="no label any more")
    spurious: Share = Field(default=0.03, description="added where there is nothing, as large as some other label")
    duplicate: Share = Field(default=0.02, description="added over a label, every edge moved by up to 5 %")
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _possible(self) -> PlantConfig:
        total = self.loose + self.shifted + self.wrong + self.dropped + self.duplicate
        if total > 1 + 1e-9:
            raise ValueError(f"loose, shifted, wrong, dropped and duplicate must not exceed 1 together, not {total:g}")
        return self


class Planted(NamedTuple):
    """One planted error.

    Attributes:
        image: by what the labels were given.
        line: of the error in its image's new label file, from 1; None of a dropped label.
        kind: loose, shifted, wrong, dropped, spurious or duplicate.
        cls: the true class; None of a spurious label.
        box: the true cx, cy, w, h, of what surrounds an outline; empty of a spurious label.
    """

    image: Any
    line: int | None
    kind: str
    cls: int | None
    box: Row


def plant(
    folder: Path,
    data: Mapping[str, Any],
    images: Sequence[Path],
    split: str = "train",
    config: PlantConfig | None = None,
) -> tuple[Path, list[Planted]]:
    """Write a copy of a split's labels with errors in it, which refers to the same images, and `planted.csv`.

    >>> from yolo_wiou.training.preflight import describe, images_of
    >>> data = describe("my.yaml")  # doctest: +SKIP
    >>> plant(Path("planted"), data, images_of(data, "train"), config=PlantConfig(loose=0.3))  # doctest: +SKIP

    Args:
        folder: to be made, as `write_relabelled` does.
        data: Ultralytics' description of the data set.
        images: those of the split.
        split: train, val or test.
        config: how many errors.

    Returns:
        The copy's data.yaml, and what was planted.

    Raises:
        ConfigError: the folder holds something else, there is no label, or no second class to be wrong with.
    """
    check_relabelled(folder)
    owners = {label_file(image): image for image in reversed(images)}  # of images that share a file, the first
    lines = lines_of(reversed(owners.values()))
    new, planted = plant_errors(lines, len(data["names"]), config or PlantConfig(), data.get("kpt_shape", (0, 0))[1])
    where = {image: place.as_posix() for image, place in places(images, split).items()}
    changed = {label_file(image): text for image, text in new.items() if text != lines[image]}
    return write_relabelled(folder, data, split, images, changed, **{PLANTED: table(planted, where)}), planted


def plant_errors(
    lines: Mapping[Any, Sequence[str]], classes: int, config: PlantConfig, dims: int = 0
) -> tuple[dict[Any, list[str]], list[Planted]]:
    """Plant errors into label files.

    Args:
        lines: the lines of each file, by what stands for its image.
        classes: how many classes there are.
        config: how many errors.
        dims: numbers of a key point, where key points follow the boxes: x, y and perhaps visibility.

    Returns:
        The new lines, likewise, and what was planted.

    Raises:
        ConfigError: there is no label, or no second class to be wrong with.
    """
    labels = [(image, label) for image, text in lines.items() for label in read(image, text, dims)]
    if not labels:
        raise ConfigError("there is no label to plant an error in.")
    if config.wrong and classes < 2:
        raise ConfigError("with one class no label can be of a wrong one: wrong=0.")
    rng = np.random.default_rng(config.seed)
    shares = [(kind, getattr(config, kind)) for kind in ("loose", "shifted", "wrong", "dropped", "duplicate")]
    kinds = [kind for kind, share in shares for _ in range(round(share * len(labels)))]
    chosen = {int(index): kind for index, kind in zip(rng.permutation(len(labels)), kinds, strict=False)}
    new: dict[Any, list[str | None]] = {image: list(text) for image, text in lines.items()}
    errors: list[tuple[Any, int, str, int | None, Row]] = []  # as Planted, with the place in `new`

    for index in sorted(chosen):
        (image, label), kind = labels[index], chosen[index]
        old = edges(label.values, dims)
        if kind == "duplicate":
            new[image].append(None)
        place = len(new[image]) - 1 if kind == "duplicate" else label.line - 1
        cls = int((label.cls + rng.integers(1, classes)) % classes) if kind == "wrong" else label.cls
        values = label.values
        if kind == "shifted":
            values = moved(values, old, shifted(rng, old), dims)
        elif kind in REACH:
            values = resized(values, old, jittered(rng, old, REACH[kind]), dims)
        new[image][place] = None if kind == "dropped" else Label(0, cls, values).text
        errors.append((image, place, kind, label.cls, centred(old)))

    outlined = {image: is_outline(label.values, dims) for image, label in labels}
    is_one_kind = len({*outlined.values()}) == 1  # else nothing is added to an image without labels, which has no kind
    alike = {
        kind: [image for image in lines if outlined.get(image, kind if is_one_kind else None) is kind]
        for kind in (False, True)
    }
    for _ in range(round(config.spurious * len(labels))):
        owner, template = labels[int(rng.integers(len(labels)))]
        old = edges(template.values, dims)
        images = alike[is_outline(template.values, dims)] or [owner]  # no file may have outlines and boxes
        image, box = free_place(rng, old[1] - old[0], images, new, dims)
        new[image].append(Label(0, template.cls, moved(template.values, old, box, dims)).text)
        errors.append((image, len(new[image]) - 1, "spurious", None, []))

    lines_of = {image: np.cumsum([line is not None for line in text]).tolist() for image, text in new.items()}
    planted = [
        Planted(image, None if kind == "dropped" else lines_of[image][place], kind, cls, box)
        for image, place, kind, cls, box in errors
    ]
    return {image: [line for line in text if line is not None] for image, text in new.items()}, planted


def table(planted: Sequence[Planted], names: Mapping[Any, str]) -> str:
    """Return what was planted as CSV, with the images' names."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "line", "kind", "class", "cx", "cy", "w", "h"])
    for error in planted:
        box = decimals(error.box) or [""] * 4
        writer.writerow([as_text(names[error.image]), error.line, error.kind, error.cls, *box])
    return text.getvalue()


def read(image: Any, text: Sequence[str], dims: int) -> list[Label]:
    """Read an image's labels.

    Raises:
        ConfigError: they are none.
    """
    try:
        labels = parse(text)
        for label in labels:
            edges(label.values, dims)
    except ValueError as error:
        raise ConfigError(f"the labels of '{image}' cannot be read: {error}.") from error
    return labels


def is_outline(values: Row, dims: int) -> bool:
    """Return whether a label's values are the x, y of an outline; else they begin with cx, cy, w, h."""
    return not dims and len(values) > 5


def edges(values: Row, dims: int) -> Edges:
    """Return the box of a label, or what surrounds its outline."""
    if is_outline(values, dims):
        points = np.array(values).reshape(-1, 2)
        return np.stack((points.min(axis=0), points.max(axis=0)))
    centre, size = np.array(values[:4]).reshape(2, 2)
    return np.stack((centre - size / 2, centre + size / 2))


def centred(box: Edges) -> Row:
    """Return cx, cy, w, h.

    >>> centred(np.array([[0.0, 0.25], [0.5, 0.75]]))
    [0.25, 0.5, 0.5, 0.5]
    """
    return [*box.mean(axis=0).tolist(), *(box[1] - box[0]).tolist()]


def resized(values: Row, old: Edges, new: Edges, dims: int) -> Row:
    """Return a label's values when its box becomes another one; an outline follows, key points stay."""
    if is_outline(values, dims):
        return moved(values, old, new, dims)
    return [*centred(new), *values[4:]]


def moved(values: Row, old: Edges, new: Edges, dims: int) -> Row:
    """Return a label's values when all of it moves with its box; key points that are not labelled stay 0."""
    points = np.array(values if is_outline(values, dims) else values[4:]).reshape(-1, dims or 2)
    labelled = points[:, :2].any(axis=1) | is_outline(values, dims)
    scale = (new[1] - new[0]) / np.maximum(old[1] - old[0], 1e-9)
    points[labelled, :2] = (new[0] + (points[labelled, :2] - old[0]) * scale).clip(0, 1)
    return [*([] if is_outline(values, dims) else centred(new)), *points.flatten().tolist()]


def jittered(rng: np.random.Generator, box: Edges, reach: tuple[float, float]) -> Edges:
    """Move every edge in or out by a share of the box's side, within the image; until it shows, if it can."""
    best, least = box, 1.0
    for _ in range(DRAWS):
        way = rng.choice((-1, 1), size=(2, 2)) * rng.uniform(*reach, size=(2, 2))
        candidate: Edges = (box + way * (box[1] - box[0])).clip(0, 1)
        overlap = iou(box.ravel(), candidate.ravel()).item()
        if overlap < least:
            best, least = candidate, overlap
        if least < 1 - 1.25 * reach[0]:
            break
    return best


def shifted(rng: np.random.Generator, box: Edges) -> Edges:
    """Move a box by a share of its size, in the first of some directions that keeps most of it in the image."""
    angle = rng.uniform(0, 2 * np.pi, size=DRAWS)
    way = rng.uniform(*SHIFTED, size=(DRAWS, 1)) * np.stack((np.cos(angle), np.sin(angle)), axis=1)
    candidates = (box + (way * (box[1] - box[0]))[:, None]).clip(0, 1)
    inside = (candidates[:, 1] - candidates[:, 0]).prod(axis=1)
    best: Edges = candidates[inside.round(9).argmax()]
    return best


def free_place(
    rng: np.random.Generator,
    size: NDArray[np.float64],
    images: Sequence[Any],
    new: Mapping[Any, Sequence[str | None]],
    dims: int,
) -> tuple[Any, Edges]:
    """Find an image, and a place in it where a box of a size meets no label: the emptiest of some."""
    least = np.inf
    for _ in range(DRAWS):
        image = images[int(rng.integers(len(images)))]
        low = rng.uniform(0, (1 - size).clip(0))
        box = np.stack((low, low + size))
        others = [edges(label.values, dims) for label in parse([line or "" for line in new[image]])]
        overlap = iou(box.ravel(), np.array(others).reshape(-1, 4)).max(initial=0)
        if overlap < least:
            found, least = (image, box), overlap
        if least < 0.05:
            break
    return found
