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

from yolo_wiou.studies.compare.plan import PROVED, Study
from yolo_wiou.studies.compare.run import LOG, Run, read_json, write_json
from yolo_wiou.studies.compare.train import Stream, as_process, optimizer, train

PLAN, PROOF = "plan.json", "proof.json"
BATCHES = 3
REMEDY = "With workers=0 images are loaded where the seed is known; a newer Ultralytics passes it to its workers."


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
    """Train for a few batches; returns the checksum of their data, the optimizer, and what the data set holds."""
    stream = Stream()
    seen: dict[str, Any] = {}
    batches = 0

    def look(trainer: Any) -> None:
        nonlocal batches
        batches += 1
        seen.update(stream=[stream.crc], optimizer=optimizer(trainer), images=count(run, trainer))
        if batches == BATCHES:
            raise EnoughError

    try:
        train(run, folder, stream, on_train_batch_end=look)
    except EnoughError:
        pass
    finally:
        shutil.rmtree(folder / "train", ignore_errors=True)
    return seen


def count(run: Run, trainer: Any) -> dict[str, dict[str, int]]:
    """Count what Ultralytics found in a data set: images, those it leaves out as corrupt, and objects."""
    loaders = {"training": trainer.train_loader}
    if not run.judge:
        loaders["validation"] = trainer.test_loader
    counts = {}
    for split, loader in loaders.items():
        dataset, labels = loader.dataset, loader.dataset.labels
        there = len(dataset.get_img_files(dataset.img_path))
        objects = sum(len(label["cls"]) for label in labels)
        counts[split] = {"images": there, "left out": there - len(labels), "objects": objects}
    return counts


def left_out(folder: Path) -> dict[str, list[str]]:
    """Say of every data set of a study which images are not used, as far as a proof in the study's folder knows."""
    file = folder / PROVED / PROOF
    runs = read_json(file)["runs"] if file.is_file() else []
    return {
        one["data"]: [
            f"{found['left out']} of {found['images']} {split} images are left out, as corrupt in themselves or in "
            f"their labels; {file.with_name(LOG)} names them."
            for split, found in one.get("images", {}).items()
            if found["left out"]
        ]
        for one in runs
    }


def objections(seen: Iterable[dict[str, Any]]) -> list[str]:
    """Say where a study is not paired.

    Args:
        seen: of every run `data`, `loss`, `seed`, its `stream` of checksums, its `optimizer` and, where they were
            counted, its `images`. Streams may end at different epochs; what both have must be equal under one seed, and
            the beginning must differ between seeds.
    """
    seen = list(seen)
    empty = {one["data"] for one in seen if not one.get("images", {}).get("validation", {"objects": 1})["objects"]}
    found = [f"{data}: there is no object in the validation images, so that no AP would be known." for data in empty]
    for one, other in combinations(seen, 2):
        if one["data"] != other["data"]:
            continue
        names = f"{one['data']}: {one['loss']} under seed {one['seed']} and {other['loss']} under seed {other['seed']}"
        if one["seed"] == other["seed"]:
            common = min(len(one["stream"]), len(other["stream"]))
            if one["stream"][:common] != other["stream"][:common]:
                found.append(f"{names} saw different data. {REMEDY}")
            if one["optimizer"] != other["optimizer"]:
                found.append(f"{names} had different optimizers: {one['optimizer']} and {other['optimizer']}.")
        elif one["loss"] == other["loss"] and one["stream"][0] == other["stream"][0]:
            found.append(f"{names} saw the same data: two seeds would count as one. {REMEDY}")
    return found


if __name__ == "__main__":
    as_process(main)
