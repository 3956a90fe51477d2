"""Which families and tasks work: each trains a tiny epoch with stock, with its own loss by name, and with wiou3.

    python scripts/compatibility/families.py                      all of them; writes docs/compatibility/families.json
    python scripts/compatibility/families.py [--step] FAMILY ...  some, no file; --step: forward and backward of the
                                                                  criterion

Nothing is downloaded. YOLO-World and YOLOE get fixed vectors in place of their text encoders. What is checked, and on
what, is the tests' own: tests/helpers/families.py.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from helpers.families import TEXT_MODEL, check_run, check_step, models, text_stub

OUT = ROOT / "docs" / "compatibility" / "families.json"


def main(argv: list[str]) -> int:
    """Check, print a table, write the file where all were checked; 1 where a family fails."""
    sys.modules[TEXT_MODEL] = text_stub()
    rows = []
    root = Path(tempfile.mkdtemp())
    for family, name in models([word for word in argv if word != "--step"]):
        row = check_step(family, name) if "--step" in argv else check_run(family, name, root)
        rows.append(row)
        print(f"| {row.family} | {row.model} | {row.task} | {row.parity} | {row.wiou3} | {row.note} |", flush=True)
        shutil.rmtree(root / name, ignore_errors=True)
    if not argv:  # not for some of them, nor for steps
        OUT.parent.mkdir(parents=True, exist_ok=True)
        OUT.write_text(json.dumps({"rows": [asdict(row) for row in rows]}, indent=1) + "\n", encoding="utf-8")
    return 0 if all(row.parity and row.wiou3 for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
