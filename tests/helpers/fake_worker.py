"""In place of a run's process: finishes or fails (losses in `FAIL`) at once, or as soon as there is a file `UNTIL`.

`RATIOS` are the gradient ratios that runs write down, as JSON: by loss, and by data set those that are others there.

In the folder `TELL` it leaves a file called after its process, with the process that started it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # run by its path, it knows no helpers

from helpers.finished import leave_results


def main(folder: Path) -> None:
    """Do what a run does to its folder."""
    run = json.loads((folder / "run.json").read_text())
    (folder / "pid").write_text(str(os.getpid()))
    if "TELL" in os.environ:
        (Path(os.environ["TELL"]) / str(os.getpid())).write_text(str(os.getppid()))
    while "UNTIL" in os.environ and not Path(os.environ["UNTIL"]).exists():
        time.sleep(0.05)
    if run["loss"] in os.environ.get("FAIL", "").split(","):
        sys.exit("no such luck")
    ratios = json.loads(os.environ.get("RATIOS", "{}"))
    if run["loss"] in (ratios := {**ratios, **ratios.get(run["data"], {})}):
        (folder / "train").mkdir()
        (folder / "train" / "results.csv").write_text(f"epoch,wiou/gradient_ratio\n1,{ratios[run['loss']]}\n")
    leave_results(folder, run["seed"])


if __name__ == "__main__":
    if "UNTIL" in os.environ:  # imports torch: what ends at once need not be watched
        from yolo_wiou.compare.worker import as_process

        as_process(main)
    else:
        main(Path(sys.argv[1]))
