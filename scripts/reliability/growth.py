"""What grows: the memory of a report with many classes, memory and open files over many epochs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from helpers.synthetic import write_study
from runs import Command, Row, render, training
from scipy.stats import theilslopes

from yolo_wiou.compare.study import Study
from yolo_wiou.files import write_json

CLASSES, IMAGES, OBJECTS, DETECTIONS = 1_000, 5_000, 7, 30
BOUND = 500
"""MB that the report may take beyond that of a single image, which is nearly all of it the imports."""
MORE = 10
"""kB an epoch that are no finding: two runs of stock differ by 3."""
EPOCHS, SETTLED = 200, 50
"""Epochs of a run, and how many of them it takes until everything is imported and allocated."""


def thousand_classes(folder: Path) -> Iterator[Row]:
    """The report of a study of four finished runs on a large data set."""
    study = Study(
        losses={"ciou": "ciou", "wiou3": "wiou3"}, data={"shapes": "shapes.yaml"}, seeds=(0, 1), arguments={"epochs": 8}
    )
    write_study(folder, {"ciou": 0.0, "wiou3": -0.05}, seeds=2, images=1)
    study.save(folder)
    small = Command([str(folder)], folder / "log", "", "publish").wait()
    enlarge(folder, np.random.default_rng(0))
    ended = Command([str(folder)], folder / "log", "", "publish").wait()
    more = ended.megabytes - small.megabytes
    lost = [end.message for end in (small, ended) if end.code] + [f"{more:.0f} MB"] * (more > BOUND)
    lost += ["no report"] * (not (folder / "report.html").exists())
    yield Row(
        f"the report of 2 losses × 2 seeds on {IMAGES:,} images with {CLASSES:,} classes, {OBJECTS} objects and "
        f"{DETECTIONS} detections an image",
        f"{more:.0f} MB more at its peak than the report of a single image, {ended.seconds:.0f} s",
        "; ".join(lost),
    )


def enlarge(folder: Path, rng: np.random.Generator) -> None:
    """Put a large data set, and detections on it, in the place of a study's small ones."""
    places = sorted((folder / "runs").glob("*/*/*"))
    picture = json.loads((places[0] / "truth.json").read_text())["images"][0]
    image = np.repeat(np.arange(IMAGES), OBJECTS)
    corner, size = rng.uniform(0, 80, (len(image), 2)), rng.uniform(10, 40, (len(image), 2))
    category = rng.integers(CLASSES, size=len(image))
    boxes = np.concatenate((corner, size), 1)
    annotations = [
        {"id": i + 1, "image_id": int(image[i]), "category_id": int(category[i]), "bbox": boxes[i].tolist()}
        | {"area": float(size[i].prod()), "iscrowd": 0}
        for i in range(len(image))
    ]
    truth: dict[str, Any] = {
        "info": {},
        "images": [{**picture, "id": i} for i in range(IMAGES)],
        "annotations": annotations,
        "categories": [{"id": i, "name": f"class {i}"} for i in range(CLASSES)],
    }
    for place in places:
        write_json(place / "truth.json", truth)
        for checkpoint in ("last", "best"):
            table = detect(rng, image, boxes, category)
            np.savez_compressed(place / f"detections-{checkpoint}.npz", detections=table)


def detect(rng: np.random.Generator, image: Any, boxes: Any, category: Any) -> Any:
    """Every object, its box a little moved, and false ones of all classes: (D, 7), as the package writes them."""
    false = IMAGES * (DETECTIONS - OBJECTS)
    moved = boxes + rng.normal(0, 2, boxes.shape)
    true = np.column_stack((image, moved, rng.uniform(0.3, 1, len(image)), category))
    some = np.column_stack((rng.uniform(0, 80, (false, 2)), rng.uniform(10, 40, (false, 2))))
    images, scores, classes = (
        rng.integers(IMAGES, size=false),
        rng.uniform(0, 0.4, false),
        rng.integers(CLASSES, size=false),
    )
    return np.concatenate((true, np.column_stack((images, some, scores, classes)))).astype(np.float32)


def two_hundred_epochs(folder: Path) -> Iterator[Row]:
    """Resident memory and open descriptors after every epoch, of stock and of ours."""
    data, slopes = render(folder / "data"), {}
    for name, command in {"stock": "yolo", "wiou3": "yolo-wiou"}.items():
        argv = training(folder / name, data, EPOCHS)
        argv = [word for word in argv if command != "yolo" or not word.startswith("loss=")]
        file = folder / f"{name}.jsonl"
        ended = Command(argv, folder / f"{name}.log", f"watch={file}", command).wait(1200)
        seen = [json.loads(line) for line in file.read_text().splitlines()][SETTLED:]
        rss, descriptors = ([line[key] for line in seen] for key in ("rss", "descriptors"))
        slope, _, low, high = (float(value) / 1024 for value in theilslopes(rss, [line["epoch"] for line in seen]))
        slopes[name] = low, high
        lost = [ended.message] * bool(ended.code) + ["descriptors"] * (descriptors[-1] > descriptors[0])
        if name != "stock" and low > slopes["stock"][1] + MORE:
            lost.append("it grows faster than stock")
        yield Row(
            f"{EPOCHS} epochs, {name}: from epoch {SETTLED + 1} on",
            f"{slope:+.1f} kB an epoch ({low:+.1f} to {high:+.1f}), {rss[-1] / 2**20:.0f} MB in the end; open "
            f"descriptors {min(descriptors)} to {max(descriptors)}",
            "; ".join(lost) if name != "stock" else "",
        )
