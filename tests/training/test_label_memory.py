"""The memory of labels in a training: over epochs, on every head, through kills and resumes; who does without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.running import TINY
from helpers.stopped import stopped_run

from yolo_wiou import RTDETR, YOLO, WorldTrainer
from yolo_wiou.training import label_ids
from yolo_wiou.training.checkpoint import ATTRIBUTE, memories_of

FIXTURES = Path(__file__).parents[1] / "fixtures"
TINY_MODEL = FIXTURES / "tiny.yaml"
RUN: dict[str, Any] = {**TINY, "epochs": 3, "loss": "trust", "name": "run", "close_mosaic": 0}


def pasts(trainer: Any) -> dict[str, torch.Tensor]:
    return {path: memory.past.clone() for path, memory in memories_of(trainer.heads).items()}


def saved(last: Path) -> dict[str, Any]:
    ckpt = torch.load(last, weights_only=False)
    memory: dict[str, Any] = getattr(ckpt.get("ema") or ckpt["model"], ATTRIBUTE)["memory"]
    return memory


@pytest.fixture
def stopped(shapes: Path, tmp_path: Path) -> Path:
    return stopped_run(TINY_MODEL, shapes, tmp_path, **RUN)


def resumed(run: Path) -> tuple[Any, dict[str, torch.Tensor]]:
    """The trainer of a run that goes on, and what its heads remember when it starts."""
    model, start = YOLO(run / "weights" / "last.pt"), {}
    model.add_callback("on_train_start", lambda trainer: start.update(pasts(trainer)))
    model.train(resume=True)
    return model.trainer, start


def test_a_resumed_run_remembers(stopped: Path) -> None:
    state = saved(stopped / "weights" / "last.pt")
    assert 0 < state[""]["past"].isfinite().sum() <= len(state[""]["past"])
    trainer, start = resumed(stopped)
    torch.testing.assert_close(start, {"": state[""]["past"]}, rtol=0, atol=0, equal_nan=True)
    end = pasts(trainer)[""]
    known = start[""].isfinite()
    assert (end[known] != start[""][known]).any()
    assert end.abs().nan_to_num().max() <= 1


def test_finished_weights_say_nothing_of_single_labels(shapes: Path, tmp_path: Path) -> None:
    model = YOLO(TINY_MODEL)
    model.train(data=shapes, project=tmp_path, **{**RUN, "epochs": 1})
    for file in (model.trainer.last, model.trainer.best):
        state = getattr(torch.load(file, weights_only=False)["model"], ATTRIBUTE)
        assert "memory" not in state
        assert state["loss"]["name"] == "trust"


def test_what_was_remembered_of_other_labels_is_forgotten(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = next((stopped.parent / "data" / "labels" / "train").iterdir())
    cls, x, *rest = file.read_text().split()
    file.write_text(" ".join([cls, str(float(x) / 2), *rest[:3]]) + "\n")
    (stopped.parent / "data" / "labels" / "train.cache").unlink()
    warnings: list[str] = []
    monkeypatch.setattr("yolo_wiou.training.checkpoint.LOGGER.warning", warnings.append)
    _, start = resumed(stopped)
    assert start[""].isnan().all()
    assert any("no memory of these labels" in warning for warning in warnings)


@pytest.mark.parametrize("name", ["yolov10n.yaml", "rtdetr"])
def test_every_head_has_its_own(name: str, detr: Path, shapes: Path, tmp_path: Path) -> None:
    model = RTDETR(detr) if name == "rtdetr" else YOLO(name)
    loss = {"name": "trust", "cls_weighting": {"name": "none"}} if name == "rtdetr" else "trust"
    model.train(data=shapes, project=tmp_path, **{**RUN, "loss": loss, "epochs": 1})
    remembered = pasts(model.trainer)
    assert set(remembered) == set(model.trainer.heads)
    assert all(past.isfinite().any() for past in remembered.values())
    assert len({tuple(past.nan_to_num().tolist()) for past in remembered.values()}) == len(remembered)


def test_the_model_and_its_validation_are_stock_s(shapes: Path, tmp_path: Path) -> None:
    """The checkpoint's tensors are the model's; a validation moves no memory."""
    model = YOLO(TINY_MODEL)
    ends: list[dict[str, torch.Tensor]] = []
    model.add_callback("on_train_epoch_end", lambda trainer: ends.append(pasts(trainer)))
    model.add_callback("on_fit_epoch_end", lambda trainer: ends.append(pasts(trainer)))
    model.train(data=shapes, project=tmp_path, **{**RUN, "epochs": 1})
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=0, equal_nan=True)
    assert not any("past" in key for key in model.trainer.ema.ema.state_dict())


def test_who_cannot_tell_labels_apart_judges_every_step_by_itself(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = YOLO(TINY_MODEL)
    warnings: list[str] = []
    monkeypatch.setattr(label_ids, "MOST", 1)
    monkeypatch.setattr("yolo_wiou.training.audited.LOGGER.warning", warnings.append)
    model.train(data=shapes, project=tmp_path, **{**RUN, "epochs": 1})
    assert any("trust judges every step by itself" in warning for warning in warnings)
    assert not memories_of(model.trainer.heads)
    assert "memory" not in getattr(torch.load(model.trainer.last, weights_only=False)["model"], ATTRIBUTE)


def test_a_trainer_that_makes_texts_of_classes_does_without(shapes: Path, tmp_path: Path) -> None:
    overrides = {"model": "yolov8s-worldv2.yaml", "data": str(shapes), "loss": "trust", "project": str(tmp_path)}
    assert not WorldTrainer(overrides=overrides).wants_labels
