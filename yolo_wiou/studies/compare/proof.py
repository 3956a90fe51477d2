"""Proof that a study is paired: losses under one seed see equal data, seeds see different data.

    python -m yolo_wiou.studies.compare.proof FOLDER

FOLDER holds plan.json, a list of runs; the process trains each for a few batches and writes proof.json.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Any

from yolo_wiou.studies.compare.plan import Study
from yolo_wiou.studies.compare.run import Run, read_json, write_json
from yolo_wiou.studies.compare.train import Stream, as_process, optimizer, train

PLAN, PROOF = "plan.json", "proof.json"
BATCHES = 3


class EnoughError(Exception):
    """As many batches as the proof needs."""


def prepare(study: Study, folder: Path) -> None:
    """Write plan.json: on each data set the first two losses under the first seed, and the baseline under the next."""
    baseline, rival, *_ = study.losses
    pairs = [(baseline, study.seeds[0]), (rival, study.seeds[0]), *((baseline, seed) for seed in study.seeds[1:2])]
    runs = [run for run in study.runs() if (run.loss, run.seed) in pairs]
    write_json(folder / PLAN, {"runs": [run.model_dump(mode="json") for run in runs]})


def main(folder: Path) -> None:
    """Train every run of plan.json for a few batches."""
    seen = []
    for plan in read_json(folder / PLAN)["runs"]:
        run = Run.model_validate(plan)
        seen.append({"data": run.data, "loss": run.loss, "seed": run.seed, **first_batches(run, folder)})
    write_json(folder / PROOF, {"runs": seen})


def first_batches(run: Run, folder: Path) -> dict[str, Any]:
    """Train for a few batches; returns the checksum of their data, and the optimizer."""
    stream = Stream()
    seen: dict[str, Any] = {}
    batches = 0

    def look(trainer: Any) -> None:
        nonlocal batches
        batches += 1
        seen.update(stream=[stream.crc], optimizer=optimizer(trainer))
        if batches == BATCHES:
            raise EnoughError

    try:
        train(run, folder, stream, on_train_batch_end=look)
    except EnoughError:
        pass
    finally:
        shutil.rmtree(folder / "train", ignore_errors=True)
    return seen


def objections(seen: Iterable[dict[str, Any]]) -> list[str]:
    """Say where a study is not paired.

    Args:
        seen: of every run `data`, `loss`, `seed`, its `stream` of checksums and its `optimizer`. Streams may end at
            different epochs; what both have must be equal under one seed, and the beginning must differ between seeds.
    """
    found = []
    for one, other in combinations(seen, 2):
        if one["data"] != other["data"]:
            continue
        names = f"{one['data']}: {one['loss']} under seed {one['seed']} and {other['loss']} under seed {other['seed']}"
        if one["seed"] == other["seed"]:
            common = min(len(one["stream"]), len(other["stream"]))
            if one["stream"][:common] != other["stream"][:common]:
                found.append(f"{names} saw different data.")
            if one["optimizer"] != other["optimizer"]:
                found.append(f"{names} had different optimizers: {one['optimizer']} and {other['optimizer']}.")
        elif one["loss"] == other["loss"] and one["stream"][0] == other["stream"][0]:
            found.append(f"{names} saw the same data: two seeds would count as one.")
    return found


if __name__ == "__main__":
    as_process(main)
