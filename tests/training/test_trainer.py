"""Which losses a run may be resumed with."""

from __future__ import annotations

import pytest

from yolo_wiou.losses.config import LossConfig
from yolo_wiou.losses.presets import load_config
from yolo_wiou.training.trainer import same_loss

RESOLVED = 0.25
STATE = {"heads": {"": {"momentum": RESOLVED}}}
"""Of a checkpoint: the momentum that `auto` came to in that run."""


def wiou3(**settings: object) -> LossConfig:
    return load_config("wiou3", {key.replace("__", "."): value for key, value in settings.items()})


@pytest.mark.parametrize(
    "requested",
    [
        wiou3(),
        wiou3(name="mine"),
        wiou3(running_mean__momentum=RESOLVED),  # the run's own loss.yaml
        wiou3(running_mean__momentum=RESOLVED, name="loss"),
    ],
    ids=str,
)
def test_a_run_s_own_loss_is_the_same_under_another_name_and_with_its_momentum_resolved(requested: LossConfig) -> None:
    assert same_loss(requested, wiou3(), STATE)


@pytest.mark.parametrize(
    "requested",
    [
        load_config("wiou2"),
        wiou3(gain__delta=4),
        wiou3(overlap__inner=0.75),
        wiou3(power=2, penalty__name="ciou"),
        wiou3(scale__start=2),
        wiou3(cls_weighting__name="iou-balanced"),
        wiou3(task_balance__name="alwa"),
        wiou3(running_mean__momentum=0.5),
        wiou3(running_mean__converge=0.5),
        wiou3(running_mean__momentum=RESOLVED, running_mean__converge=0.5),
    ],
    ids=str,
)
def test_another_loss_is_not_the_same(requested: LossConfig) -> None:
    assert not same_loss(requested, wiou3(), STATE)


def test_a_momentum_that_the_run_was_given_as_a_number_is_not_auto() -> None:
    stored = wiou3(running_mean__momentum=0.5)
    assert same_loss(stored, stored, {"heads": {"": {"momentum": 0.5}}})
    assert not same_loss(wiou3(), stored, {"heads": {"": {"momentum": 0.5}}})


def test_the_momentum_of_any_head_counts() -> None:
    heads = {"one2many": {"momentum": 0.1}, "one2one": {"momentum": 0.2}}
    assert same_loss(wiou3(running_mean__momentum=0.2), wiou3(), {"heads": heads})


def test_a_stock_run_knows_its_preset_and_no_resolved_momentum() -> None:
    assert same_loss(load_config("ciou"), load_config("ciou"), None)
    assert not same_loss(wiou3(), load_config("ciou"), None)
    assert not same_loss(load_config("ciou", {"running_mean.momentum": RESOLVED}), load_config("ciou"), None)
