"""The process that does one run.

    python -m yolo_wiou.studies.compare.train FOLDER

FOLDER holds run.json; the process trains, detects with its checkpoints, and writes result.json last of all, in one
piece. A run with a result.json is finished; without one it counts for nothing and starts anew. It ends with whatever
started it: it watches its standard input.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from yolo_wiou.studies.compare.detections import detect
from yolo_wiou.studies.compare.provenance import provenance
from yolo_wiou.studies.compare.run import RESULT, Run, write_json

GENERATOR = 6148914691236517204
"""What Ultralytics adds to the seed for a training's order of images; before 8.4.140 or so it forgets the seed."""


def main(folder: Path) -> None:
    """Train, detect, write the result."""
    run = Run.load(folder)
    stream = Stream()
    start = time.monotonic()
    trainer = train(run, folder, stream)
    seconds = time.monotonic() - start
    for checkpoint in run.checkpoints:
        detect(getattr(trainer, checkpoint), checkpoint, run, trainer.args, folder)
    write_json(
        folder / RESULT,
        {
            "seconds": seconds,
            "epochs": trainer.epoch + 1,
            "stream": stream.epochs,
            "optimizer": optimizer(trainer),
            "device": str(trainer.device),
            "provenance": provenance(),
        },
    )


def train(run: Run, folder: Path, stream: Stream, **callbacks: Callable[[Any], None]) -> Any:
    """Train a run into `folder`/train, watched by `stream`; returns the trainer."""
    from yolo_wiou.training.model import YOLO

    arguments = {"plots": False, **run.arguments, "seed": run.seed}
    arguments |= {"project": str(folder.resolve()), "name": "train", "exist_ok": True}
    model = YOLO(arguments.pop("model"))
    model.add_callback("on_train_start", seed_loader)
    model.add_callback("on_train_start", stream.watch)
    model.add_callback("on_train_epoch_end", stream.end_epoch)
    for event, callback in callbacks.items():
        model.add_callback(event, callback)
    model.train(loss=run.spec, **arguments)
    return model.trainer


def seed_loader(trainer: Any) -> None:
    """Give every seed its own order of images, as newer releases do, where this one has one order for all."""
    loader, seed = trainer.train_loader, GENERATOR + trainer.args.seed
    if loader.generator.initial_seed() != seed:
        loader.generator.manual_seed(seed)
        loader.reset()


def optimizer(trainer: Any) -> dict[str, Any]:
    """Return what the training is steered by, as it was resolved."""
    groups = trainer.optimizer.param_groups
    return {
        "name": type(trainer.optimizer).__name__,
        "lr": max(group["initial_lr"] for group in groups),
        "momentum": groups[0].get("momentum", (groups[0].get("betas") or [None])[0]),
    }


class Stream:
    """A checksum of every epoch's training batches: equal for equal data in equal order.

    Attributes:
        crc: the checksum of all batches so far.
        epochs: the checksum after each epoch.
    """

    def __init__(self) -> None:
        """Nothing seen yet."""
        self.crc, self.epochs = 0, []  # type: int, list[int]

    def watch(self, trainer: Any) -> None:
        """Read every batch that a trainer gets, before it is augmented on the device."""
        preprocess = trainer.preprocess_batch

        def seen(batch: dict[str, Any]) -> Any:
            for key in ("img", "bboxes", "cls"):
                self.crc = zlib.crc32(np.ascontiguousarray(batch[key].cpu().numpy()).data, self.crc)
            return preprocess(batch)

        trainer.preprocess_batch = seen

    def end_epoch(self, trainer: Any) -> None:
        """Keep the checksum."""
        self.epochs.append(self.crc)


def as_process(main: Callable[[Path], None]) -> None:
    """Do `main` for the folder on the command line, as long as the process that started this one is there.

    It holds the other end of standard input, which therefore ends with it.
    """

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    main(Path(sys.argv[1]))


if __name__ == "__main__":
    as_process(main)
