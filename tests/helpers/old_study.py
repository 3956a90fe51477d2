"""The study of release 0.1.0 that is kept in tests/fixtures, as a user has it."""

from __future__ import annotations

import shutil
from pathlib import Path

from helpers.running import ROOT
from yolo_wiou.data.shapes import ShapesConfig, render_dataset

FIXTURES = ROOT / "tests" / "fixtures"


def copy_study(root: Path) -> Path:
    """Put the study into a new folder, beside its data and its model, as the command left it; returns the study's."""
    shutil.copytree(FIXTURES / "study", root / "study")
    shutil.copy(FIXTURES / "model.yaml", root)
    for file in root.rglob("*.json"):
        file.write_text(file.read_text().replace("@ROOT@", str(root)))
    config = ShapesConfig(train=96, val=12, imgsz=64, classes=("disc", "star"), sizes=(0.3, 0.6), objects=(1, 3))
    render_dataset(root / "study-shapes", config)
    return root / "study"
