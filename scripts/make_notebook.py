"""Write notebooks/yolo_wiou.ipynb from scripts/notebook_cells.py, run it, and keep the outputs.

    python scripts/make_notebook.py

Under ten minutes on two CPU cores. A test runs every cell with smaller settings.
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
NOTEBOOK = SOURCE.parent.parent / "notebooks" / "yolo_wiou.ipynb"


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
    os.environ["PYTHONPATH"] = str(SOURCE.parent.parent)
    resources = {"metadata": {"path": str(folder)}}
    return NotebookClient(made, timeout=1800, kernel_name="python3", resources=resources).execute()


def tidy(made: Any) -> Any:
    """Keep of the outputs what a reader looks at: progress bars as they ended, and no warnings of Jupyter's."""
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
            lines = output.text.replace("\r\n", "\n").split("\n")
            output.text = "\n".join(line.rpartition("\r")[2].replace("\x1b[K", "") for line in lines)
        if "outputs" in cell:
            cell.outputs = outputs
    return made


def main() -> None:
    """Make it, run it, write it, its paths relative to where it ran."""
    with tempfile.TemporaryDirectory() as folder:
        text = nbformat.writes(tidy(execute(read(), Path(folder))))  # type: ignore[no-untyped-call]
    NOTEBOOK.parent.mkdir(exist_ok=True)
    NOTEBOOK.write_text(text.replace(f"{folder}/", "") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
