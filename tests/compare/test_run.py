"""What a run has left: read tolerantly where another release wrote it, and called damaged where it is."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.finished import leave_results
from helpers.studies import a_study
from pydantic import BaseModel, BeforeValidator

import yolo_wiou.compare.findings
import yolo_wiou.compare.pairing
import yolo_wiou.compare.study  # noqa: F401  their models are walked over
from yolo_wiou.compare.pairing import FirstBatches
from yolo_wiou.compare.run import Optimizer, Record, Result, ended_runs


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """A finished run."""
    run = a_study().runs()[0]
    folder = run.folder(tmp_path)
    (folder / "train").mkdir(parents=True)
    run.save(folder)
    (folder / "train" / "results.csv").write_text("epoch,wiou/iou\n1,0.5\n")
    leave_results(folder)
    return Record(run, folder)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def zeros(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


def no_text(file: Path) -> None:
    file.write_bytes(b"epoch,wiou/iou\n1,\xff\xfe\n")


def no_keys(file: Path) -> None:
    file.write_text("{}")


DAMAGES = [
    *((name, harm) for name in ("result.json", "truth.json", "detections-best.npz") for harm in (cut, empty, zeros)),
    *(("train/results.csv", harm) for harm in (empty, zeros, no_text)),
    *((name, no_keys) for name in ("result.json", "truth.json", "train/results.csv")),
    *((name, Path.unlink) for name in ("truth.json", "detections-last.npz")),
]


@pytest.mark.parametrize(("name", "harm"), DAMAGES)
def test_a_run_with_a_damaged_file_is_not_finished(name: str, harm: Callable[[Path], Any], record: Record) -> None:
    harm(record.folder / name)
    assert not record.run.is_finished(record.folder.parents[3])
    assert (record.state, record.result) == ("failed", None)
    assert record.failure == f"'{record.folder / name}' is damaged"


def test_a_whole_run_is_finished_also_where_its_weights_were_removed(record: Record) -> None:
    assert (record.state, record.failure) == ("finished", "")
    (record.folder / "train" / "results.csv").unlink()
    again = Record(record.run, record.folder)
    assert (again.state, again.history) == ("finished", {})


def test_a_run_json_that_is_none_is_in_nobody_s_way(record: Record) -> None:
    (record.folder / "run.json").write_text("{")
    assert ended_runs(record.folder.parents[3]) == []
    (found,) = (r for r in a_study().records(record.folder.parents[3]) if r.state != "waiting")
    assert (found.run, found.state) == (record.run, "finished")  # the study knows whose place it is


def test_what_another_release_has_written_is_read() -> None:
    steered = {"name": "SGD", "lr": 0.01}
    assert Optimizer.model_validate(steered).momentum is None
    plain = {"seconds": 1.0, "epochs": 1, "stream": [1], "device": "cpu", "optimizer": {**steered, "nesterov": True}}
    assert Result.model_validate({**plain, "watts": 3}).optimizer == Optimizer(**steered)
    counts = {"validation": {"images": 4, "left out": 0, "objects": 5, "crowds": 1}}
    seen = {"data": "a", "loss": "ciou", "seed": 0, "stream": [1], "optimizer": steered, "images": counts, "more": 1}
    assert FirstBatches.model_validate(seen).images["validation"].objects == 5


def test_the_truth_of_a_run_is_not_kept(record: Record) -> None:
    """That of all runs of a study would not fit into memory."""
    assert record.fingerprint
    assert record.truth == json.loads((record.folder / "truth.json").read_text())
    assert "truth" not in vars(record)


def models(base: type[BaseModel] = BaseModel) -> Iterator[type[BaseModel]]:
    for model in base.__subclasses__():
        yield from models(model)
        if model.__module__.startswith("yolo_wiou."):
            yield model


def test_validators_take_the_value_alone() -> None:
    """To one that could take two, pydantic 2.7 passes its own `info` as the second."""
    metadata = [item for model in models() for field in model.model_fields.values() for item in field.metadata]
    functions = [item.func for item in metadata if isinstance(item, BeforeValidator)]
    assert functions
    assert all(len(inspect.signature(function).parameters) == 1 for function in functions)
