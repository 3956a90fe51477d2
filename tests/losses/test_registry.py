"""Registering a function: its settings, its rule about the whole loss, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.running import shell
from torch import Tensor

from yolo_wiou import ConfigError, FiniteFloat
from yolo_wiou.losses import GAINS, OVERLAPS, PENALTIES, BoxPair, RunningMean
from yolo_wiou.losses.config import LossConfig
from yolo_wiou.losses.positives import Objects, Positives
from yolo_wiou.losses.presets import dotted, load_config
from yolo_wiou.losses.registry import Registry

FOCALER = "boxes below 'focaler' d > 0 need a penalty to be moved at all."
NOTHING_LEFT = "overlap 'none' has nothing that 'inner' or 'focaler' could change."
ALWAYS_0 = "overlap 'none' needs a penalty, or the loss is always 0."
NEEDS_IOU = "penalty 'wiou' multiplies the IoU loss: it needs overlap 'iou'."
NO_POWER = "penalty 'wiou' multiplies the IoU loss, which has no power here: leave 'power' at 1."
REPLACES = "penalty 'focal-l1' replaces the overlap: set it 'none'."
BOUNDS = "penalty 'd-interp' needs 'low' below 'high', or equal to it."
TAKES = "penalty 'sdiou' takes from the overlap's loss, which has no power here: leave 'power' at 1."
SIZES = "overlap 'nwd' compares sizes, which 'inner' would scale."


@pytest.mark.parametrize(
    ("loss", "objection"),
    [
        ({"overlap.focaler": (0.1, 0.9)}, FOCALER),
        ({"overlap": "nwd", "overlap.focaler": (0.1, 0.9)}, FOCALER),
        ({"overlap": "none", "overlap.inner": 2, "penalty": "siou"}, NOTHING_LEFT),
        ({"overlap": "none", "overlap.focaler": (0, 0.9), "penalty": "siou"}, NOTHING_LEFT),
        ({"overlap": "none"}, ALWAYS_0),
        ({"overlap": "nwd", "overlap.inner": 0.7}, SIZES),
        ({"overlap": "iou-nwd", "overlap.inner": 0.7}, SIZES.replace("nwd", "iou-nwd")),
        ({"penalty": "sdiou", "power": 2}, TAKES),
        ({"overlap": "kfiou"}, "overlap 'kfiou' sees no centres: it needs a penalty, diou for one."),
        (
            {"overlap": "kfiou", "overlap.inner": 0.7, "penalty": "diou"},
            "overlap 'kfiou' is free of scale: 'inner' would change nothing.",
        ),
        ({"overlap": "none", "penalty": "wiou"}, NEEDS_IOU),
        ({"overlap": "nwd", "penalty": "wiou"}, NEEDS_IOU),
        ({"overlap.inner": 0.75, "penalty": "wiou", "power": 2}, NO_POWER),
        ({"penalty": "focal-l1"}, REPLACES),
        ({"overlap": "nwd", "penalty": "focal-l1"}, REPLACES),
        ({"penalty": "d-interp", "penalty.low": 0.9, "penalty.high": 0.5}, BOUNDS),
    ],
    ids=str,
)
def test_parts_that_contradict_each_other_are_refused(loss: dict[str, Any], objection: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(loss)
    assert str(error.value) == objection


@pytest.mark.parametrize(
    "loss",
    [
        {"overlap.focaler": (0, 0.9)},
        {"overlap.focaler": (0.1, 0.9), "penalty": "diou"},
        {"overlap": "none", "penalty": "siou"},
        {"overlap": "nwd", "overlap.focaler": (0, 0.9), "power": 2},
        {"overlap.inner": 0.75, "penalty": "wiou"},
        {"overlap": "none", "penalty": "focal-l1", "power": 2},
        {"penalty": "d-interp", "penalty.low": 0.7, "penalty.high": 0.7},
    ],
    ids=str,
)
def test_parts_next_to_a_contradiction_are_taken(loss: dict[str, Any]) -> None:
    taken = dotted(load_config(loss).model_dump())
    for key, value in loss.items():
        assert taken[f"{key}.name" if key in {"overlap", "penalty", "gain"} else key] == value


@pytest.fixture
def registries(monkeypatch: pytest.MonkeyPatch) -> dict[str, Registry[Any]]:
    """The registries by axis; what a test registers is gone after it."""
    registries: dict[str, Registry[Any]] = {"overlap": OVERLAPS, "penalty": PENALTIES, "gain": GAINS}
    for registry in registries.values():
        for held in ("functions", "components", "rules"):
            monkeypatch.setattr(registry, held, dict(getattr(registry, held)))
    return registries


@pytest.mark.parametrize("axis", ["overlap", "penalty", "gain"])
def test_a_function_from_outside_brings_its_own_rule(registries: dict[str, Registry[Any]], axis: str) -> None:
    def needs_converge(config: LossConfig) -> Iterator[str]:
        if config.running_mean.converge < 0.5:
            yield f"'mine' needs a running mean that converges in {getattr(config, axis).least} of the run."

    @registries[axis].register("mine", rule=needs_converge)
    def mine(pair: BoxPair, *arguments: Tensor, least: FiniteFloat = 0.5) -> Tensor:
        return pair.iou

    with pytest.raises(ConfigError, match=r"^'mine' needs a running mean that converges in 0\.6 of the run\.$"):
        load_config({axis: {"name": "mine", "least": 0.6}})
    assert load_config({axis: "mine", "running_mean.converge": 0.5}).running_mean.converge == 0.5


def test_an_overlap_from_outside_has_the_rule_of_its_axis_too(registries: dict[str, Registry[Any]]) -> None:
    def needs_converge(config: LossConfig) -> Iterator[str]:
        if config.running_mean.converge < 0.5:
            yield "'mine' needs a running mean that converges late."

    @OVERLAPS.register("mine", rule=needs_converge)
    def mine(pair: BoxPair) -> Tensor:
        return pair.iou

    settings = {"overlap": {"name": "mine", "focaler": (0.2, 0.9)}, "running_mean.converge": 0.5}
    with pytest.raises(ConfigError, match="boxes below 'focaler' d > 0 need a penalty"):
        load_config(settings)
    assert load_config({**settings, "penalty": "diou"}).overlap.name == "mine"
    with pytest.raises(ConfigError, match="converges late"):
        load_config({**settings, "penalty": "diou", "running_mean.converge": 0.4})


def test_the_overlap_s_objection_comes_before_the_penalty_s() -> None:
    with pytest.raises(ConfigError, match=f"^{SIZES}$"):
        load_config({"overlap": "nwd", "overlap.inner": 0.7, "penalty": "focal-l1"})


def test_a_function_without_a_rule_fits_everywhere(registries: dict[str, Registry[Any]]) -> None:
    @registries["penalty"].register("mine")
    def mine(pair: BoxPair) -> tuple[Tensor, ...]:
        return (pair.distance2,)

    assert load_config({"penalty": "mine", "overlap": "none", "power": 2}).penalty.name == "mine"


@pytest.mark.parametrize(("axis", "name"), [("overlap", "iou"), ("penalty", "ciou"), ("gain", "none")])
def test_a_name_is_given_once(registries: dict[str, Registry[Any]], axis: str, name: str) -> None:
    with pytest.raises(ConfigError, match=f"{axis} '{name}' exists already"):
        registries[axis].register(name)


def test_number_is_the_old_name_of_finite_float_and_says_so_once(tmp_path: Path) -> None:
    script = "import yolo_wiou as y; from yolo_wiou import Number; assert y.Number is Number is y.FiniteFloat"
    said = shell("-W", "always::DeprecationWarning", "-c", script, cwd=tmp_path).stderr
    assert said.count("yolo_wiou.Number is now FiniteFloat") == 1
    assert "<string>:1:" in said


def test_a_gain_that_asks_for_what_nobody_knows_is_refused(registries: dict[str, Registry[Any]]) -> None:
    with pytest.raises(
        ConfigError, match=r"^gain 'mine' asks for 'means'\. Did you mean 'mean'\? Valid: excess, expected"
    ):

        @GAINS.register("mine")
        def mine(means: Tensor) -> Tensor:
            return means


@pytest.mark.parametrize("name", GAINS.offers)
def test_what_a_gain_may_ask_for_is_there(name: str) -> None:
    boxes = torch.tensor([[0.0, 0.0, 4.0, 2.0]])
    pair = BoxPair.of(boxes, boxes)
    one = Objects(torch.zeros(1, dtype=torch.long), 1)
    positives = Positives(lambda: pair, pair.iou_loss, None, None, RunningMean(0.1, with_sizes=True), labels=one)
    assert getattr(positives, name) is not None
