"""Every cell of the notebook runs, with small settings; what is committed is what the source says, with outputs."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from helpers.running import ROOT, shell

SCRIPT = str(ROOT / "scripts" / "docs" / "notebook.py")


@pytest.mark.slow
@pytest.mark.needs("onnx", "onnxslim")
def test_every_cell_runs(tmp_path: Path) -> None:
    file = tmp_path / "tried.ipynb"
    shell(SCRIPT, f"try={file}", "EPOCHS=2", "COMPARED_EPOCHS=1", "IMAGES=32", cwd=tmp_path, timeout=1800)
    outputs = [output for cell in nbformat.read(file, as_version=4).cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") for output in outputs)
    assert "trust = trust(dfl=True, k=" in text
    assert " on 1 head of task detect" in text
    assert "Nothing was compared between" in text  # at an AP of 0
    assert re.search(r"\d+ of \d+ labels are flagged; \d+ of these are among the \d+ planted ones", text)
    assert "best.onnx" in text
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 2


def test_the_committed_one_is_the_source_s_and_has_pictures(tmp_path: Path) -> None:
    assert shell(SCRIPT, "--check", cwd=tmp_path).returncode == 0
