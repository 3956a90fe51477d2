"""One training of a study: what was asked, where it lies, and what it has left there."""

from __future__ import annotations

import csv
import json
import math
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from yolo_wiou.compare.coco import TRUTH, Truth, detections_file, read_detections, read_truth
from yolo_wiou.compare.provenance import Provenance
from yolo_wiou.errors import ConfigError
from yolo_wiou.files import file_name, read_table, write_json
from yolo_wiou.losses import LossConfig, load_config
from yolo_wiou.losses.presets import as_plain

RUNS, RUNNING, PAIRING = "runs", "running", "proof"
"""Below a study's folder: where runs lie, where they lie until they end, and what shows that they are pairs."""
RUN, RESULT, LOG = "run.json", "result.json", "log.txt"
HISTORY = "train/results.csv"
AP_COLUMN, IOU_COLUMN, GAIN_COLUMN = "metrics/mAP50-95(B)", "wiou/iou", "wiou/gain"
RATIO_COLUMN = "wiou/gradient_ratio"

DAMAGED = (OSError, EOFError, ValueError, KeyError, TypeError, csv.Error, zipfile.BadZipFile, zlib.error)
"""What reading a file raises that is not as it was written."""


def _as_spec(loss: Any) -> Any:
    """A LossConfig as plain data."""
    return as_plain(loss) if isinstance(loss, LossConfig) else loss


Spec = Annotated[str | dict[str, Any], BeforeValidator(_as_spec)]
"""A loss: a preset's name, or all of its settings. Resolved where it trains: a report needs no loss of a plugin."""


class Stored(BaseModel):
    """What a study keeps in a JSON file."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    def plain(self) -> dict[str, Any]:
        """Return what the file holds."""
        return self.model_dump(mode="json", by_alias=True)


class Run(Stored):
    """One training.

    Attributes:
        data: what the study calls the data set.
        loss: what the study calls the loss.
        seed: the seed.
        spec: the loss itself, as `loss=` takes it.
        arguments: everything else that `train` takes.
        eval_data: a data YAML whose `val` is evaluated on instead of the training's own.
        checkpoints: which ones are evaluated.
    """

    data: str
    loss: str
    seed: int
    spec: Spec
    arguments: dict[str, Any]
    eval_data: str | None = Field(default=None, alias="judge")
    checkpoints: tuple[str, ...] = ("last", "best")

    @property
    def relative_path(self) -> Path:
        """Where this run lies below a study's `runs`."""
        return Path(file_name(self.data), file_name(self.loss), f"seed{self.seed}")

    @property
    def config(self) -> LossConfig | None:
        """The loss, resolved; None where it is not known here, as that of a plugin which has gone."""
        try:
            return load_config(self.spec)
        except ConfigError:
            return None

    def folder(self, study: Path) -> Path:
        """Return where this run lies in a study's folder."""
        return study / RUNS / self.relative_path

    def is_finished(self, study: Path) -> bool:
        """Whether its result is there, and all else that it has left can be read."""
        return self.result(study) is not None

    def result(self, study: Path) -> Result | None:
        """Return what the run says of itself; None where it is not finished."""
        return Record(self, self.folder(study)).result

    def save(self, folder: Path) -> None:
        """Write run.json."""
        write_json(folder / RUN, self.plain())

    @classmethod
    def load(cls, folder: Path) -> Run:
        """Read run.json."""
        return cls.model_validate_json((folder / RUN).read_text(encoding="utf-8"))

    def __str__(self) -> str:
        """What a reader calls it."""
        return f"{self.data}, {self.loss}, seed {self.seed}"


class Optimizer(Stored, extra="ignore"):
    """What a training was steered by, as it was resolved."""

    name: str
    lr: float
    momentum: float | None = None

    def __str__(self) -> str:
        """What a warning calls it."""
        return f"lr={self.lr}, momentum={self.momentum}, name={self.name}"


class Result(Stored, extra="ignore"):
    """What a finished run says of itself; a newer release may say more.

    Attributes:
        seconds: of training.
        epochs: trained.
        stream: checksum of all training batches so far, after each epoch.
        optimizer: as it was resolved.
        device: that trained.
        steps: of the optimizer, if the run wrote them down.
        provenance: versions, machine and commit, likewise.
    """

    seconds: float
    epochs: int
    stream: tuple[int, ...]
    optimizer: Optimizer
    device: str
    steps: int | None = None
    provenance: Provenance | None = None


