"""What a checkpoint detects on the images that it is evaluated on, and the ground truth, in COCO's form."""

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from yolo_wiou.compare.coco import (
    TRUTH,
    CocoAnnotation,
    CocoCategory,
    CocoImage,
    Detections,
    Truth,
    ultralytics_file,
    write_detections,
)
from yolo_wiou.compare.run import Run
from yolo_wiou.files import write_json
from yolo_wiou.training.ultralytics_errors import log_only

EVALUATION = ("single_cls", "classes", "split", "conf", "iou", "max_det", "agnostic_nms", "half", "nms")
"""Arguments of a training that its validation heeds."""


def detect(weights: Path, checkpoint: str, run: Run, args: Any, folder: Path) -> None:
    """Validate a checkpoint; keep its detections, Ultralytics' own figures, and the ground truth.

    Args:
        weights: the checkpoint.
        checkpoint: what it is called: last or best.
        run: the run that it belongs to.
        args: the trainer's resolved arguments.
        folder: the run's; gets detections-*.npz, ultralytics-*.json and truth.json.
    """
    from yolo_wiou.training.model import YOLO

    recorder, metrics = record(
        YOLO(str(weights)),
        folder / f"val-{checkpoint}",
        is_limited="max_det" in run.arguments,
        data=run.eval_data or args.data,
        imgsz=args.imgsz,
        batch=args.batch,
        workers=args.workers,
        device=args.device,
        **{key: run.arguments[key] for key in EVALUATION if key in run.arguments},
    )
    labels = recorder.labels()
    is_rotated = args.task == "obb"
    asked = asked_classes(vars(recorder.validator.args))
    table = of_classes(detections(recorder.found, labels, is_rotated), asked)
    write_json(folder / ultralytics_file(checkpoint), metrics.results_dict)
    write_detections(folder, checkpoint, table)
    write_json(folder / TRUTH, truth(labels, recorder.validator.names, is_rotated))


def record(model: Any, folder: Path, is_limited: bool = False, **arguments: Any) -> tuple["DetectionRecorder", Any]:
    """Validate a model; returns what has recorded its detections, and Ultralytics' metrics.

    Args:
        model: ours or Ultralytics'.
        folder: for what Ultralytics writes, which nobody needs: it is gone afterwards.
        is_limited: as `DetectionRecorder` has it.
        **arguments: of Ultralytics' `val`; what it writes and prints is decided here.
    """
    recorder = DetectionRecorder(is_limited)
    model.add_callback("on_val_start", recorder.watch)
    where = {"project": str(folder.parent.resolve()), "name": folder.name, "exist_ok": True}
    quiet = {"save_json": True, "save_txt": False, "plots": False, "verbose": False}
    try:
        with log_only(lambda line: "Results saved to" not in str(line.msg)):
            metrics = model.val(**{**arguments, **where, **quiet})
    finally:
        model.callbacks["on_val_start"].remove(recorder.watch)  # the model may be validated again
        shutil.rmtree(folder, ignore_errors=True)
    return recorder, metrics


class DetectionRecorder:
    """Records what a validator would write to predictions.json, as small as it can be.

    Args:
        is_limited: whether the user says how many detections an image may have. If not, it may have as many as any
            image has objects, where these are more than Ultralytics' 300; its releases of 2026 see to that themselves.

    Attributes:
        validator: the one that is watched.
        found: image file and its detections, as `compact` has them.
        shapes: height and width by image file, as Ultralytics has read it; an image's own data may turn it.
    """

    def __init__(self, is_limited: bool = False) -> None:
        """Nothing seen yet."""
        self.is_limited = is_limited
        self.validator: Any = None
        self.found: list[tuple[str, NDArray[np.float32]]] = []
        self.shapes: dict[str, tuple[int, int]] = {}

    def labels(self) -> list[dict[str, Any]]:
        """Return the labels of the validator's data set, `shape` being what its detections are in."""
        labels = self.validator.dataloader.dataset.labels
        return [{**label, "shape": self.shapes[label["im_file"]]} for label in labels]

    def watch(self, validator: Any) -> None:
        """Listen in on a validator; its own evaluation by COCO's rules, which comes late in 8.4, is not needed."""
        to_json, preprocess = validator.pred_to_json, validator.preprocess

        def prepared(batch: dict[str, Any]) -> Any:
            self.shapes.update(zip(batch["im_file"], batch["ori_shape"], strict=True))
            return preprocess(batch)

        def seen(predictions: Any, image: Any, *rest: Any) -> None:
            to_json(predictions, image, *rest)
            file = image if isinstance(image, str) else image["im_file"]  # a file's name before 8.3.159 or so
            self.found.append((file, compact(validator.jdict, validator.class_map)))
            validator.jdict.clear()  # each row of it takes a kilobyte

        self.validator = validator
        if not self.is_limited:
            objects = (len(label["cls"]) for label in validator.dataloader.dataset.labels)
            validator.args.max_det = max(validator.args.max_det, *objects)
        validator.preprocess, validator.pred_to_json = prepared, seen
        validator.eval_json = lambda stats: stats


