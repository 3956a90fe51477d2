"""What a run detects and what it is evaluated on, in COCO's form: the files, and what is in them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter
from typing_extensions import NotRequired, TypedDict  # pydantic takes no other before Python 3.12

TRUTH = "truth.json"

Detections: TypeAlias = NDArray[np.float32]
"""(D, 7): image, x, y, w, h in pixels (corner and size), score, class; of rotated boxes (D, 8), with the angle."""


class CocoImage(TypedDict):
    """An image, its size in pixels."""

    id: int
    file_name: str
    height: int
    width: int


class CocoAnnotation(TypedDict):
    """An object; `bbox` in pixels: corner, width and height.

    A rotated box has an `angle` in radians, by which its `bbox` is turned about its centre, from x towards y.
    """

    id: int
    image_id: int
    category_id: int
    bbox: Annotated[list[float], Field(min_length=4, max_length=4)]
    area: float
    iscrowd: int
    angle: NotRequired[float]


class CocoCategory(TypedDict):
    """A class."""

    id: int
    name: str


class Truth(TypedDict):
    """Ground truth in COCO's form."""

    info: dict[str, Any]
    images: list[CocoImage]
    annotations: list[CocoAnnotation]
    categories: list[CocoCategory]


def read_truth(folder: Path) -> Truth:
    """Read the ground truth of the run in a folder.

    Raises:
        OSError: there is none.
        ValueError: it is damaged.
    """
    return TypeAdapter(Truth).validate_json((folder / TRUTH).read_bytes())


def detections_file(checkpoint: str) -> str:
    """Return what the file is called that holds what a checkpoint detects."""
    return f"detections-{checkpoint}.npz"


def ultralytics_file(checkpoint: str) -> str:
    """Return what the file is called that holds what Ultralytics' own validation says of a checkpoint."""
    return f"ultralytics-{checkpoint}.json"


def write_detections(folder: Path, checkpoint: str, rows: Detections) -> None:
    """Write what a checkpoint detects."""
    np.savez_compressed(folder / detections_file(checkpoint), detections=rows)


def read_detections(folder: Path, checkpoint: str) -> Detections:
    """Read what a checkpoint of the run in a folder detects."""
    with np.load(folder / detections_file(checkpoint)) as file:
        rows = np.asarray(file["detections"], np.float32)
    return rows.reshape(-1, 8 if rows.shape[-1] == 8 else 7)


def class_names(categories: Iterable[CocoCategory]) -> dict[int, str]:
    """Name classes by their ids; where two have one name, with the id before every name.

    >>> class_names([{"id": 0, "name": "cell"}, {"id": 1, "name": "cell"}])
    {0: '0: cell', 1: '1: cell'}
    """
    names = {category["id"]: category["name"] for category in categories}
    is_clear = len(set(names.values())) == len(names)
    return names if is_clear else {key: f"{key}: {name}" for key, name in names.items()}
