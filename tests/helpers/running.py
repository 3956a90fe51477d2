"""Running things: tiny trainings, commands as a user's shell would start them, and what runs leave."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars

ROOT = Path(__file__).parents[2]
TINY: dict[str, Any] = {"imgsz": 64, "epochs": 2, "batch": 4, "plots": False, "workers": 0, "exist_ok": True, "nbs": 4}
MODEL = "yolo11n.yaml"
COLUMNS = [f"wiou/{name}" for name in ("iou", "running_mean", "gain", "objective_factor", "gradient_ratio")]
MODELS = {"segment": "yolo11n-seg.yaml", "pose": "yolo11n-pose.yaml", "obb": "yolo11n-obb.yaml"}


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


def columns(run: Path) -> dict[str, list[float]]:
    """results.csv of a run, by column; Ultralytics padded it with blanks once."""
    table = polars.read_csv(run / "results.csv", infer_schema=False).to_dict(as_series=False)
    return {name.strip(): [float(value) for value in values] for name, values in table.items()}


def argv_of(**arguments: Any) -> list[str]:
    """The arguments of a command line."""
    return [f"{key}={value}" for key, value in arguments.items()]


def shell(
    *command: str, cwd: Path, env: dict[str, str] | None = None, check: bool = True, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run `python …`, as a user's shell would start it: Ultralytics logs nothing where it sees pytest.

    What is on PYTHONPATH (another Ultralytics, say) stays before the installed packages, and this checkout before all.
    """
    unwatched = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
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
