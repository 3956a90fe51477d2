"""What an import costs against Ultralytics' own: whole processes, in a drawn order in every round.

    python scripts/bench/imports.py

Writes docs/bench/import.json, of which performance_page.py makes a table.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
from timing import OUT, machine, orders, paired

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
    for i, order in enumerate(orders(IMPORTS, ROUNDS + 1), start=-1):  # round -1 fills caches, and is overwritten
        for name in order:
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", IMPORTS[name]], check=True)
            taken[name][i] = time.perf_counter() - start
    (OUT / "import.json").write_text(json.dumps({"machine": machine(), "times": paired(taken)}, indent=1))


if __name__ == "__main__":
    main()
