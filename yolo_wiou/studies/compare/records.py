"""What a study's folder holds: every run, how far it came, and what it left."""

from __future__ import annotations

import csv
import json
import math
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from yolo_wiou.registry import ConfigError
from yolo_wiou.studies.compare.engine import LOG
from yolo_wiou.studies.compare.plan import STUDY, Study
from yolo_wiou.studies.compare.run import RESULT, RUN, TRUTH, Run

AP_COLUMN, IOU_COLUMN = "metrics/mAP50-95(B)", "wiou/iou"


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
        file = self.folder / RESULT
        return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}

    @property
    def is_finished(self) -> bool:
        """Whether it counts."""
        return bool(self.result)

    @cached_property
    def state(self) -> str:
        """How far it came: finished, failed, unfinished or waiting."""
        if self.is_finished:
            return "finished"
        if not (self.folder / RUN).is_file():
            return "waiting"
        return "failed" if self.failure else "unfinished"

    @cached_property
    def failure(self) -> str:
        """The last line of its log, if that ends in a traceback."""
        log = self.folder / LOG
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
        is_traced = not self.is_finished and any(line.startswith("Traceback (most recent") for line in lines)
        return next((line.strip() for line in reversed(lines) if line.strip()), "") if is_traced else ""

    @cached_property
    def truth(self) -> dict[str, Any]:
        """The ground truth that judged it, in COCO's form."""
        return dict(json.loads((self.folder / TRUTH).read_text(encoding="utf-8")))

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
        with file.open(newline="", encoding="utf-8") as text:
            rows = list(csv.DictReader(text, skipinitialspace=True))
        return {key.strip(): [_number(row[key]) for row in rows] for key in (rows[0] if rows else ())}

    @property
    def is_validated(self) -> bool:
        """Whether it was validated after every epoch, so that results.csv tells AP by epoch."""
        return bool(self.run.arguments.get("val", True))


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


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
    runs = [
        Run.model_validate_json(file.read_text(encoding="utf-8")) for file in sorted(folder.glob(f"runs/*/*/*/{RUN}"))
    ]
    if (folder / STUDY).is_file():
        study = Study.load(folder)
        baseline = baseline or study.baseline
        runs = list({(run.data, run.loss, run.seed): run for run in [*study.runs(), *runs]}.values())
    if not runs:
        raise ConfigError(f"no runs of a study in {folder}: it should hold study.json or runs/<data>/<loss>/seed<k>.")
    losses = list(dict.fromkeys(run.loss for run in runs))
    baseline = baseline or ("ciou" if "ciou" in losses else losses[0])
    if baseline not in losses:
        raise ConfigError(f"no loss {baseline!r} in this study; it has {', '.join(losses)}.")
    losses = [baseline, *(loss for loss in losses if loss != baseline)]
    return losses, [Record(run, run.folder(folder)) for run in runs]
