"""What a run's process does beside training: seeding the loader, and the checksum of what it trains on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers.studies import a_study

from yolo_wiou.compare import worker
from yolo_wiou.compare.pairing import PLAN, FirstBatches, read_first_batches
from yolo_wiou.compare.run import PAIRING, Optimizer, Run
from yolo_wiou.compare.worker import GENERATOR, Stream, optimizer, seed_loader
from yolo_wiou.files import write_json


class Loader:
    """A loader of Ultralytics, as far as `seed_loader` looks at it."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1


@pytest.mark.parametrize(("before", "resets"), [(GENERATOR, 1), (GENERATOR + 3, 0)])
def test_every_seed_has_its_own_order_of_images(before: int, resets: int) -> None:
    """A release that forgets the seed is helped; one that knows it is left alone."""
    trainer = SimpleNamespace(train_loader=Loader(before), args=SimpleNamespace(seed=3))
    seed_loader(trainer)
    assert trainer.train_loader.generator.initial_seed() == GENERATOR + 3
    assert trainer.train_loader.resets == resets


def batch(value: float, boxes: int = 2) -> dict[str, torch.Tensor]:
    return {"img": torch.full((1, 3, 4, 4), value), "bboxes": torch.zeros(boxes, 4), "cls": torch.zeros(boxes, 1)}


def watched(*batches: dict[str, torch.Tensor]) -> list[int]:
    """Checksums of a training with one batch per epoch."""
    stream = Stream()
    trainer = SimpleNamespace(preprocess_batch=lambda batch: ("prepared", batch), with_classes=lambda batch: batch)
    stream.watch(trainer)
    for given in batches:
        assert trainer.preprocess_batch(given) == ("prepared", given)  # the trainer sees what it saw before
        stream.end_epoch(trainer)
    return stream.epochs


def test_the_stream_tells_images_boxes_and_order_apart() -> None:
    first = watched(batch(1), batch(2))
    assert first == watched(batch(1), batch(2))
    assert first[0] == watched(batch(1), batch(3))[0]
    assert len({tuple(s) for s in (first, watched(batch(2), batch(1)), watched(batch(1), batch(2, boxes=3)))}) == 3
    moved = batch(2)
    moved["bboxes"] += 1e-6
    assert watched(batch(1), moved)[1] != first[1]


@pytest.mark.parametrize(("kind", "extra", "momentum"), [("SGD", {"momentum": 0.8}, 0.8), ("AdamW", {}, 0.9)])
def test_the_optimizer_is_told_as_it_was_resolved(kind: str, extra: dict[str, Any], momentum: float) -> None:
    made = getattr(torch.optim, kind)([{"params": torch.nn.Linear(2, 2).parameters(), "initial_lr": 0.02}], **extra)
    resolved = optimizer(SimpleNamespace(optimizer=made))
    assert (resolved.name, resolved.lr, resolved.momentum) == (kind, 0.02, momentum)


def test_what_the_first_training_of_a_process_imports_makes_no_run_unlike_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ultralytics imports ray.tune with its first trainer, that imports rich, and that draws random numbers."""
    study, trained = a_study(), []

    def first_batches(run: Run, folder: Path) -> FirstBatches:
        trained.append(run)
        names = {"data": run.data, "loss": run.loss, "seed": run.seed}
        optimizer = Optimizer(name="SGD", lr=0.01, momentum=0.9)
        return FirstBatches(**names, stream=(0 if len(trained) == 1 else 1,), optimizer=optimizer)

    monkeypatch.setattr(worker, "first_batches", first_batches)
    folder = tmp_path / PAIRING
    folder.mkdir()
    write_json(folder / PLAN, {"runs": [run.plain() for run in study.runs()]})
    worker.main(folder)
    assert {first.stream for first in read_first_batches(tmp_path)} == {(1,)}
    assert len(read_first_batches(tmp_path)) == len(study.runs())
