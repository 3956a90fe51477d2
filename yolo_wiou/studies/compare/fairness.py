"""What would make a comparison unfair: runs of one data set that differ in more than their loss."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable
from typing import Any

from yolo_wiou.studies.compare.records import Record


def warnings_of(records: list[Record]) -> list[str]:
    """Everything that is wrong with the finished runs of a data set, a sentence each; empty where they are fair."""
    finished = [record for record in records if record.is_finished]
    return [
        *_differing_streams(finished),
        *_equal_streams(finished),
        *_unlike(finished, "ground truth", lambda record: record.fingerprint),
        *_unlike(finished, "optimizer", lambda record: _frozen(record.result["optimizer"])),
        *_unlike(finished, "number of epochs", lambda record: record.result["epochs"]),
        *_unlike(finished, "training arguments", lambda record: _frozen(record.run.arguments)),
        *_unlike(finished, "versions", lambda record: _frozen(record.provenance.get("versions", {}))),
        *_unlike(finished, "commit of this package", lambda record: record.provenance.get("commit")),
        *_unlike(
            finished, "machine", lambda record: f"{record.provenance.get('processor')}, {record.result['device']}"
        ),
    ]


def _frozen(value: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value[key]}" for key in sorted(value))


def _differing_streams(records: list[Record]) -> list[str]:
    """Two losses of one seed that were not trained on the same data in the same order."""
    by_seed: dict[int, list[Record]] = defaultdict(list)
    for record in records:
        by_seed[record.run.seed].append(record)
    found = []
    for seed, runs in sorted(by_seed.items()):
        epochs = min(len(record.result["stream"]) for record in runs)
        if len({tuple(record.result["stream"][:epochs]) for record in runs}) > 1:
            names = ", ".join(record.run.loss for record in runs)
            found.append(f"The losses did not see the same training data at seed {seed} ({names}): these are no pairs.")
    return found


def _equal_streams(records: list[Record]) -> list[str]:
    """Two seeds of one loss that were trained on the very same stream, and so are one."""
    found = []
    for loss in dict.fromkeys(record.run.loss for record in records):
        seen: dict[tuple[int, ...], int] = {}
        for record in records:
            if record.run.loss == loss and record.result["stream"]:
                first = seen.setdefault(tuple(record.result["stream"]), record.run.seed)
                if first != record.run.seed:
                    found.append(f"Seeds {first} and {record.run.seed} of {loss} saw the same stream of training data.")
    return found


def _unlike(records: list[Record], what: str, of: Callable[[Record], Hashable]) -> list[str]:
    """Name the runs which have something that most have not."""
    groups: dict[Hashable, list[str]] = defaultdict(list)
    for record in records:
        groups[of(record)].append(f"{record.run.loss} seed {record.run.seed}")
    usual = max(groups, key=lambda key: len(groups[key]), default=None)
    others = [f"{', '.join(names)}: {key}" for key, names in groups.items() if key != usual]
    return [f"Not all runs have the same {what} (most: {usual}); {'; '.join(others)}."] if others else []
