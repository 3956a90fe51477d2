"""Kill a training with SIGKILL at random moments, resume it each time, and check what is left in the end.

    python scripts/compatibility/chaos.py [KILLS] [SEED] [OUT]

KILLS (default 20) are drawn uniformly over the time of three epochs from the moment the loss is in place; SEED
(default 0) draws them. One run is trained without a stop for comparison. OUT (default chaos) holds both runs, their
logs and the summary, chaos.json. Prints a table; exits with 1 where an epoch is missing or there twice, where a resumed
run's loss state is not that of the epochs before, or where a resume failed.
"""

from __future__ import annotations

import csv
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch
import ultralytics

from yolo_wiou.data.shapes import ShapesConfig, render_dataset
from yolo_wiou.training.checkpoint import ATTRIBUTE

ARGUMENTS = ["loss=wiou3", "imgsz=64", "batch=4", "nbs=4", "workers=0", "plots=False", "exist_ok=True", "patience=0"]


def start(run: Path, *argv: str) -> subprocess.Popen[bytes]:
    """Start `yolo-wiou train`, logging below the run's name."""
    log = run.with_suffix(".log").open("ab")
    return subprocess.Popen([sys.executable, "-m", "yolo_wiou", "train", *argv], stdout=log, stderr=log)


def rows(run: Path) -> list[dict[str, str]]:
    """Read results.csv, {} where there is none."""
    file = run / "results.csv"
    return list(csv.DictReader(file.open())) if file.exists() else []


def state(run: Path) -> dict[str, Any]:
    """Return epochs done and loss state of last.pt; {} where there is none."""
    last = run / "weights" / "last.pt"
    if not last.exists():
        return {}
    ckpt = torch.load(last, weights_only=False)
    held: dict[str, Any] = getattr(ckpt["ema"] or ckpt["model"], ATTRIBUTE)["heads"][""]
    return {"epochs": ckpt["epoch"] + 1, **held}


def kill_at(run: Path, moment: float, *argv: str) -> str:
    """Start or resume a run, and kill it `moment` seconds after its loss is in place; returns how it ended."""
    sign = run / "loss.yaml"
    before = sign.stat().st_mtime_ns if sign.exists() else 0
    process = start(run, *argv)
    while process.poll() is None and not (sign.exists() and sign.stat().st_mtime_ns > before):
        time.sleep(0.002)
    try:
        code = process.wait(moment)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    return {-signal.SIGKILL: "killed", 0: "finished"}.get(code, f"exit code {code}")


def chaos(kills: int, seed: int, out: Path) -> dict[str, Any]:
    """Train once without and once with kills; returns what is left."""
    config = ShapesConfig(train=16, val=4, imgsz=64, classes=("disc", "box"), sizes=(0.3, 0.7))
    data = render_dataset(out / "data", config)
    argv = [f"data={data}", "model=yolo11n.yaml", f"epochs={2 * kills + 4}", f"project={out}", *ARGUMENTS]
    whole, run = out / "whole", out / "killed"
    start(whole, *argv, "name=whole").wait()
    epochs, three_epochs = len(rows(whole)), float(rows(whole)[2]["time"])
    batches = state(whole)["steps"] // epochs

    ends: Counter[str] = Counter()
    report: list[dict[str, Any]] = []
    draw = random.Random(seed)

    def again() -> list[str]:
        last = run / "weights" / "last.pt"
        return [f"resume={last}"] if last.exists() else [*argv, "name=killed"]

    while ends["killed"] < kills and ends["finished"] == 0 and ends.total() < 2 * kills:
        moment = draw.uniform(0, three_epochs)
        end = kill_at(run, moment, *again())
        ends[end] += 1
        held = state(run)
        ahead = len(rows(run)) - held.get("epochs", 0)
        right = not held or held["steps"] == batches * held["epochs"]
        report.append({"seconds": round(moment, 3), "end": end, **held, "rows_ahead": ahead, "state_right": right})
    if not ends["finished"]:
        ends["last resume: " + {0: "finished"}.get(start(run, *again()).wait(), "failed")] += 1

    left, held = [int(row["epoch"]) for row in rows(run)], state(run)
    return {
        "ultralytics": ultralytics.__version__,
        "kills": ends["killed"],
        "seed": seed,
        "seconds_for_three_epochs": three_epochs,
        "ends": dict(ends),
        "killed_before_the_first_checkpoint": sum("epochs" not in kill for kill in report),
        "killed_between_row_and_checkpoint": sum(kill["rows_ahead"] > 0 for kill in report),
        "epochs": epochs,
        "each_epoch_once": left == list(range(1, epochs + 1)),
        "steps": held.get("steps"),
        "expected_steps": batches * epochs,
        "momentum": held.get("momentum"),
        "expected_momentum": state(whole)["momentum"],
        "state_right_at_every_stop": all(kill["state_right"] for kill in report),
        "last_row_is_the_state": abs(float(rows(run)[-1]["wiou/running_mean"]) - held.get("mean", 0)) < 1e-5,
        "report": report,
    }


def main(kills: str = "20", seed: str = "0", out: str = "chaos") -> int:
    """Run, print; returns 1 where something is missing, doubled or wrong."""
    summary = chaos(int(kills), int(seed), Path(out).resolve())
    (Path(out) / "chaos.json").write_text(json.dumps(summary, indent=1) + "\n")
    print("| seconds after start | end | epochs saved | rows ahead | running mean | steps |\n|---|---|---|---|---|---|")
    for kill in summary["report"]:
        shown = (kill.get(key, "none") for key in ("seconds", "end", "epochs", "rows_ahead", "mean", "steps"))
        print("|", " | ".join(f"{value:.4g}" if isinstance(value, float) else str(value) for value in shown), "|")
    print({key: value for key, value in summary.items() if key != "report"})
    right = (
        set(summary["ends"]) <= {"killed", "finished", "last resume: finished"}
        and summary["each_epoch_once"]
        and summary["steps"] == summary["expected_steps"]
        and summary["momentum"] == summary["expected_momentum"]
        and summary["state_right_at_every_stop"]
        and summary["last_row_is_the_state"]
    )
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
