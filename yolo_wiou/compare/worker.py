"""The process that does one run, or the first batches of several.

    python -m yolo_wiou.compare.worker FOLDER

Where FOLDER holds run.json, the process trains, detects with its checkpoints, and writes result.json last of all, in
one piece. A run with a result.json is finished; without one it counts for nothing and starts anew. Where FOLDER holds
plan.json, the process trains each of its runs for a few batches and writes what they began with. It ends with whatever
started it: it watches its standard input.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from yolo_wiou.compare.detections import detect
from yolo_wiou.compare.pairing import PLAN, FirstBatches, SplitCount, planned_runs, write_first_batches
from yolo_wiou.compare.provenance import provenance
from yolo_wiou.compare.run import RESULT, Optimizer, Result, Run
from yolo_wiou.files import write_json
from yolo_wiou.losses import load_config

GENERATOR = 6148914691236517204
"""What Ultralytics adds to the seed for a training's order of images; before 8.4.140 or so it forgets the seed."""
BATCHES = 3
"""How many show whether runs are pairs."""


class EnoughError(Exception):
    """As many batches as were wanted."""


def main(folder: Path) -> None:
    """Do what the folder asks for."""
    if (folder / PLAN).is_file():
        runs = planned_runs(folder)
        first_batches(runs[0], folder)  # imports what later ones find: some packages draw random numbers as they load
        write_first_batches([first_batches(run, folder) for run in runs], folder)
    else:
        train_and_detect(Run.load(folder), folder)


def train_and_detect(run: Run, folder: Path) -> None:
    """Train, detect, write the result."""
    stream = Stream()
    start = time.monotonic()
    trainer = train(run, folder, stream)
    seconds = time.monotonic() - start
    for checkpoint in run.checkpoints:
        detect(getattr(trainer, checkpoint), checkpoint, run, trainer.args, folder)
    result = Result(
        seconds=seconds,
        epochs=trainer.epoch + 1,
        stream=tuple(stream.epochs),
        optimizer=optimizer(trainer),
        device=str(trainer.device),
        steps=trainer.ema.updates,
        provenance=provenance(),
    )
    write_json(folder / RESULT, result.plain())


def first_batches(run: Run, folder: Path) -> FirstBatches:
    """Train for a few batches; returns the checksum of their data, the optimizer, and what the data set holds."""
    stream = Stream()
    seen: list[FirstBatches] = []

    def look(trainer: Any) -> None:
        names = {"data": run.data, "loss": run.loss, "seed": run.seed, "stream": (stream.crc,)}
        seen.append(FirstBatches(**names, optimizer=optimizer(trainer), images=count(run, trainer)))
        if len(seen) == BATCHES:
            raise EnoughError

    try:
        train(run, folder, stream, on_train_batch_end=look)
    except EnoughError:
        pass
    finally:
        shutil.rmtree(folder / "train", ignore_errors=True)
    return seen[-1]


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
    model.train(loss=load_config(run.spec), **arguments)
    return model.trainer


def seed_loader(trainer: Any) -> None:
    """Give every seed its own order of images, as newer releases do, where this one has one order for all."""
    loader, seed = trainer.train_loader, GENERATOR + trainer.args.seed
    if loader.generator.initial_seed() != seed:
        loader.generator.manual_seed(seed)
        loader.reset()


def optimizer(trainer: Any) -> Optimizer:
    """Return what the training is steered by, as it was resolved."""
    groups = trainer.optimizer.param_groups
    return Optimizer(
        name=type(trainer.optimizer).__name__,
        lr=max(group["initial_lr"] for group in groups),
        momentum=groups[0].get("momentum", (groups[0].get("betas") or [None])[0]),
    )


def count(run: Run, trainer: Any) -> dict[str, SplitCount]:
    """Count what Ultralytics found in a data set: images, those that it leaves out as corrupt, and objects."""
    loaders = {"training": trainer.train_loader}
    if not run.eval_data:
        loaders["validation"] = trainer.test_loader
    counts = {}
    for split, loader in loaders.items():
        dataset, labels = loader.dataset, loader.dataset.labels
        images = len(dataset.get_img_files(dataset.img_path))
        objects = sum(len(label["cls"]) for label in labels)
        counts[split] = SplitCount(images=images, left_out=images - len(labels), objects=objects)
    return counts


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
            shown = trainer.with_classes(batch)
            for key in ("img", "bboxes", "cls"):
                self.crc = zlib.crc32(np.ascontiguousarray(shown[key].cpu().numpy()).data, self.crc)
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
