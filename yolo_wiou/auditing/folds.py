"""Labels judged by models that have not seen them: of N parts of a split, each by what the others have taught."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import yaml

from yolo_wiou.auditing.audit import CONFIDENCE, THRESHOLD, conclude
from yolo_wiou.auditing.evidence import Seen
from yolo_wiou.auditing.labels import collect
from yolo_wiou.auditing.report import Report
from yolo_wiou.compare.coco import Detections, read_detections
from yolo_wiou.compare.plan import Plan
from yolo_wiou.compare.rotated import corners_of
from yolo_wiou.compare.run import Record, Run, Spec
from yolo_wiou.compare.run_study import train_all
from yolo_wiou.compare.runner import Runner
from yolo_wiou.data.relabelled import DESCRIBED
from yolo_wiou.data.yolo_format import lines_of
from yolo_wiou.errors import ConfigError
from yolo_wiou.files import read_mapping, write_whole
from yolo_wiou.training.preflight import describe, images_of

FOLDER, SPLIT = "folds", "train"


class Folds(Plan):
    """Trainings on all but one part of the training images, as their folder remembers them.

    Example:
        >>> folds = Folds.plan("my.yaml", 3, "ciou", {"model": "yolo11n.pt", "epochs": 50})  # doctest: +SKIP
        >>> with folds.claim(folder):  # doctest: +SKIP
        ...     failed = folds.train(folder, LocalJob, jobs=1)
        >>> report = folds.report(folder)  # doctest: +SKIP

    Attributes:
        data: the data set's YAML file.
        count: how many parts.
        images: checksum of the images and of which part they are in.
        loss: the loss, as `loss=` takes it.
        seed: of every training.
        arguments: what else `train` gets, the model that each starts from among it.
    """

    kind: ClassVar[str] = "audit out of fold"
    command: ClassVar[str] = "audit"

    data: str
    count: int
    images: str
    loss: Spec
    seed: int
    arguments: dict[str, Any]

    @classmethod
    def plan(cls, data: str, count: int, loss: Spec, arguments: Mapping[str, Any]) -> Folds:
        """Plan the trainings for a data set.

        Raises:
            ConfigError: it has too few images with labels.
        """
        places = [f"{part} {image}" for part, images in enumerate(parts(data, count)) for image in images]
        rest = dict(arguments)
        seed = int(rest.pop("seed", 0))
        crc = f"{zlib.crc32(chr(10).join(places).encode(errors='surrogatepass')):08x}"
        return cls(data=data, count=count, images=crc, loss=loss, seed=seed, arguments=rest)

    def runs(self, folder: Path) -> list[Run]:
        """Return every training; its data set and its unseen images are files in a folder."""
        name = self.loss if isinstance(self.loss, str) else self.loss["name"]
        checkpoint = "best" if self.arguments.get("val", True) else "last"
        return [
            Run(
                data=f"fold {number} of {self.count}",
                loss=name,
                seed=self.seed,
                spec=self.loss,
                arguments={**self.arguments, "data": str(seen)},
                eval_data=str(unseen),
                checkpoints=(checkpoint,),
            )
            for number in range(1, self.count + 1)
            for seen, unseen in [files(folder, number)]
        ]

    def train(self, folder: Path, runner: Runner, jobs: int) -> list[Run]:
        """Train what is missing in a folder that is claimed; returns the runs that failed."""
        description = describe(self.data)
        all_parts = parts(self.data, self.count)
        for number, unseen in enumerate(all_parts, start=1):
            others = [image for part in all_parts if part is not unseen for image in part]
            write_data(files(folder, number), description, others, unseen)
        runs = self.runs(folder)
        missing = [run for run in runs if not run.is_finished(folder)]
        return train_all(missing, folder, runner, jobs, len(runs), self.command)

    def report(self, folder: Path, threshold: float = THRESHOLD) -> Report:
        """Judge every label by the model that has not seen it, of trainings that are finished."""
        description, runs = describe(self.data), self.runs(folder)
        settings = read_mapping(runs[0].folder(folder) / "train" / "args.yaml")
        order = {str(image): number for number, image in enumerate(images_of(description, SPLIT))}
        found: list[dict[str, Any]] = []
        tables: list[Detections] = []
        for run in runs:
            record = Record(run, run.folder(folder))
            images = labels_of(record)
            table = read_detections(record.folder, run.checkpoints[0])
            table = table[table[:, 5] >= CONFIDENCE]
            table[:, 0] += len(found)
            found += images
            tables.append(table)
        place = np.argsort([order[image["im_file"]] for image in found])
        seen = np.concatenate(tables)
        seen[:, 0] = np.argsort(place)[seen[:, 0].astype(int)]
        is_single = bool(settings.get("single_cls"))
        labels = collect([found[number] for number in place], settings["task"], is_single)
        about = {
            "data": self.data,
            "model": f"{self.arguments['model']}, trained without the images that it judges, {self.count} folds",
            "split": SPLIT,
            "task": settings["task"],
            "imgsz": int(np.max(settings["imgsz"])),
            "description": description,
            "single_cls": is_single,
        }
        return conclude(labels, Seen.of(seen), threshold, None, description["names"], **about)


def parts(data: str, count: int) -> list[list[Path]]:
    """Divide the training images at random, always alike, and those with labels evenly.

    Raises:
        ConfigError: there are fewer with labels than parts.
    """
    images = images_of(describe(data), SPLIT)
    lines = lines_of(images)
    labelled = [image for image in images if lines.get(image)]
    if len(labelled) < count:
        raise ConfigError(
            f"folds={count} needs {count} images with labels or more, and '{SPLIT}' of '{data}' has {len(labelled)}."
        )
    rng, others = np.random.default_rng(0), sorted(set(images) - set(labelled))
    shuffled = [group[index] for group in (labelled, others) for index in rng.permutation(len(group))]
    return [shuffled[number::count] for number in range(count)]


def files(folder: Path, number: int) -> tuple[Path, Path]:
    """Return the data sets of a training: what it learns, and what it does not see."""
    folder = folder.resolve() / "data"
    return folder / f"fold{number}.yaml", folder / f"fold{number}-unseen.yaml"


def write_data(
    places: tuple[Path, Path], description: Mapping[str, Any], seen: Sequence[Path], unseen: Sequence[Path]
) -> None:
    """Write both, and the lists of their images."""
    rest = {key: value for key, value in description.items() if key not in DESCRIBED}
    validation = description["val"]
    val = validation if isinstance(validation, list) else str(validation)
    for place, images in zip(places, (seen, unseen), strict=True):
        place.parent.mkdir(exist_ok=True)
        write_whole(listed := place.with_suffix(".txt"), "".join(f"{image}\n" for image in images))
        content = {"train": str(listed), "val": val if images is seen else str(listed), **rest}
        write_whole(place, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def labels_of(record: Record) -> list[dict[str, Any]]:
    """Return the labels that a run was judged by, as Ultralytics' data set has them."""
    truth = record.truth
    rows: dict[int, list[Any]] = {image["id"]: [] for image in truth["images"]}
    for annotation in truth["annotations"]:
        rows[annotation["image_id"]].append(annotation)
    found = []
    for image in truth["images"]:
        scale = np.array([image["width"], image["height"]], np.float64)
        of = rows[image["id"]]
        boxes = np.array([row["bbox"] for row in of], np.float64).reshape(-1, 4)
        angles = np.array([row.get("angle", 0.0) for row in of], np.float64)
        centred = np.concatenate([boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:]], axis=1)
        found.append(
            {
                "im_file": image["file_name"],
                "shape": (image["height"], image["width"]),
                "cls": np.array([row["category_id"] for row in of], np.int64).reshape(-1, 1),
                "bboxes": centred / np.tile(scale, 2),
                "segments": list(corners_of(np.column_stack([boxes, angles])) / scale),
            }
        )
    return found
