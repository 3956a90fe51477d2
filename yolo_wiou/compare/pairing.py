"""Pairing: whether runs differ in their loss alone. Losses under one seed see equal data, seeds see different data.

It is checked twice: on a few batches before a study trains, and on what its finished runs have written down.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from pydantic import Field

from yolo_wiou.compare.run import DAMAGED, LOG, PAIRING, Optimizer, Record, Result, Run, Stored, last_words
from yolo_wiou.compare.runner import Runner, run_job
from yolo_wiou.files import read_json, write_json

PLAN, FIRST_BATCHES = "plan.json", "proof.json"
REMEDY = "With workers=0 images are loaded where the seed is known; a newer Ultralytics passes it to its workers."


class SplitCount(Stored, extra="ignore"):
    """What Ultralytics found in a split: images, those that it leaves out as corrupt, and objects."""

    images: int
    left_out: int = Field(alias="left out")
    objects: int


class FirstBatches(Stored, extra="ignore"):
    """The beginning of a run.

    Attributes:
        data: name of the data set.
        loss: name of the loss.
        seed: the seed.
        stream: checksums of the batches; those of two runs may end at different epochs.
        optimizer: as it was resolved.
        images: what each split holds, by its name.
    """

    data: str
    loss: str
    seed: int
    stream: tuple[int, ...]
    optimizer: Optimizer
    images: dict[str, SplitCount] = Field(default_factory=dict)

    def __str__(self) -> str:
        """What an objection calls it."""
        return f"{self.loss} under seed {self.seed}"


class NotPairedError(Exception):
    """Lines about a study whose runs would not be pairs, or of which not even a few batches can be trained."""


def check_pairing(runs: Sequence[Run], study: Path, runner: Runner) -> dict[str, list[str]]:
    """Train a few batches to see whether a study's runs are pairs, unless its folder knows.

    Returns:
        Which images of each data set are not used.

    Raises:
        NotPairedError: says what speaks against it.
    """
    known = study / PAIRING / FIRST_BATCHES
    if not read_first_batches(study):
        run_job(PLAN, {"runs": [run.plain() for run in first_pairs(runs)]}, study, PAIRING, runner)
    beginnings = read_first_batches(study)
    if not beginnings:
        raise NotPairedError(f"not even the first batches can be trained. {last_words(study / PAIRING)}")
    if said := objections(beginnings):
        known.unlink()  # whoever mends what they name shall not be held to them
        raise NotPairedError("This would be no fair comparison:", *said)
    return left_out(beginnings, study)


def first_pairs(runs: Sequence[Run]) -> list[Run]:
    """Return of each data set the first two losses under the first seed, and the baseline under the next."""
    baseline, rival, *_ = dict.fromkeys(run.loss for run in runs)
    first, *later = dict.fromkeys(run.seed for run in runs)
    pairs = {(baseline, first), (rival, first), *((baseline, seed) for seed in later[:1])}
    return [run for run in runs if (run.loss, run.seed) in pairs]


def planned_runs(folder: Path) -> list[Run]:
    """Read plan.json."""
    return [Run.model_validate(run) for run in read_json(folder / PLAN)["runs"]]


def write_first_batches(beginnings: Iterable[FirstBatches], folder: Path) -> None:
    """Write what the runs of plan.json began with."""
    write_json(folder / FIRST_BATCHES, {"runs": [beginning.plain() for beginning in beginnings]})


def read_first_batches(study: Path) -> list[FirstBatches]:
    """Read what a study's runs began with; nothing where its folder does not know."""
    try:
        return [FirstBatches.model_validate(run) for run in read_json(study / PAIRING / FIRST_BATCHES)["runs"]]
    except DAMAGED:
        return []


def left_out(beginnings: Iterable[FirstBatches], study: Path) -> dict[str, list[str]]:
    """Say which images of each data set are not used."""
    return {
        run.data: [
            f"{found.left_out} of {found.images} {split} images are left out, as corrupt in themselves or in "
            f"their labels; {study / PAIRING / LOG} names them."
            for split, found in run.images.items()
            if found.left_out
        ]
        for run in beginnings
    }


