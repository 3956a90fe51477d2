"""A finished study without a training: images, ground truth, and detections whose quality is given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from yolo_wiou.compare.run import Run
from yolo_wiou.files import write_json

SIZE = (160, 120)
CLASSES = ("disc", "box")
EPOCHS = 8


def write_study(
    folder: Path,
    effects: dict[str, float],
    seeds: int = 6,
    images: int = 12,
    data: str = "shapes",
    noise: float = 0.005,
) -> Path:
    """Write every run of a study.

    Args:
        folder: of the study.
        effects: by loss, how much looser its boxes are than the baseline's; the first is the baseline.
        seeds: how many.
        images: how many.
        data: name of the data set.
        noise: standard deviation of the looseness between runs.
    """
    rng = np.random.default_rng(0)
    truth = ground_truth(folder / "images" / data, images, rng)
    for seed in range(seeds):
        for loss, effect in effects.items():
            arguments = {"data": f"{data}.yaml", "epochs": EPOCHS}
            run = Run(data=data, loss=loss, seed=seed, spec="wiou3", arguments=arguments)
            looseness = max(0.01, 0.12 + effect + noise * rng.normal())
            place = run.folder(folder)
            place.mkdir(parents=True)
            run.save(place)
            _write_run(place, truth, looseness, seed, rng)
    return folder


def ground_truth(folder: Path | None, images: int, rng: np.random.Generator) -> dict[str, Any]:
    """Ground truth in COCO's form; with a folder also the pictures."""
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for i in range(images):
        picture = Image.new("RGB", SIZE, tuple(rng.integers(90, 140, 3).tolist()))
        for _ in range(rng.integers(1, 6)):
            w, h = rng.uniform(16, 50, 2).tolist()
            x, y = rng.uniform(0, SIZE[0] - w), rng.uniform(0, SIZE[1] - h)
            category = int(rng.integers(len(CLASSES)))
            draw = ImageDraw.Draw(picture)
            (draw.ellipse, draw.rectangle)[category]([x, y, x + w, y + h], fill=tuple(rng.integers(0, 255, 3).tolist()))
            box = {"id": len(annotations) + 1, "image_id": i, "category_id": category, "bbox": [x, y, w, h]}
            annotations.append({**box, "area": w * h, "iscrowd": 0})
        file = (folder or Path("nowhere")) / f"{i:03}.png"
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
            picture.save(file)
        entries.append({"id": i, "file_name": str(file), "width": SIZE[0], "height": SIZE[1]})
    categories = [{"id": i, "name": name} for i, name in enumerate(CLASSES)]
    return {"info": {}, "images": entries, "annotations": annotations, "categories": categories}


def detect(truth: dict[str, Any], looseness: float, rng: np.random.Generator) -> Any:
    """Detections, (D, 7): every object once with a moved box, some twice, and false ones with low scores."""
    rows = []
    for annotation in truth["annotations"]:
        x, y, w, h = annotation["bbox"]
        for score in (rng.uniform(0.3, 0.99), rng.uniform(0.01, 0.3))[: rng.integers(1, 3)]:
            dx, dy, dw, dh = looseness * rng.normal(size=4)
            box = (x + dx * w, y + dy * h, w * np.exp(dw), h * np.exp(dh))
            rows.append((annotation["image_id"], *box, score, annotation["category_id"]))
    for image in truth["images"]:
        for _ in range(rng.integers(0, 4)):
            w, h = rng.uniform(10, 50, 2)
            box = (rng.uniform(0, SIZE[0] - w), rng.uniform(0, SIZE[1] - h), w, h)
            rows.append((image["id"], *box, rng.uniform(0.01, 0.5), rng.integers(len(CLASSES))))
    return np.array(rows, np.float32)


def _write_run(folder: Path, truth: dict[str, Any], looseness: float, seed: int, rng: np.random.Generator) -> None:
    write_json(folder / "truth.json", truth)
    for checkpoint in ("last", "best"):
        np.savez_compressed(folder / f"detections-{checkpoint}.npz", detections=detect(truth, looseness, rng))
    (folder / "train").mkdir()
    lines = ["epoch,time,metrics/mAP50-95(B),wiou/iou,wiou/running_mean,wiou/gain"]
    for epoch in range(1, EPOCHS + 1):
        rise = 1 - np.exp(-epoch / 2.5)
        ap = rise * (0.8 - 2 * looseness) + 0.01 * rng.normal()
        lines.append(f"{epoch},{epoch},{ap:.5f},{0.3 + 0.5 * rise:.5f},0.3,1")
    (folder / "train" / "results.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    optimizer = {"name": "AdamW", "lr": 0.005, "momentum": 0.9}
    result = {"seconds": 60.0 + seed, "epochs": EPOCHS, "stream": [1000 * seed + i for i in range(EPOCHS)]}
    result["device"] = "cpu"
    (folder / "result.json").write_text(json.dumps({**result, "optimizer": optimizer}), encoding="utf-8")
