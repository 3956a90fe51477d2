"""What a study's folder holds: every run, how far it came, and what it left."""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from yolo_wiou.registry import ConfigError
from yolo_wiou.storage import STUDY, read_table
from yolo_wiou.studies.compare.engine import last_words
from yolo_wiou.studies.compare.plan import Study
from yolo_wiou.studies.compare.run import RESULT, RUN, TRUTH, Run, places, read_json

AP_COLUMN, IOU_COLUMN, GAIN_COLUMN = "metrics/mAP50-95(B)", "wiou/iou", "wiou/gain"


@dataclass(frozen=True)
class Record:
    """One run, as its folder tells it.

    Attributes:
        run: what was asked.
        folder: where it lies.
    """

    run: Run
    folder: Path

    @cached_property
    def result(self) -> dict[str, Any]:
        """result.json; empty where the run is not finished."""
        return read_json(self.folder / RESULT) if (self.folder / RESULT).is_file() else {}

    @property
    def provenance(self) -> dict[str, Any]:
        """What trained it, if it wrote that down."""
        told: dict[str, Any] = self.result.get("provenance", {})
        return told

    @property
    def is_finished(self) -> bool:
        """Whether it counts."""
        return bool(self.result)

    @property
    def state(self) -> str:
        """How far it came: finished; failed, if it ended without a result; waiting, or running."""
        if self.is_finished:
            return "finished"
        return "failed" if (self.folder / RUN).is_file() else "waiting"

    @property
    def failure(self) -> str:
        """What a failed run said last."""
        return last_words(self.folder) if self.state == "failed" else ""

    @property
    def truth(self) -> dict[str, Any]:
        """The ground truth that judged it, in COCO's form."""
        return read_json(self.folder / TRUTH)

    @cached_property
    def fingerprint(self) -> str:
        """CRC of the ground truth: names and sizes of the images, and boxes, wherever they lie."""
        images = [[Path(one["file_name"]).name, one["width"], one["height"]] for one in self.truth["images"]]
        boxes = [[one["image_id"], one["category_id"], one["bbox"]] for one in self.truth["annotations"]]
        return f"{zlib.crc32(json.dumps([images, boxes]).encode()):08x}"

    @cached_property
    def history(self) -> dict[str, list[float]]:
        """results.csv by column, as far as it goes."""
        file = self.folder / "train" / "results.csv"
        if not file.is_file():
            return {}
        rows = read_table(file)
        return {key: [row[key] for row in rows] for key in (rows[0] if rows else ())}

    def at_last(self, column: str) -> float:
        """What results.csv says in its last row; NaN where it has no such column."""
        return self.history.get(column, [math.nan])[-1]

    @property
    def is_validated(self) -> bool:
        """Whether it was validated after every epoch, so that results.csv tells AP by epoch."""
        return bool(self.run.arguments.get("val", True))


def _key(run: Run) -> tuple[str, str, int]:
    return run.data, run.loss, run.seed


def read(folder: Path, baseline: str | None = None) -> tuple[list[str], list[Record]]:
    """Read a study.

    Args:
        folder: of the study, with study.json or with runs alone.
        baseline: the loss that the others are compared with; by default the plan's, without a plan CIoU.

    Returns:
        The losses, the baseline first; and every run, those that are planned and not begun among them.

    Raises:
        ConfigError: there are no runs, or no such baseline.
    """
    found = {_key(run): Record(run, place) for place in places(folder) for run in [Run.load(place)]}
    if (folder / STUDY).is_file():
        study = Study.load(folder)
        baseline = baseline or study.baseline
        found = {_key(run): Record(run, run.folder(folder)) for run in study.runs()} | found
    if not found:
        raise ConfigError(f"no runs of a study in {folder}: it should hold study.json or runs/<data>/<loss>/seed<k>.")
    losses = list(dict.fromkeys(loss for _, loss, _ in found))
    baseline = baseline or ("ciou" if "ciou" in losses else losses[0])
    if baseline not in losses:
        raise ConfigError(f"no loss {baseline!r} in this study; it has {', '.join(losses)}.")
    losses = [baseline, *(loss for loss in losses if loss != baseline)]
    return losses, list(found.values())
