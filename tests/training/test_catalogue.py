"""Every preset trains an epoch in every task and family that takes it, and leaves a checkpoint of stock classes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import ultralytics
from helpers.running import MODEL, MODELS, TINY, columns

from yolo_wiou import YOLO, available_losses
from yolo_wiou.losses.presets import load_config
from yolo_wiou.training.families import DetectionTrainer, OBBTrainer, PoseTrainer, RTDETRTrainer, SegmentationTrainer

TRAINERS = {trainer.kind: trainer for trainer in (DetectionTrainer, SegmentationTrainer, PoseTrainer, OBBTrainer)}
HEADS = {"detect": 1, "end-to-end": 2, "segment": 1, "pose": 1, "obb": 1, "RT-DETR": 1}
"""How many heads regress boxes, by what is trained."""
TAKES = {**TRAINERS, "end-to-end": DetectionTrainer, "RT-DETR": RTDETRTrainer}
CASES = [(kind, loss) for kind in HEADS for loss in available_losses() if TAKES[kind].takes(load_config(loss))]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "loss"), CASES)
def test_a_preset_trains_where_it_is_taken(
    kind: str,
    loss: str,
    shapes: Path,
    task_data: dict[str, Path],
    detr: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    data = task_data.get(kind, shapes)
    model = YOLO({"detect": MODEL, "end-to-end": "yolo26n.yaml", "RT-DETR": str(detr), **MODELS}[kind])
    model.train(data=data, loss=loss, project=tmp_path, name="run", **{**TINY, "epochs": 1})
    table = columns(tmp_path / "run")
    assert all(math.isfinite(value) for values in table.values() for value in values)
    heads = f"{HEADS[kind]} head{'s' * (HEADS[kind] > 1)} of task"
    assert any(f"{loss} = " in line and heads in line for line in caplog.messages)
    stock = ultralytics.YOLO(tmp_path / "run" / "weights" / "best.pt").model
    assert stock.yolo_wiou["loss"]["name"] == loss
    assert all(p.isfinite().all() for p in stock.state_dict().values() if p.is_floating_point())
