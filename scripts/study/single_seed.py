"""Train stock YOLO and our losses on BCCD, one seed, and print AP50, AP75 and AP; go on where an earlier call stopped.

    python scripts/study/single_seed.py path/to/bccd.yaml [OUT] [LOSS ...]

OUT (default runs/bccd) holds the runs and result.json; LOSS defaults to stock, ciou and wiou3, where "stock" is
Ultralytics' own trainer. About six minutes per run on two CPU cores. One seed decides nothing: it moves AP75 by about
two points. What it shows is that the runs work, and that ciou equals stock.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import ultralytics

from yolo_wiou import YOLO

ARGUMENTS: dict[str, Any] = {
    "imgsz": 256,
    "batch": 8,
    "nbs": 8,
    "epochs": 40,
    "close_mosaic": 10,
    "seed": 0,
    "plots": False,
    "exist_ok": True,
}


def train(loss: str, data: Path, out: Path) -> dict[str, float]:
    """Train one loss from scratch; returns the metrics of its best checkpoint and the seconds taken."""
    model = ultralytics.YOLO("yolo11n.yaml") if loss == "stock" else YOLO("yolo11n.yaml")
    own = {} if loss == "stock" else {"loss": loss}
    start = time.monotonic()
    box = model.train(data=data, project=out.resolve(), name=loss, **ARGUMENTS, **own).box
    return {"AP50": box.map50, "AP75": box.map75, "AP": box.map, "seconds": time.monotonic() - start}


def main(data: Path, out: Path, *losses: str) -> None:
    """Train what is missing, print all."""
    out.mkdir(parents=True, exist_ok=True)
    file = out / "result.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    for loss in losses or ("stock", "ciou", "wiou3"):
        if loss not in results:
            results[loss] = train(loss, data, out)
            file.write_text(json.dumps(results, indent=1))
    print("| loss | AP50 | AP75 | AP | seconds |\n|---|---|---|---|---|")
    for loss, row in results.items():
        print(f"| {loss} | {row['AP50']:.3f} | {row['AP75']:.3f} | {row['AP']:.3f} | {row['seconds']:.0f} |")


if __name__ == "__main__":
    if len(sys.argv) < 2 or not Path(sys.argv[1]).is_file():
        sys.exit(str(__doc__))
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "runs/bccd"), *sys.argv[3:])
