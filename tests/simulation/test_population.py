"""How heavy gains are on stated boxes: by scalar arithmetic on the same boxes, and what the command says."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from helpers.formulas import Geo
from helpers.oracles import ORACLES

from yolo_wiou.cli.main import run_command
from yolo_wiou.losses.presets import load_config
from yolo_wiou.simulation.population import WORST, heaviness, population

approx = pytest.approx


def geometry(mean: float) -> list[Geo]:
    """The boxes of a population, in scalar arithmetic; crossed edges are a point, as everywhere."""
    pred, target = population(mean)
    boxes = []
    for (x1, y1, x2, y2), t in zip(pred.tolist(), target.tolist(), strict=True):
        boxes.append(Geo((x1, y1, max(x1, x2), max(y1, y2)), tuple(t)))
    return boxes


@pytest.mark.parametrize("mean", [0.05, 0.35, WORST])
def test_boxes_are_off_by_as_much_as_is_said(mean: float) -> None:
    losses = [1 - box.iou for box in geometry(mean)]
    assert math.fsum(losses) / len(losses) == approx(mean, abs=1e-3)
    assert min(losses) < mean < max(losses)


@pytest.mark.parametrize(
    ("name", "gain"),
    [
        ("focal-eiou", lambda loss: math.sqrt(1 - loss)),
        ("wiou2", lambda loss: math.sqrt(loss / 0.35)),
        ("wiou3", lambda loss: loss / 0.35 / (3 * 1.9 ** (loss / 0.35 - 3))),
    ],
)
def test_the_objective_factor_by_hand(name: str, gain: Callable[[float], float]) -> None:
    base = {"focal-eiou": "eiou"}.get(name, "wiou1")
    boxes = geometry(0.35)
    weighted = [box.iou * ORACLES[base](box.b, box.g) for box in boxes]
    heavy = math.fsum(gain(1 - box.iou) * value for box, value in zip(boxes, weighted, strict=True))
    (row,) = heaviness([load_config(name)], [0.35])
    assert row.objective_factor == approx(heavy / math.fsum(weighted), rel=1e-3)
    assert 0.5 < row.gradient_ratio < 1.5
    assert row.gradient_ratio != approx(row.objective_factor, rel=0.01)


def test_a_loss_without_a_gain_has_no_row_and_a_constant_is_what_it_is() -> None:
    heavy = load_config("ciou", {"gain.name": "constant", "gain.weight": 1.8})
    (row,) = heaviness([load_config("eiou"), heavy], [0.2, 1.0])
    assert row[:2] == ("ciou*", 0.2)
    assert row.objective_factor == approx(1.8)
    assert row.gradient_ratio == approx(1.8)
    (balanced,) = heaviness([load_config("iou-balanced-loc")], [0.5])
    assert balanced.objective_factor == approx(1)
    assert balanced.gradient_ratio > 1.1


def test_curves_says_it(tmp_path: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["curves", "losses=wiou3,ciou", "means=0.2,1", f"out={tmp_path}"]) == 0
    said, head, row, where = capsys.readouterr().out.splitlines()
    assert "1 being as heavy as without it, on 4,096 boxes" in said
    assert head.split() == ["loss", "running", "mean", "objective", "gradient"]
    assert row.split()[:2] == ["wiou3", "0.2"]
    assert where.startswith("Picture:")
    assert run_command(["curves", "losses=ciou", f"out={tmp_path}"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
