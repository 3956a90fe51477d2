"""One training of a study: what it is and where it lies."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from yolo_wiou.storage import write_whole

RUNS = "runs"
"""Where the runs of a study lie, below its folder."""
RUN, RESULT, TRUTH, LOG = "run.json", "result.json", "truth.json", "log.txt"


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

    @property
    def place(self) -> Path:
        """Where this run lies below a study's `runs`."""
        return Path(file_name(self.data), file_name(self.loss), f"seed{self.seed}")

    def folder(self, study: Path) -> Path:
        """Return where this run lies in a study's folder."""
        return study / RUNS / self.place

    def is_finished(self, study: Path) -> bool:
        """Whether its result is there."""
        return (self.folder(study) / RESULT).is_file()

    def result(self, study: Path) -> dict[str, Any]:
        """Return what the finished run says of itself."""
        return read_json(self.folder(study) / RESULT)

    def save(self, folder: Path) -> None:
        """Write run.json."""
        write_json(folder / RUN, self.model_dump(mode="json"))

    @classmethod
    def load(cls, folder: Path) -> Run:
        """Read run.json."""
        return cls.model_validate_json((folder / RUN).read_text(encoding="utf-8"))

    def __str__(self) -> str:
        """What a reader calls it."""
        return f"{self.data}, {self.loss}, seed {self.seed}"


def places(study: Path) -> list[Path]:
    """Return the folders of all runs of a study that have ended, well or badly."""
    return sorted(file.parent for file in study.glob(f"{RUNS}/*/*/*/{RUN}"))


def file_name(label: str) -> str:
    """Return a label as every file system takes it."""
    return re.sub(r"[^\w.=+-]", "_", label)


def read_json(file: Path) -> dict[str, Any]:
    """Read a mapping."""
    data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return data


def write_json(file: Path, data: Any) -> None:
    """Write in one piece: a reader sees the old file or the new one."""
    write_whole(file, json.dumps(data, indent=1))
