"""What the tests share: a settings folder of their own, tiny rendered data, trainings for two cores."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["YOLO_OFFLINE"] = "true"  # before the first import of ultralytics
os.environ["YOLO_CONFIG_DIR"] = tempfile.mkdtemp(prefix="yolo-wiou-tests-")

import polars
import pytest
import torch
from ultralytics import SETTINGS

from yolo_wiou.data.shapes import ShapesConfig, render_dataset

SETTINGS.update(mlflow=False)  # on by default where it is installed; one test turns it on again
sys.path.insert(0, str(Path(__file__).parent / "losses"))  # `import oracles`
sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))  # `import counting`, `import check_families`

TINY: dict[str, Any] = {"imgsz": 64, "epochs": 2, "batch": 4, "plots": False, "workers": 0, "exist_ok": True, "nbs": 4}
MODEL = "yolo11n.yaml"
MODELS = {"segment": "yolo11n-seg.yaml", "pose": "yolo11n-pose.yaml", "obb": "yolo11n-obb.yaml"}
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Name the check that a test belongs to where results are read by program: `release("parity {task}")`."""
    for item in items:
        for mark in item.iter_markers("release"):
            parameters = item.callspec.params if hasattr(item, "callspec") else {}
            item.user_properties.append(("check", mark.args[0].format(**parameters)))


class Failed(Exception):
    """A command ended in error: the last line that it wrote, and all of it."""


class StockFails(Exception):
    """The installed Ultralytics cannot do by itself what a test compares with."""


@contextlib.contextmanager
def stock() -> Iterator[None]:
    """Around what Ultralytics does alone: its failure is told from ours."""
    try:
        yield
    except Failed as error:
        raise StockFails(error) from error
    except Exception as error:
        raise StockFails(f"{type(error).__name__}: {error}") from error


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


def columns(run: Path) -> dict[str, list[float]]:
    """results.csv of a run, by column; Ultralytics padded it with blanks once."""
    table = polars.read_csv(run / "results.csv", infer_schema=False).to_dict(as_series=False)
    return {name.strip(): [float(value) for value in values] for name, values in table.items()}


def words(**arguments: Any) -> list[str]:
    """Command line words of arguments."""
    return [f"{key}={value}" for key, value in arguments.items()]


def shell(
    *command: str, cwd: Path, env: dict[str, str] | None = None, check: bool = True, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run `python …`, as a user's shell would start it: Ultralytics logs nothing where it sees pytest.

    What is on PYTHONPATH (another Ultralytics, say) stays before the installed packages, and this checkout before all.
    """
    unwatched = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    path = os.pathsep.join(filter(None, (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env={**unwatched, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, **(env or {})},
        text=True,
        capture_output=True,
        timeout=timeout,
    )
    if check and done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise Failed(f"{last}\n{done.stderr}")
    return done
