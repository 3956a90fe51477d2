"""In place of a run's process: writes what `FAKE` asks for, and no more than a moment later."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from yolo_wiou.studies.compare.run import RESULT, Run, write_json
from yolo_wiou.studies.compare.train import as_process


def main(folder: Path) -> None:
    """Finish, fail (the losses in `FAIL`), or wait (`WAIT` seconds) before."""
    run = Run.load(folder)
    print("started", run, flush=True)
    (folder / "pid").write_text(str(os.getpid()))
    time.sleep(float(os.environ.get("WAIT", "0")))
    if run.loss in os.environ.get("FAIL", "").split(","):
        sys.exit("no such luck")
    write_json(
        folder / RESULT, {"seconds": 1.0, "epochs": 1, "stream": [run.seed], "optimizer": {}, "pid": os.getpid()}
    )


if __name__ == "__main__":
    as_process(main)
