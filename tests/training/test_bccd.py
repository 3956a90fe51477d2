"""Real, hand-drawn boxes: BCCD, where $BCCD says."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import ultralytics
from helpers.running import MODEL, columns

from yolo_wiou import YOLO

SOURCE = Path(os.environ.get("BCCD", "bccd"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (SOURCE / "bccd.yaml").exists(), reason="BCCD does not name the folder of a bccd.yaml"),
]
ARGUMENTS = {"imgsz": 128, "epochs": 4, "batch": 8, "nbs": 8, "plots": False, "workers": 0, "mosaic": 0.0}


def test_ciou_is_stock_and_wiou3_learns(tmp_path: Path) -> None:
    shutil.copytree(SOURCE, tmp_path / "bccd")  # Ultralytics writes caches beside the labels
    data = tmp_path / "bccd" / "bccd.yaml"
    ultralytics.YOLO(MODEL).train(data=data, project=tmp_path, name="stock", **ARGUMENTS)
    for loss in ("ciou", "wiou3"):
        YOLO(MODEL).train(data=data, loss=loss, project=tmp_path, name=loss, **ARGUMENTS)
    stock, ciou, wiou3 = (columns(tmp_path / name) for name in ("stock", "ciou", "wiou3"))
    assert {c: ciou[c] for c in stock if c != "time"} == {c: v for c, v in stock.items() if c != "time"}
    assert wiou3["wiou/iou"][-1] > wiou3["wiou/iou"][0] + 0.1
    assert wiou3["wiou/running_mean"][-1] < 0.9
