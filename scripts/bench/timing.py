"""What all benchmarks share: paired timings, the machine, and where the figures go."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterable, Iterator
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


def orders(names: Iterable[str], rounds: int) -> Iterator[list[str]]:
    """The order in which each round takes them: drawn, since what comes first in every round is measured as slower."""
    generator = np.random.default_rng(0)
    for _ in range(rounds):
        yield [str(name) for name in generator.permutation(list(names))]


def wait(device: str) -> None:
    """Until the device has done all that it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def kernels(run: Callable[[], Any]) -> dict[str, float]:
    """Kernels that a step launches on CUDA, and the milliseconds that they take, whatever the host needs beside them.

    Copies and fills are among them: each is a launch.
    """
    run()
    wait("cuda")
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as trace:
        run()
        wait("cuda")
    on_device = [event for event in trace.events() or [] if event.device_type.name == "CUDA"]
    return {"launches": len(on_device), "kernel ms": sum(event.time_range.elapsed_us() for event in on_device) / 1e3}


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
