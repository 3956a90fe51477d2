"""Proof of pairs: what speaks against a study, and what it says of the data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from yolo_wiou.compare.pairing import FirstBatches, left_out, objections, read_first_batches


def seen(
    loss: str, seed: int, *stream: int, data: str = "a", optimizer: str = "SGD", objects: int = 5
) -> dict[str, Any]:
    images = {
        "training": {"images": 9, "left out": 2, "objects": 7},
        "validation": {"images": 4, "left out": 0, "objects": objects},
    }
    steered = {"name": optimizer, "lr": 0.01, "momentum": 0.9}
    return {"data": data, "loss": loss, "seed": seed, "stream": stream, "optimizer": steered, "images": images}


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([seen("ciou", 0, 1), seen("wiou3", 0, 1), seen("ciou", 1, 2)], None),
        ([seen("ciou", 0, 1, 5), seen("wiou3", 0, 1)], None),  # one stopped early
        ([seen("ciou", 0, 1), seen("ciou", 0, 2, data="b"), seen("ciou", 1, 2, data="a")], None),
        ([seen("ciou", 0, 1), seen("wiou3", 0, 2)], "a: ciou under seed 0 and wiou3 under seed 0 saw different data"),
        ([seen("ciou", 0, 1), seen("ciou", 1, 1)], "saw the same data: two seeds would count as one"),
        ([seen("ciou", 0, 1), seen("wiou3", 0, 1, optimizer="AdamW")], "had different optimizers"),
        (
            [seen("ciou", 0, 1, objects=0), seen("wiou3", 0, 1, objects=0)],
            "a: there is no object in the validation images",
        ),
    ],
)
def test_objections(runs: list[dict[str, Any]], message: str | None) -> None:
    found = objections(FirstBatches.model_validate(run) for run in runs)
    assert len(found) == (message is not None)
    assert not message or message in found[0]


def test_images_that_are_left_out_are_told(tmp_path: Path) -> None:
    assert read_first_batches(tmp_path) == []
    (tmp_path / "proof").mkdir()
    (tmp_path / "proof" / "proof.json").write_text(json.dumps({"runs": [seen("ciou", 0, 1), seen("wiou3", 0, 1)]}))
    said = left_out(read_first_batches(tmp_path), tmp_path)
    assert list(said) == ["a"]
    (warning,) = said["a"]
    assert warning.startswith("2 of 9 training images are left out, as corrupt in themselves or in their labels")
    assert str(Path("proof", "log.txt")) in warning
