"""Real label errors: do labels that a second annotator drew otherwise stand high in the audit's list?

    python scripts/study/audit_real.py BCCD BCCD_TXL WEIGHTS [OUT] [jobs=1] [seeds=1]

BCCD is github.com/Shenggan/BCCD_Dataset in YOLO's layout, BCCD_TXL a second annotation of 221 of its images, WEIGHTS
holds COCO-pretrained yolo11n-coco.pt, which is trained on the first annotation of 150 images. These are then audited,
once by one pass and once with what the training saw. The second annotation is no truth, but whoever drew it saw the
same images: a label is taken for one that it contradicts where it has no box of that class there at IoU 0.5 (or 0.8),
and a missing one for one that it confirms where it has a box of that class at IoU 0.5.

OUT (default runs/study_audit_real) holds everything; about three minutes a training on one core. The table is printed,
and what it is made of is written to OUT/audit_real.json.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from audit_page import real
from audits import a_run, finish, save
from bccd_txl import FINETUNE, write_data
from command_line import read
from numpy.typing import NDArray

from yolo_wiou.auditing.audit import audit
from yolo_wiou.auditing.findings import AuditedLabel, Box, MissingLabel
from yolo_wiou.auditing.overlap import iou
from yolo_wiou.compare.run import Run
from yolo_wiou.data.yolo_format import parse, read_lines

WEIGHTS = "yolo11n-coco.pt"
LOOK = {key: FINETUNE[key] for key in ("imgsz", "batch", "workers")}
APART = (0.5, 0.8)
"""IoU below which two boxes are of two objects, and below which one of them is loose."""


def main(argv: list[str]) -> int:
    """Train what is missing, audit, print the table."""
    needed = {"BCCD": "bccd.yaml", "BCCD_TXL": "labels/txl", "WEIGHTS": WEIGHTS}
    request = read(argv, needed, "runs/study_audit_real", jobs=1, seeds=1)
    (bccd, txl, weights), out = request.sources, request.out
    data = out / "data" / "data.yaml"
    if not data.exists():
        write_data(bccd, txl, data.parent, "bccd", "bccd")
    training = {**FINETUNE, "model": str(weights / WEIGHTS)}
    runs = [a_run("bccd", data, seed, training) for seed in range(request.options["seeds"])]
    finish(runs, out, request.options["jobs"])
    done = [run for run in runs if run.is_finished(out)]
    results = [row for run in done for row in compared(run, data, txl / "labels" / "txl", out)]
    save(results, out / "audit_real.json")
    print(real(results))
    return int(len(done) < len(runs))


def compared(run: Run, data: Path, second: Path, out: Path) -> Iterator[dict[str, Any]]:
    """Audit the labels that a run was trained on, by one pass and with the run, and compare with the second ones."""
    trained = run.folder(out) / "train"
    for how, past in {"audit": None, "audit, with the run": trained}.items():
        report = audit(data, trained / "weights" / "last.pt", run=past, **LOOK)

        def agreement(rows: Sequence[Any], box: str = "box", sizes: Any = report.sizes) -> NDArray[np.float64]:
            return np.array([best_iou(row, getattr(row, box), second, sizes[row.image]) for row in rows])

        every = agreement(report.labels)
        parts = {"all": every, "first tenth": every[: round(0.1 * len(every))], "flagged": agreement(report.flagged)}
        moved = [row for row in report.labels if row.is_sure and row.reason != "class"]
        yield {
            "method": how,
            "seed": run.seed,
            **{part: len(found) for part, found in parts.items()},
            **{f"{part} < {least}": int((found < least).sum()) for part, found in parts.items() for least in APART},
            "moved": len(moved),
            "moved from": float(agreement(moved).sum()),
            "moved to": float(agreement(moved, "proposed_box").sum()),
            "missing": len(report.missing),
            "confirmed": int((agreement(report.missing) >= APART[0]).sum()),
        }


def best_iou(row: AuditedLabel | MissingLabel, box: Box, second: Path, size: tuple[int, int]) -> float:
    """The best IoU of a box with one of the second annotation's of that class."""
    labels = parse(read_lines(second / f"{Path(row.image).stem}.txt"))
    centred = np.array([label.values for label in labels if label.cls == row.cls]).reshape(-1, 4) * np.tile(size, 2)
    boxes = np.concatenate([centred[:, :2] - centred[:, 2:] / 2, centred[:, 2:]], 1)
    return float(iou(np.array([box]), boxes).max(initial=0))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
