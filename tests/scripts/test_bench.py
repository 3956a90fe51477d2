"""scripts/bench/: what it measures runs on the device that it is given, and the page shows what a GPU was asked."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.cost import boxes, step
from helpers.running import ROOT


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Imports a module of the benchmarks."""
    for folder in ("scripts", "scripts/bench"):
        monkeypatch.syspath_prepend(str(ROOT / folder))
    return importlib.import_module


def test_every_term_stays_on_its_device(bench: Callable[[str], Any]) -> None:
    """On `meta`, where a tensor of another device is an error."""
    data = boxes(10, "meta")
    for name, term in bench("loss").terms_on("meta", []).items():
        step(term, data)
        assert term(*data).is_meta, name


def test_the_page_shows_launches_and_kernel_time_where_they_were_measured(bench: Callable[[str], Any]) -> None:
    kernels = {"500": {"stock": {"launches": 181, "kernel ms": 0.36}, "wiou3": {"launches": 59, "kernel ms": 0.1234}}}
    table = bench("performance_page").kernel_table(kernels, ["stock", "wiou3"])
    assert "| wiou3 | 59 | 0.123 |" in table
    assert "| loss | launches | N = 500, ms |" in table
    assert bench("performance_page").kernel_table({}, ["stock"]) == ""


def test_the_page_says_that_no_gpu_was_asked_until_one_was(
    bench: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, docs = bench("performance_page"), shutil.copytree(ROOT / "docs" / "bench", tmp_path / "bench").parent
    monkeypatch.setattr(module, "OUT", docs / "bench")
    assert "not measured yet" in module.page()
    (docs / "compatibility").mkdir()
    (docs / "compatibility" / "gpu.json").touch()
    assert "not measured yet" not in module.page()
    assert "(compatibility.md#on-a-gpu)" in module.page()
