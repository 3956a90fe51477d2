"""Labels judged by models that have not seen them: of N parts of a split, each by what the others have taught."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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
from yolo_wiou.compare.run import Record, Run, Spec
from yolo_wiou.compare.run_study import train_all
from yolo_wiou.compare.runner import Runner
from yolo_wiou.data.relabelled import DESCRIBED
from yolo_wiou.data.yolo_format import label_file, lines_of
from yolo_wiou.errors import ConfigError
from yolo_wiou.files import read_mapping, write_whole
from yolo_wiou.training.preflight import describe, images_of, read_labels

FOLDER, SPLIT = "folds", "train"
CHANGED = {
    "images": "its images are others",
    "labels": "its labels have been changed since, and its models have learnt the old ones",
}
"""What is said where a checksum differs."""


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
        images: checksum of the images, of which part they are in, and of how often each is learnt.
        labels: checksum of their label files.
        loss: the loss, as `loss=` takes it.
        seed: of every training.
        arguments: what else `train` gets, the model that each starts from among it.
    """

    kind: ClassVar[str] = "audit out of fold"
    command: ClassVar[str] = "audit"

    data: str
    count: int
    images: str
    labels: str
    loss: Spec
    seed: int
    arguments: dict[str, Any]

    @classmethod
    def plan(cls, data: str, count: int, loss: Spec, arguments: Mapping[str, Any]) -> Folds:
        """Plan the trainings for a data set.

        Raises:
            ConfigError: it has too few images with labels.
        """
        all_parts, times = parts(data, count), Counter(images_of(describe(data), SPLIT))
        places = [f"{part} {times[image]} {image}\n" for part, images in enumerate(all_parts) for image in images]
        files = [label_file(image) for images in all_parts for image in images]
        rest = dict(arguments)
        seed = int(rest.pop("seed", 0))
        return cls(
            data=data,
            count=count,
            images=checksum(place.encode(errors="surrogateescape") for place in places),
            labels=checksum(file.read_bytes() if file.is_file() else b"" for file in files),
            loss=loss,
            seed=seed,
            arguments=rest,
        )

    def differences(self, there: Plan) -> list[str]:
        """Say what differs, of checksums without their digits."""
        return [CHANGED.get(said.partition(" ")[0], said) for said in super().differences(there)]

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
        all_parts, times = parts(self.data, self.count), Counter(images_of(description, SPLIT))
        for number, unseen in enumerate(all_parts, start=1):
            others = [image for part in all_parts if part is not unseen for image in part for _ in range(times[image])]
            write_data(files(folder, number), description, others, unseen)
        runs = self.runs(folder)
        missing = [run for run in runs if not run.is_finished(folder)]
        return train_all(missing, folder, runner, jobs, len(runs), self.command)

    def report(self, folder: Path, threshold: float = THRESHOLD) -> Report:
        """Judge every label by the model that has not seen it, of trainings that are finished."""
        description, runs = describe(self.data), self.runs(folder)
        settings = read_mapping(runs[0].folder(folder) / "train" / "args.yaml")
        records = [Record(run, run.folder(folder)) for run in runs]
        found = labels_of(records, description, settings)
        labels, seen = collect(found, settings["task"], settings), detections_of(records, found)
        about = {
            "data": self.data,
            "model": f"{self.arguments['model']}, trained without the images that it judges, {self.count} folds",
            "split": SPLIT,
            "task": settings["task"],
            "imgsz": int(np.max(settings["imgsz"])),
            "description": description,
            "single_cls": bool(settings.get("single_cls")),
        }
        return conclude(labels, Seen.of(seen), threshold, None, description["names"], **about)


def parts(data: str, count: int) -> list[list[Path]]:
    """Divide the training images, each once, at random, always alike, and those with labels evenly.

    Raises:
        ConfigError: there are fewer with labels than parts.
    """
    images = list(dict.fromkeys(images_of(describe(data), SPLIT)))  # a list may name one more than once
    lines = lines_of(images)
    labelled = [image for image in images if lines.get(image)]
    if len(labelled) < count:
        raise ConfigError(
            f"folds={count} needs {count} images with labels or more, and '{SPLIT}' of '{data}' has {len(labelled)}."
        )
    rng, others = np.random.default_rng(0), sorted(set(images) - set(labelled))
    shuffled = [group[index] for group in (labelled, others) for index in rng.permutation(len(group))]
    return [shuffled[number::count] for number in range(count)]


def checksum(pieces: Iterable[bytes]) -> str:
    """Return the CRC of some content, which knows where a piece ends."""
    crc = 0
    for piece in pieces:
        crc = zlib.crc32(b"%d " % len(piece) + piece, crc)
    return f"{crc:08x}"


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


def labels_of(
    records: Iterable[Record], description: dict[str, Any], settings: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the labels that runs were judged by, as Ultralytics' data set has them, each image once."""
    images = [image for record in records for image in record.truth["images"]]
    shapes = {image["file_name"]: (image["height"], image["width"]) for image in images}
    read_by = {"single_cls": bool(settings.get("single_cls")), "classes": settings.get("classes")}
    labels = read_labels(description, SPLIT, settings["task"], **read_by)
    once = {label["im_file"]: label for label in labels if label["im_file"] in shapes}
    return [{**label, "shape": shapes[file]} for file, label in once.items()]


def detections_of(records: Iterable[Record], found: Sequence[Mapping[str, Any]]) -> Detections:
    """Return what was detected on the images of labels, by number; each by the run that has not seen it."""
    number = {label["im_file"]: index for index, label in enumerate(found)}
    tables = []
    for record in records:
        table = read_detections(record.folder, record.run.checkpoints[0])
        places = np.array([number.get(image["file_name"], -1) for image in record.truth["images"]], np.float32)
        table[:, 0] = places[table[:, 0].astype(int)]
        tables.append(table[(table[:, 0] >= 0) & (table[:, 5] >= CONFIDENCE)])
    return np.concatenate(tables)