def truth(labels: list[dict[str, Any]], names: dict[int, str], is_rotated: bool = False) -> Truth:
    """COCO ground truth of a data set's labels, boxes in pixels.

    Args:
        labels: of Ultralytics' data set: `im_file`, `shape` (height, width), `cls` (n, 1) and `bboxes` (n, 4) xywh in
            shares of the image; of rotated boxes also `segments`, n times (K, 2), their corners.
        names: of the classes.
        is_rotated: whether the boxes are the smallest about the segments, rather than the upright ones.
    """
    images: list[CocoImage] = []
    annotations: list[CocoAnnotation] = []
    for number, label in enumerate(labels):
        height, width = label["shape"]
        images.append({"id": number, "file_name": str(label["im_file"]), "height": height, "width": width})
        for cls, shape in zip(label["cls"].ravel(), label["segments" if is_rotated else "bboxes"], strict=True):
            if is_rotated:
                *bbox, angle = rotated_box(np.asarray(shape, np.float64) * (width, height))
            else:
                x, y, w, h = (np.asarray(shape, np.float64) * (width, height, width, height)).tolist()
                bbox = [x - w / 2, y - h / 2, w, h]
            annotation: CocoAnnotation = {
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": int(cls),
                "bbox": bbox,
                "area": bbox[2] * bbox[3],
                "iscrowd": 0,
            }
            if is_rotated:
                annotation["angle"] = angle
            annotations.append(annotation)
    categories: list[CocoCategory] = [{"id": int(key), "name": str(name)} for key, name in names.items()]
    return {"info": {}, "images": images, "annotations": annotations, "categories": categories}


def rotated_box(corners: NDArray[np.float64]) -> list[float]:
    """Return the smallest box about some points (K, 2): x, y, w, h and angle, as `Truth` has it."""
    middle = corners.mean(0)  # OpenCV computes in float32
    centre, (w, h), degrees = cv2.minAreaRect((corners - middle).astype(np.float32))
    x, y = (middle + centre).tolist()
    return [x - w / 2, y - h / 2, w, h, float(np.radians(degrees))]


def compact(rows: list[dict[str, Any]], class_map: Sequence[int]) -> NDArray[np.float32]:
    """Return rows of COCO's results as a table (D, 6): x, y, w, h, score, class; of rotated boxes the angle too.

    Args:
        rows: of one image, and of one kind.
        class_map: what the rows call each class.
    """
    classes = {name: index for index, name in enumerate(class_map)}
    table = []
    for row in rows:
        x, y, w, h, *angle = rotated_box(np.reshape(row["poly"], (4, 2))) if "poly" in row else row["bbox"]
        table.append((x, y, w, h, row["score"], classes[row["category_id"]], *angle))
    return np.array(table, np.float32)


def detections(
    found: Iterable[tuple[str, NDArray[np.float32]]], labels: list[dict[str, Any]], is_rotated: bool = False
) -> Detections:
    """Return all detections as one table.

    Args:
        found: image file and what was detected there, as `compact` has it, in the order of the images.
        labels: of Ultralytics' data set; an image's number is its place in them. Of one that stands there more than
            once every copy has the detections of its own turn; those of further turns are left out.
        is_rotated: whether the boxes are rotated.
    """
    found = list(found)
    number = {turn: index for index, turn in enumerate(turns(label["im_file"] for label in labels))}
    looks = zip(turns(file for file, _ in found), (table for _, table in found), strict=True)
    tables = [np.insert(table, 0, number[turn], axis=1) for turn, table in looks if len(table) and turn in number]
    return np.concatenate([np.zeros((0, 8 if is_rotated else 7), np.float32), *tables])


def turns(files: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Yield every file, and how often it came before.

    >>> list(turns(["a.jpg", "b.jpg", "a.jpg"]))
    [('a.jpg', 0), ('b.jpg', 0), ('a.jpg', 1)]
    """
    seen: Counter[str] = Counter()
    for file in files:
        yield file, seen[file]
        seen[file] += 1


def asked_classes(settings: Mapping[str, Any]) -> list[int] | None:
    """Return the classes that `classes=` asks for; None for all, and where all count as one.

    Ultralytics leaves out the labels of the others, but not what is detected of them.

    >>> asked_classes({"classes": 2, "single_cls": False})
    [2]
    """
    classes = settings.get("classes")
    return None if classes is None or settings.get("single_cls") else np.ravel(classes).astype(int).tolist()


def of_classes(table: Detections, classes: Sequence[int] | None) -> Detections:
    """Return the detections of some classes, or of all."""
    return table if classes is None else table[np.isin(table[:, 6], classes)]