def objections(beginnings: Iterable[FirstBatches]) -> list[str]:
    """Say where a study is not paired, or has nothing to evaluate on."""
    runs = list(beginnings)
    empty = {run.data for run in runs if "validation" in run.images and not run.images["validation"].objects}
    said = [f"{data}: there is no object in the validation images, so that no AP would be known." for data in empty]
    for first, second in combinations(runs, 2):
        if first.data != second.data:
            continue
        both = f"{first.data}: {first} and {second}"
        if first.seed == second.seed:
            common = min(len(first.stream), len(second.stream))
            if first.stream[:common] != second.stream[:common]:
                said.append(f"{both} saw different data. {REMEDY}")
            if first.optimizer != second.optimizer:
                optimizers = f"{first.optimizer.plain()} and {second.optimizer.plain()}"
                said.append(f"{both} had different optimizers: {optimizers}.")
        elif first.loss == second.loss and first.stream[0] == second.stream[0]:
            said.append(f"{both} saw the same data: two seeds would count as one. {REMEDY}")
    return said


def pairing_warnings(records: Sequence[Record]) -> list[str]:
    """Say what the finished runs of a data set differ in beside their loss."""
    runs = [(record, record.result) for record in records if record.result]
    return [
        *_differing_streams(runs),
        *_equal_streams(runs),
        *_unlike(runs, "ground truth", lambda record, _: record.fingerprint),
        *_unlike(runs, "optimizer", lambda _, result: str(result.optimizer)),
        *_unlike(runs, "number of epochs", lambda _, result: result.epochs),
        *_unlike(runs, "training arguments", lambda record, _: _sorted(record.run.arguments)),
        *_unlike(runs, "versions", lambda _, result: _sorted(result.provenance.versions if result.provenance else {})),
        *_unlike(runs, "commit of this package", lambda _, result: result.provenance and result.provenance.commit),
        *_unlike(runs, "machine", _machine),
    ]


FinishedRun = tuple[Record, Result]


def _machine(record: Record, result: Result) -> str:
    return f"{result.provenance and result.provenance.processor}, {result.device}"


def _sorted(value: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value[key]}" for key in sorted(value))


def _differing_streams(runs: list[FinishedRun]) -> list[str]:
    """Two losses of one seed that were not trained on the same data in the same order."""
    said = []
    for seed in sorted({record.run.seed for record, _ in runs}):
        streams = {record.run.loss: result.stream for record, result in runs if record.run.seed == seed}
        epochs = min(map(len, streams.values()))
        if len({stream[:epochs] for stream in streams.values()}) > 1:
            names = ", ".join(streams)
            said.append(f"The losses did not see the same training data at seed {seed} ({names}): these are no pairs.")
    return said


def _equal_streams(runs: list[FinishedRun]) -> list[str]:
    """Two seeds of one loss that were trained on the very same stream, and so count as one; loss by loss."""
    said = []
    losses = list(dict.fromkeys(record.run.loss for record, _ in runs))
    first: dict[tuple[str, tuple[int, ...]], int] = {}
    for record, result in sorted(runs, key=lambda run: losses.index(run[0].run.loss)):
        loss, seed = record.run.loss, record.run.seed
        earlier = first.setdefault((loss, result.stream), seed)
        if result.stream and earlier != seed:
            said.append(f"Seeds {earlier} and {seed} of {loss} saw the same stream of training data.")
    return said


def _unlike(runs: list[FinishedRun], what: str, value: Callable[[Record, Result], Hashable]) -> list[str]:
    """Name the runs which have another value than most."""
    groups: dict[Hashable, list[str]] = defaultdict(list)
    for record, result in runs:
        groups[value(record, result)].append(f"{record.run.loss} seed {record.run.seed}")
    usual = max(groups, key=lambda key: len(groups[key]), default=None)
    others = [f"{', '.join(names)}: {key}" for key, names in groups.items() if key != usual]
    return [f"Not all runs have the same {what} (most: {usual}); {'; '.join(others)}."] if others else []
