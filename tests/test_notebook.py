"""Every cell of the notebook runs, with small settings; what is committed is what the source says, with outputs."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
MADE = runpy.run_path(str(ROOT / "scripts" / "make_notebook.py"))


@pytest.mark.slow
def test_every_cell_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.environ["PATH"])  # restored afterwards
    monkeypatch.setenv("PYTHONPATH", "")
    for name in [name for name in os.environ if name.startswith("PYTEST_")]:
        monkeypatch.delenv(name)
    made = MADE["execute"](MADE["read"](EPOCHS=2, COMPARED_EPOCHS=1, IMAGES=32), tmp_path)
    text = "".join(output.get("text", "") for cell in made.cells for output in cell.get("outputs", []))
    assert "wiou3 = nonmonotonic(alpha=1.9, delta=3.0) · (1 - iou + wiou) on 1 head" in text
    assert "too few seeds" in text
    pictures = [o for cell in made.cells for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
    assert len(pictures) >= 4


def test_the_committed_one_is_the_source_s_and_has_pictures():
    made, committed = MADE["read"](), nbformat.read(MADE["NOTEBOOK"], as_version=4)
    assert [cell.source for cell in committed.cells] == [cell.source for cell in made.cells]
    errors = [o for cell in committed.cells for o in cell.get("outputs", []) if o.output_type == "error"]
    assert not errors
    assert any("image/png" in o.get("data", {}) for cell in committed.cells for o in cell.get("outputs", []))
