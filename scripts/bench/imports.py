"""What an import costs against Ultralytics' own: whole processes in turn.

    python scripts/bench/imports.py

Writes docs/bench/import.json, of which performance_page.py makes a table.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
from timing import OUT, machine, paired

ROUNDS = 9
IMPORTS = {
    "stock": "from ultralytics import YOLO",
    "from yolo_wiou import YOLO": "from yolo_wiou import YOLO",
    "from yolo_wiou import load_loss": "from yolo_wiou import load_loss",
    "import yolo_wiou": "import yolo_wiou",
}


def main() -> None:
    """Measure, write."""
    taken = {name: np.empty(ROUNDS) for name in IMPORTS}
    for i in range(-1, ROUNDS):  # round -1 fills the caches; its row is overwritten
        for name, line in IMPORTS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", line], check=True)
            taken[name][i] = time.perf_counter() - start
    (OUT / "import.json").write_text(json.dumps({"machine": machine(), "times": paired(taken)}, indent=1))


if __name__ == "__main__":
    main()
