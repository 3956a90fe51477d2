"""What the tests share: a settings folder of their own, tiny rendered data, trainings for two cores."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ["YOLO_OFFLINE"] = "true"  # before the first import of ultralytics
os.environ["YOLO_CONFIG_DIR"] = tempfile.mkdtemp(prefix="yolo-wiou-tests-")

import polars
import pytest
import torch

from yolo_wiou.data.shapes import ShapesConfig, render_dataset

sys.path.insert(0, str(Path(__file__).parent / "losses"))  # `import oracles`

TINY: dict[str, Any] = {"imgsz": 64, "epochs": 2, "batch": 4, "plots": False, "workers": 0, "exist_ok": True, "nbs": 4}
MODEL = "yolo11n.yaml"


@pytest.fixture(autouse=True)
def _threads() -> None:
    torch.set_num_threads(1)  # xdist uses the cores


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data.yaml of twelve rendered images."""
    config = ShapesConfig(train=12, val=6, imgsz=64, classes=("disc", "box"), sizes=(0.2, 0.6))
    return render_dataset(tmp_path_factory.mktemp("data") / "shapes", config)


def columns(run: Path) -> dict[str, list[float]]:
    """results.csv of a run, by column."""
    table = polars.read_csv(run / "results.csv", infer_schema=False).to_dict(as_series=False)
    return {name.strip(): [float(value) for value in values] for name, values in table.items()}  # padded in early 8.3


def words(**arguments: Any) -> list[str]:
    """Command line words of arguments."""
    return [f"{key}={value}" for key, value in arguments.items()]


def shell(
    *command: str, cwd: Path, env: dict[str, str] | None = None, check: bool = True, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run `python …`, as a user's shell would start it: Ultralytics logs nothing where it sees pytest."""
    unwatched = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env={**unwatched, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1]), **(env or {})},
        text=True,
        capture_output=True,
        check=check,
        timeout=timeout,
    )
