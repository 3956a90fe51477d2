"""What the tests share: a settings folder of their own, tiny rendered data, trainings for two cores."""

from __future__ import annotations

import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

os.environ["YOLO_OFFLINE"] = "true"  # before the first import of ultralytics
os.environ["YOLO_CONFIG_DIR"] = tempfile.mkdtemp(prefix="yolo-wiou-tests-")

import pytest
import torch
from helpers.running import MODELS
from ultralytics import SETTINGS

from yolo_wiou.data.shapes import ShapesConfig, render_dataset

SETTINGS.update(mlflow=False)  # on by default where it is installed; one test turns it on again

TINY_DETR = """
nc: 80
scales: {t: [1.0, 1.0, 1024]}
backbone:
  - [-1, 1, Conv, [16, 3, 4]]
  - [-1, 1, Conv, [16, 3, 2]]
  - [-1, 1, Conv, [16, 3, 2]]
  - [-1, 1, Conv, [16, 3, 2]]
head:
  - [[1, 2, 3], 1, RTDETRDecoder, [nc, 16, 20, 2, 2, 3, 32]]
"""


OPTIONAL = ("mlflow", "playwright", "ray", "tensorboard")
"""What only the extra `dev-all` installs; a test of it has the mark `needs`."""


def pytest_report_header() -> str | None:
    """Say what is not tried."""
    absent = ", ".join(name for name in OPTIONAL if not find_spec(name))
    return f"not installed, so not tried: {absent} (pip install -e '.[dev-all]')" if absent else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test of what is not installed, before its fixtures ask for it."""
    for mark in item.iter_markers("needs"):
        if absent := [name for name in mark.args if not find_spec(name)]:
            pytest.skip(f"needs {', '.join(absent)}: pip install -e '.[dev-all,docs]'")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Name the check that a test belongs to where results are read by program: `release("parity {task}")`."""
    for item in items:
        for mark in item.iter_markers("release"):
            parameters = item.callspec.params if hasattr(item, "callspec") else {}
            item.user_properties.append(("check", mark.args[0].format(**parameters)))


@pytest.fixture(autouse=True)
def _threads() -> None:
    torch.set_num_threads(1)  # xdist uses the cores


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data.yaml of twelve rendered images."""
    config = ShapesConfig(train=12, val=6, imgsz=64, classes=("disc", "box"), sizes=(0.2, 0.6))
    return render_dataset(tmp_path_factory.mktemp("data") / "shapes", config)


@pytest.fixture(scope="session")
def task_data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """data.yaml of a few rendered images, by task; an epoch ends with a batch of two."""
    root, same = tmp_path_factory.mktemp("tasks"), {"train": 6, "val": 4, "imgsz": 64, "classes": ("disc", "box")}
    return {task: render_dataset(root / task, ShapesConfig(task=task, sizes=(0.3, 0.6), **same)) for task in MODELS}


@pytest.fixture(scope="session")
def detr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An RT-DETR of 22,000 parameters: 20 queries, 3 decoder layers."""
    path = tmp_path_factory.mktemp("detr") / "rtdetr-tiny.yaml"
    path.write_text(TINY_DETR)
    return path