@dataclass(frozen=True)
class Record:
    """One run, as its folder tells it; everything is read when it is asked for.

    Attributes:
        run: what was asked.
        folder: where it lies.
    """

    run: Run
    folder: Path

    @cached_property
    def result(self) -> Result | None:
        """What the run says of itself; None where it has not finished, or what it has left is damaged."""
        return None if self.damage or not self._has_ended_well else self._read_result()

    @cached_property
    def damage(self) -> str:
        """Which file of a run that ended well cannot be read; empty where all can."""
        if not self._has_ended_well:
            return ""
        readers: dict[str, Callable[[], Any]] = {
            RESULT: self._read_result,
            TRUTH: lambda: self.truth,
            **{detections_file(c): partial(read_detections, self.folder, c) for c in self.run.checkpoints},
            HISTORY: lambda: self.history,
        }
        return next((f"'{self.folder / name}' is damaged" for name, read in readers.items() if not _reads(read)), "")

    @property
    def state(self) -> str:
        """How far it came: finished; failed, if it ended without a result; waiting, or running."""
        if self.result:
            return "finished"
        return "failed" if self.damage or (self.folder / RUN).is_file() else "waiting"

    @property
    def failure(self) -> str:
        """What a failed run said last, or what of it is damaged."""
        return self.damage or (last_words(self.folder) if self.state == "failed" else "")

    @property
    def truth(self) -> Truth:
        """The ground truth that it was evaluated on; read anew, as that of many runs at once would not fit."""
        return read_truth(self.folder)

    @cached_property
    def fingerprint(self) -> str:
        """CRC of the ground truth: names and sizes of the images, boxes, and classes, wherever the images lie."""
        truth = self.truth
        images = [[Path(i["file_name"]).name, i["width"], i["height"]] for i in truth["images"]]
        rows = truth["annotations"]
        boxes = [[a["image_id"], a["category_id"], a["bbox"], *([a["angle"]] if "angle" in a else [])] for a in rows]
        classes = [[c["id"], c["name"]] for c in truth["categories"]]
        return f"{zlib.crc32(json.dumps([images, boxes, classes]).encode()):08x}"

    @cached_property
    def history(self) -> dict[str, list[float]]:
        """results.csv by column, as far as it goes; empty where somebody has removed the training's folder.

        Raises:
            ValueError: there is no number in it, or something that is no text.
        """
        file = self.folder / HISTORY
        if not file.is_file():
            return {}
        file.read_text(encoding="utf-8")  # read_table forgives what is no text, for a run that is to go on
        rows = read_table(file)
        if not any(math.isfinite(value) for row in rows for value in row.values()):
            raise ValueError(f"no number in '{file}'")
        return {key: [row[key] for row in rows] for key in rows[0]}

    def at_last(self, column: str) -> float:
        """What results.csv says in its last row; NaN where it has no such column."""
        return self.history.get(column, [math.nan])[-1]

    @property
    def gradient_ratio(self) -> float:
        """How much harder the gain makes the box term pull, mean over the epochs; NaN where that is not known."""
        known = [value for value in self.history.get(RATIO_COLUMN, []) if math.isfinite(value)]
        return sum(known) / len(known) if known else math.nan

    @property
    def ap_by_epoch(self) -> list[float]:
        """Ultralytics' AP of the validation, epoch by epoch; empty where the run was not validated after each."""
        return self.history.get(AP_COLUMN, []) if self.run.arguments.get("val", True) else []

    @property
    def _has_ended_well(self) -> bool:
        return (self.folder / RESULT).is_file()

    def _read_result(self) -> Result:
        return Result.model_validate_json((self.folder / RESULT).read_text(encoding="utf-8"))


def _reads(read: Callable[[], Any]) -> bool:
    """Whether a file can be read."""
    try:
        read()
    except DAMAGED:
        return False
    return True


def ended_runs(folder: Path) -> list[Record]:
    """Return all runs in a study's folder that have ended, well or badly, as far as their run.json says which."""
    places = [file.parent for file in sorted(folder.glob(f"{RUNS}/*/*/*/{RUN}"))]
    return [Record(Run.load(place), place) for place in places if _reads(partial(Run.load, place))]


def last_words(folder: Path) -> str:
    """Return the last line that a run wrote to its log, and where the log is."""
    log = folder / LOG
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.is_file() else []
    last = next((line.strip() for line in reversed(lines) if line.strip()), "nothing was written")
    return f"{last} ({log})"
