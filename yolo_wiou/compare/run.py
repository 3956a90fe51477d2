"""One training of a study: what was asked, where it lies, and what it has left there."""

from __future__ import annotations

import json
import math
import re
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, TypedDict

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from yolo_wiou.compare.provenance import Provenance
from yolo_wiou.files import read_json, read_table, write_json
from yolo_wiou.losses import LossConfig, load_config
from yolo_wiou.losses.presets import as_plain

RUNS, RUNNING, PAIRING = "runs", "running", "proof"
"""Below a study's folder: where runs lie, where they lie until they end, and what shows that they are pairs."""
RUN, RESULT, TRUTH, LOG = "run.json", "result.json", "truth.json", "log.txt"
AP_COLUMN, IOU_COLUMN, GAIN_COLUMN = "metrics/mAP50-95(B)", "wiou/iou", "wiou/gain"

Loss = Annotated[LossConfig, BeforeValidator(load_config), PlainSerializer(as_plain)]
"""A loss; in a file a preset's name, or all of its settings."""


class Truth(TypedDict):
    """Ground truth in COCO's form, `bbox` in pixels: corner, width and height."""

    info: dict[str, Any]
    images: list[dict[str, Any]]
    annotations: list[dict[str, Any]]
    categories: list[dict[str, Any]]


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
        config: the loss itself.
        arguments: everything else that `train` takes.
        eval_data: a data YAML whose `val` is evaluated on instead of the training's own.
        checkpoints: which ones are evaluated.
    """

    data: str
    loss: str
    seed: int
    config: Loss = Field(alias="spec")
    arguments: dict[str, Any]
    eval_data: str | None = Field(default=None, alias="judge")
    checkpoints: tuple[str, ...] = ("last", "best")

    @property
    def relative_path(self) -> Path:
        """Where this run lies below a study's `runs`."""
        return Path(file_name(self.data), file_name(self.loss), f"seed{self.seed}")

    def folder(self, study: Path) -> Path:
        """Return where this run lies in a study's folder."""
        return study / RUNS / self.relative_path

    def is_finished(self, study: Path) -> bool:
        """Whether its result is there."""
        return (self.folder(study) / RESULT).is_file()

    def result(self, study: Path) -> Result | None:
        """Return what the run says of itself; None where it has not finished."""
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


class Optimizer(Stored):
    """What a training was steered by, as it was resolved."""

    name: str
    lr: float
    momentum: float | None

    def __str__(self) -> str:
        """What a warning calls it."""
        return f"lr={self.lr}, momentum={self.momentum}, name={self.name}"


class Result(Stored):
    """What a finished run says of itself.

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
        """What the run says of itself; None where it has not finished."""
        file = self.folder / RESULT
        return Result.model_validate_json(file.read_text(encoding="utf-8")) if file.is_file() else None

    @property
    def state(self) -> str:
        """How far it came: finished; failed, if it ended without a result; waiting, or running."""
        if self.result:
            return "finished"
        return "failed" if (self.folder / RUN).is_file() else "waiting"

    @property
    def failure(self) -> str:
        """What a failed run said last."""
        return last_words(self.folder) if self.state == "failed" else ""

    @cached_property
    def truth(self) -> Truth:
        """The ground truth that it was evaluated on."""
        truth: Truth = read_json(self.folder / TRUTH)
        return truth

    @cached_property
    def fingerprint(self) -> str:
        """CRC of the ground truth: names and sizes of the images, and boxes, wherever they lie."""
        images = [[Path(i["file_name"]).name, i["width"], i["height"]] for i in self.truth["images"]]
        boxes = [[a["image_id"], a["category_id"], a["bbox"]] for a in self.truth["annotations"]]
        return f"{zlib.crc32(json.dumps([images, boxes]).encode()):08x}"

    @cached_property
    def history(self) -> dict[str, list[float]]:
        """results.csv by column, as far as it goes."""
        file = self.folder / "train" / "results.csv"
        rows = read_table(file) if file.is_file() else []
        return {key: [row[key] for row in rows] for key in (rows[0] if rows else ())}

    def at_last(self, column: str) -> float:
        """What results.csv says in its last row; NaN where it has no such column."""
        return self.history.get(column, [math.nan])[-1]

    @property
    def ap_by_epoch(self) -> list[float]:
        """Ultralytics' AP of the validation, epoch by epoch; empty where the run was not validated after each."""
        return self.history.get(AP_COLUMN, []) if self.run.arguments.get("val", True) else []


def ended_runs(folder: Path) -> list[Record]:
    """Return all runs in a study's folder that have ended, well or badly."""
    files = sorted(folder.glob(f"{RUNS}/*/*/*/{RUN}"))
    return [Record(Run.load(file.parent), file.parent) for file in files]


def last_words(folder: Path) -> str:
    """Return the last line that a run wrote to its log, and where the log is."""
    log = folder / LOG
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.is_file() else []
    last = next((line.strip() for line in reversed(lines) if line.strip()), "nothing was written")
    return f"{last} ({log})"


def file_name(label: str) -> str:
    """Return a label as every file system takes it."""
    return re.sub(r"[^\w.=+-]", "_", label)
