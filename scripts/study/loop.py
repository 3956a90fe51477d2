"""Closing the loop: what of the cost of wrong labels comes back when they are audited, corrected and trained on again?

    python scripts/study/loop.py WEIGHTS [OUT] [jobs=1] [seeds=6] [losses=ciou,trust]

Under every seed errors are planted into 300 rendered images, as audit.py does. COCO-pretrained WEIGHTS/yolo11n-coco.pt
is then trained on the clean labels, on the planted ones, and on what `audit run=… fix=…` makes of the planted ones by
the training on them: "corrected" by itself, and "corrected in full" with fix.remove=true fix.add=true. All trainings of
a seed start alike; all are judged, by their last epoch, on 800 images with clean labels. What comes back is

    (AP - AP on the planted labels with CIoU) / (AP on the clean ones - AP on the planted ones with CIoU)

OUT (default runs/study_loop) holds everything, and the study goes on where it stopped; about a minute a training on one
core. The table is printed, and what it is made of is written to OUT/loop.json.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from audit_page import ARMS, loop
from audits import a_run, finish, planted_copy, save
from command_line import read

from yolo_wiou.auditing.audit import audit
from yolo_wiou.compare.evaluation import evaluate, metrics_of
from yolo_wiou.compare.run import Run
from yolo_wiou.data.shapes import ShapesConfig, render_dataset

WEIGHTS = "yolo11n-coco.pt"
LOOK: dict[str, Any] = {"imgsz": 96, "batch": 8, "workers": 0}
TRAINING: dict[str, Any] = {
    **LOOK,
    "epochs": 12,
    "nbs": 8,
    "optimizer": "AdamW",
    "lr0": 0.001,
    "warmup_epochs": 1,
    "close_mosaic": 4,
    "cache": "ram",
    "val": False,
}
FIXES: dict[str, dict[str, Any]] = {"corrected": {}, "corrected-in-full": {"remove": True, "add": True}}


def main(argv: list[str]) -> int:
    """Train what is missing, seed by seed, and print the table."""
    request = read(argv, {"WEIGHTS": WEIGHTS}, "runs/study_loop", jobs=1, seeds=6, losses="ciou,trust")
    out, losses, jobs = request.out, request.options["losses"].split(","), request.options["jobs"]
    clean = render_dataset(out / "data" / "clean", ShapesConfig(train=300, val=1, seed=1))
    judge = render_dataset(out / "data" / "judge", ShapesConfig(train=1, val=800, seed=2))
    training = {**TRAINING, "model": str(request.sources[0] / WEIGHTS)}
    runs: list[Run] = []
    for seed in range(request.options["seeds"]):

        def on(labels: str, file: Path, loss: str, seed: int = seed) -> Run:
            return a_run(labels, file, seed, training, loss, eval_data=str(judge))

        planted = planted_copy(clean, out / "planted" / str(seed), seed)
        first = on("planted", planted, "ciou")
        finish([first], out, jobs)
        if not first.is_finished(out):
            return 1
        fixed = {name: corrected(first, planted, out / name / str(seed), name) for name in FIXES}
        files = {"clean": clean, "planted": planted, **fixed}
        of_seed = [on(labels, files[labels], loss) for labels, loss in ARMS if loss in losses]
        finish(of_seed, out, jobs)
        runs += of_seed
    results = [result(run, out) for run in runs if run.is_finished(out)]
    save(results, out / "loop.json")
    print(loop(results))
    return int(len(results) < len(runs))


def corrected(run: Run, planted: Path, folder: Path, how: str) -> Path:
    """Audit the labels that a run was trained on, and correct a copy, unless it is there; returns its data.yaml."""
    if not (folder / "fix.csv").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        trained = run.folder(folder.parents[1]) / "train"
        report = audit(planted, trained / "weights" / "last.pt", run=trained, **LOOK)
        print(f"{run}: {report.sentence}", flush=True)
        report.fix(folder, **FIXES[how])
    return folder / "data.yaml"


def result(run: Run, out: Path) -> dict[str, Any]:
    """What came of a training."""
    metrics = metrics_of(evaluate(run.folder(out), "last"))
    of = {name: round(value, 5) for name in ("AP", "AP50", "AP75") if (value := getattr(metrics, name)) is not None}
    return {"labels": run.data, "loss": run.loss, "seed": run.seed, **of}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
