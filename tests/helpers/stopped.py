"""A training that is stopped in its second epoch, after the row of results.csv and before the checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from yolo_wiou import YOLO


class Stopped(Exception):
    """In the place of a kill."""


def stop_in_the_second_epoch(trainer: Any) -> None:
    """A callback of on_train_epoch_end."""
    if trainer.epoch == 1:
        raise Stopped


def stopped_run(model: Path | str, shapes: Path, folder: Path, **arguments: Any) -> Path:
    """Train and stop; returns the run's folder, with its own copy of the data, `data`, beside it."""
    data = shutil.copytree(shapes.parent, folder / "data") / "data.yaml"
    data.write_text(data.read_text().replace(str(shapes.parent), str(data.parent)))
    trained = YOLO(model)
    trained.add_callback("on_train_epoch_end", stop_in_the_second_epoch)
    with pytest.raises(Stopped):
        trained.train(data=data, project=folder, **{"name": "run", **arguments})
    return folder / "run"
