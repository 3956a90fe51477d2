"""One training of a study: what it is, where it lies, and the process that does it.

    python -m yolo_wiou.studies.compare.run FOLDER

FOLDER holds run.json; the process trains, detects with its checkpoints, and writes result.json
last of all, in one piece. A run with a result.json is finished; without one it counts for nothing and starts anew.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.ExifTags import Base
from pydantic import BaseModel, ConfigDict

EXIF_ORIENTATION = Base.Orientation.value
RUN, RESULT, TRUTH = "run.json", "result.json", "truth.json"


class Run(BaseModel):
    """One training.

    Attributes:
        data: what the study calls the data set.
        loss: what the study calls the loss.
        seed: the seed.
        spec: the loss itself, as `loss=` takes it.
        arguments: everything else that `train` takes.
        judge: a data YAML whose `val` judges instead of the training's own.
        checkpoints: which ones are judged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str
    loss: str
    seed: int
    spec: str | dict[str, Any]
    arguments: dict[str, Any]
    judge: str | None = None
    checkpoints: tuple[str, ...] = ("last", "best")

    def folder(self, study: Path) -> Path:
        """Return where this run lies in a study's folder."""
        return study / "runs" / self.data / self.loss.replace(" ", "_") / f"seed{self.seed}"

    def is_finished(self, study: Path) -> bool:
        """Whether its result is there."""
        return (self.folder(study) / RESULT).is_file()


def prepare(run: Run, study: Path) -> Path:
    """Make the folder of a run, empty but for run.json; returns it."""
    folder = run.folder(study)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_json(folder / RUN, run.model_dump(mode="json"))
    return folder


def write_json(file: Path, data: Any) -> None:
    """Write in one piece: a reader sees the old file or the new one."""
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    scratch.write_text(json.dumps(data, indent=1), encoding="utf-8")
    scratch.replace(file)


def main(folder: Path) -> None:
    """Train, detect, write the result."""
    from yolo_wiou.training.model import YOLO

    run = Run.model_validate_json((folder / RUN).read_text(encoding="utf-8"))
    arguments = {"plots": False, **run.arguments, "seed": run.seed}
    arguments |= {"project": str(folder.resolve()), "name": "train", "exist_ok": True}
    model = YOLO(arguments.pop("model"))
    stream = Stream()
    model.add_callback("on_train_start", stream.watch)
    model.add_callback("on_train_epoch_end", stream.end_epoch)
    start = time.monotonic()
    model.train(loss=run.spec, **arguments)
    seconds = time.monotonic() - start
    trainer = model.trainer
    for checkpoint in run.checkpoints:
        detect(getattr(trainer, checkpoint), checkpoint, run, trainer.args, folder)
    groups = trainer.optimizer.param_groups
    write_json(
        folder / RESULT,
        {
            "seconds": seconds,
            "epochs": trainer.epoch + 1,
            "stream": stream.epochs,
            "optimizer": {
                "name": type(trainer.optimizer).__name__,
                "lr": max(group["initial_lr"] for group in groups),
                "momentum": groups[0].get("momentum", (groups[0].get("betas") or [None])[0]),
            },
        },
    )


class Stream:
    """A checksum of every epoch's training batches: equal for equal data in equal order.

    Attributes:
        epochs: the checksum after each epoch, all batches so far.
    """

    def __init__(self) -> None:
        """Nothing seen yet."""
        self.crc, self.epochs = 0, []  # type: int, list[int]

    def watch(self, trainer: Any) -> None:
        """Read every batch that a trainer gets, before it is augmented on the device."""
        preprocess = trainer.preprocess_batch

        def seen(batch: dict[str, Any]) -> Any:
            for key in ("img", "bboxes", "cls"):
                self.crc = zlib.crc32(np.ascontiguousarray(batch[key].cpu().numpy()), self.crc)
            return preprocess(batch)

        trainer.preprocess_batch = seen

    def end_epoch(self, trainer: Any) -> None:
        """Keep the checksum."""
        self.epochs.append(self.crc)


def detect(weights: Path, checkpoint: str, run: Run, args: Any, folder: Path) -> None:
    """Validate a checkpoint; keep its detections, Ultralytics' own figures, and the ground truth in COCO's form."""
    from yolo_wiou.training.model import YOLO

    model = YOLO(str(weights))
    kept: dict[str, Any] = {}

    def keep(validator: Any) -> None:
        labels = validator.dataloader.dataset.labels
        kept["truth"] = truth(labels, validator.names)
        kept["detections"] = detections(validator.jdict, labels, list(validator.class_map))

    model.add_callback("on_val_end", keep)
    metrics = model.val(
        data=run.judge or args.data,
        imgsz=args.imgsz,
        batch=args.batch,
        workers=args.workers,
        device=args.device,
        single_cls=args.single_cls,
        save_json=True,
        plots=False,
        verbose=False,
        project=str(folder.resolve()),
        name=f"val-{checkpoint}",
        exist_ok=True,
    )
    shutil.rmtree(folder / f"val-{checkpoint}", ignore_errors=True)
    write_json(folder / f"ultralytics-{checkpoint}.json", metrics.results_dict)
    np.savez_compressed(folder / f"detections-{checkpoint}.npz", detections=kept["detections"])
    write_json(folder / TRUTH, kept["truth"])


def truth(labels: list[dict[str, Any]], names: dict[int, str]) -> dict[str, Any]:
    """COCO ground truth of a data set's labels: boxes in pixels, and corners where boxes are rotated.

    Args:
        labels: of Ultralytics' data set: `im_file`, `cls` (n, 1) and `bboxes` (n, 4) xywh in shares of the image.
        names: of the classes.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, label in enumerate(labels):
        width, height = image_size(label["im_file"])
        images.append({"id": number, "file_name": str(label["im_file"]), "height": height, "width": width})
        for cls, box in zip(label["cls"].ravel(), label["bboxes"], strict=True):
            x, y, w, h = (np.asarray(box, np.float64) * (width, height, width, height)).tolist()
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": int(cls),
                    "bbox": [x - w / 2, y - h / 2, w, h],
                    "area": w * h,
                    "iscrowd": 0,
                }
            )
    categories = [{"id": int(key), "name": str(name)} for key, name in names.items()]
    return {"info": {}, "images": images, "annotations": annotations, "categories": categories}


def image_size(file: str) -> tuple[int, int]:
    """Return width and height of an image as it is shown, which its EXIF data may turn."""
    with Image.open(file) as image:
        is_turned = image.getexif().get(EXIF_ORIENTATION) in {5, 6, 7, 8}
        return (image.height, image.width) if is_turned else image.size


def detections(rows: list[dict[str, Any]], labels: list[dict[str, Any]], class_map: list[int]) -> Any:
    """The validator's detections, (D, 7) float32: image, x, y, w, h in pixels (corner and size), score, class.

    Raises:
        ValueError: two images have one file name, by which Ultralytics tells them apart.
    """
    number = {_key(label["im_file"]): index for index, label in enumerate(labels)}
    if len(number) < len(labels):
        raise ValueError("images of the validation set in different folders have the same file name; rename them.")
    classes = {name: index for index, name in enumerate(class_map)}
    table = [(number[str(row["image_id"])], *row["bbox"], row["score"], classes[row["category_id"]]) for row in rows]
    return np.array(table, np.float32).reshape(-1, 7)


def _key(file: str) -> str:
    """The image id that Ultralytics gives to a file: its stem, as a number where it is one."""
    stem = Path(file).stem
    return str(int(stem)) if stem.isnumeric() else stem


if __name__ == "__main__":
    main(Path(sys.argv[1]))
