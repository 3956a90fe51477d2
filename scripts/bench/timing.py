"""What all benchmarks share: paired timings, the machine, and where the figures go."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import ultralytics

from yolo_wiou.compare.provenance import processor

ROOT = Path(__file__).parents[2]
OUT = ROOT / "docs" / "bench"
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "scripts")]  # helpers.cost, markdown


def paired(taken: dict[str, np.ndarray[Any, Any]]) -> dict[str, dict[str, float]]:
    """Median milliseconds of each, and its ratio to stock: median and quartiles over paired rounds."""
    table = {}
    for name, values in taken.items():
        low, median, high = np.quantile(values / taken["stock"], (0.25, 0.5, 0.75))
        table[name] = {"ms": float(np.median(values)) * 1e3, "ratio": median, "low": low, "high": high}
    return table


def machine() -> dict[str, str]:
    """What the figures were measured on and with."""
    return {
        "processor": processor(),
        "cores": str(torch.get_num_threads()),
        "GPU": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "ultralytics": ultralytics.__version__,
    }
