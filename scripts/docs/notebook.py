"""Write notebooks/yolo_wiou.ipynb from scripts/docs/notebook_cells.py, run it, and keep the outputs.

    python scripts/docs/notebook.py [--check]
    python scripts/docs/notebook.py try=FILE [EPOCHS=2 ...]    runs it with other settings, into FILE

Under ten minutes on two CPU cores. With --check nothing runs and nothing is written; exit code 1 where the cells of the
committed notebook are not the source's, or lack their outputs.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any

import jupytext  # type: ignore[import-untyped]
import nbformat
from nbclient import NotebookClient

SOURCE = Path(__file__).with_name("notebook_cells.py")
ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "yolo_wiou.ipynb"


def read(**settings: int) -> Any:
    """The notebook without outputs, its settings (EPOCHS=2) changed."""
    made = jupytext.read(SOURCE)
    cell = next(cell for cell in made.cells if "@title Settings" in cell.source)
    cell.source += "".join(f"\n{name} = {value}" for name, value in settings.items())
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    for number, cell in enumerate(made.cells):
        cell.id = f"cell-{number}"
    return made


def execute(made: Any, folder: Path) -> Any:
    """Run every cell in a folder, with this checkout for the installed package; returns the notebook with outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    bin = folder / "bin"
    bin.mkdir()
    for name, action in {"pip": "true", "yolo-wiou": f'exec {sys.executable} -m yolo_wiou "$@"'}.items():
        (bin / name).write_text(f"#!/bin/sh\n{action}\n")
        (bin / name).chmod(stat.S_IRWXU)
    os.environ["PATH"] = f"{bin}:{os.environ['PATH']}"
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    os.environ["WANDB_MODE"] = "disabled"  # Ultralytics reports to W&B where it is installed
    resources = {"metadata": {"path": str(folder)}}
    return NotebookClient(made, timeout=1800, kernel_name="python3", resources=resources).execute()


def tidy(made: Any) -> Any:
    """Keep of the outputs what a reader looks at: progress bars as they ended, no warnings of Jupyter's or MLflow's.

    Ultralytics reports to MLflow where it is installed, as it is beside the other extras.
    """
    for cell in made.cells:
        outputs: list[Any] = []
        for output in cell.get("outputs", []):
            if output.output_type != "stream":
                outputs.append(output)
            elif output.name == "stdout" and outputs and outputs[-1].output_type == "stream":
                outputs[-1].text += output.text
            elif output.name == "stdout":
                outputs.append(output)
        for output in (output for output in outputs if output.output_type == "stream"):
            lines = [line for line in output.text.replace("\r\n", "\n").split("\n") if "MLflow: " not in line]
            output.text = "\n".join(line.rpartition("\r")[2].replace("\x1b[K", "") for line in lines)
        if "outputs" in cell:
            cell.outputs = outputs
    return made


def is_current(committed: Any) -> bool:
    """Whether a notebook has the source's cells, with pictures and without errors."""
    outputs = [output for cell in committed.cells for output in cell.get("outputs", [])]
    has_pictures = any("image/png" in output.get("data", {}) for output in outputs)
    has_errors = any(output.output_type == "error" for output in outputs)
    return [c.source for c in committed.cells] == [c.source for c in read().cells] and has_pictures and not has_errors


def main(argv: list[str]) -> int:
    """Make it, run it, write it, its paths relative to where it ran."""
    if argv == ["--check"]:
        return 0 if is_current(nbformat.read(NOTEBOOK, as_version=4)) else 1
    settings = dict(word.split("=") for word in argv)
    file = Path(settings.pop("try", NOTEBOOK))
    with tempfile.TemporaryDirectory() as folder:
        made = execute(read(**{name: int(value) for name, value in settings.items()}), Path(folder))
        text = nbformat.writes(tidy(made))
    file.parent.mkdir(exist_ok=True)
    file.write_text(text.replace(f"{folder}/", "") + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
