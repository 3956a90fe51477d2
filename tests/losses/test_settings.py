"""Every setting of every registered function, at two values beside its default: value and gradient are the oracle's.

A preset holds one value of a setting, so a setting that is ignored, or a bound that is lost, shows up only here.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers.float64 import by_oracle, in_float64
from helpers.oracles import Oracle
from helpers.pairs import KINKS, named_pairs, random_pairs
from torch import Tensor

from yolo_wiou import ConfigError, load_loss
from yolo_wiou.losses import GAINS, OVERLAPS, PENALTIES, BoxPair, LossConfig
from yolo_wiou.losses.presets import load_config
from yolo_wiou.losses.registry import Registry
from yolo_wiou.losses.settings import Component, FiniteFloat, Scale

REGISTRIES: dict[str, Registry[Any]] = {"overlap": OVERLAPS, "penalty": PENALTIES, "gain": GAINS}
FOCALER = ((0.2, 1.0), (0.1, 0.7))

VALUES: dict[tuple[str, str], dict[str, tuple[Any, Any]]] = {
    ("overlap", "iou"): {"inner": (0.75, 1.3), "focaler": FOCALER},
    ("overlap", "nwd"): {"constant": (5.0, 40.0), "focaler": FOCALER},
    ("overlap", "iou-nwd"): {"kappa": (0.1, 0.8), "constant": (5.0, 40.0), "focaler": FOCALER},
    ("overlap", "gcd"): {"inner": (0.75, 1.3), "focaler": FOCALER},
    ("overlap", "kld"): {"tau": (0.5, 3.0), "inner": (0.75, 1.3), "focaler": FOCALER},
    ("overlap", "gwd"): {"tau": (0.5, 3.0), "inner": (0.75, 1.3), "focaler": FOCALER},
    ("overlap", "kfiou"): {"focaler": FOCALER},
    ("overlap", "none"): {},
    ("penalty", "none"): {},
    ("penalty", "giou"): {},
    ("penalty", "diou"): {},
    ("penalty", "ciou"): {},
    ("penalty", "sdiou"): {"delta": (0.2, 0.9), "area": (1e4, 6e5)},
    ("penalty", "eiou"): {},
    ("penalty", "siou"): {"theta": (1.5, 7.0)},
    ("penalty", "shape"): {"scale": (0.5, 2.0), "theta": (1.5, 7.0)},
    ("penalty", "mpdiou"): {},
    ("penalty", "piou"): {},
    ("penalty", "interp"): {"kappa": (0.3, 0.9)},
    ("penalty", "d-interp"): {"low": (0.2, 0.9), "high": (0.7, 0.9)},
    ("penalty", "focal-l1"): {"beta": (0.4, 1.0)},
    ("penalty", "wiou"): {},
    ("gain", "none"): {},
    ("gain", "constant"): {"weight": (0.4, 2.5)},
    ("gain", "iou-power"): {"gamma": (0.0, 2.0)},
    ("gain", "iou-balanced"): {"lam": (0.0, 3.0), "norm": ("first", "none")},
    ("gain", "trust"): {"k": (0.5, 4.0)},
    ("gain", "piou2"): {"lam": (0.7, 4.0)},
    ("gain", "monotonic"): {"gamma": (0.0, 2.0)},
    ("gain", "nonmonotonic"): {"alpha": (1.4, 3.0), "delta": (1.5, 5.0)},
}
"""A row for each registered function: two values for each of its settings."""

REFUSED = {
    ("overlap", "nwd", "inner"): 0.75,
    ("overlap", "iou-nwd", "inner"): 0.75,
    ("overlap", "kfiou", "inner"): 0.75,
    ("overlap", "none", "inner"): 0.75,
    ("overlap", "none", "focaler"): (0.0, 0.7),
    ("penalty", "wiou", "power"): 2.0,
    ("penalty", "sdiou", "power"): 2.0,
}
"""Settings that a function shares with its axis, or with the whole loss, and cannot have."""

SHARED = {"power": (1.5, 4.0), "scale.start": (0.5, 2.0), "scale.end": (0.5, 2.0)}
"""Settings of the whole loss: each is tried with every function."""

ELSEWHERE = ("running_mean", "cls_weighting", "task_balance")
"""Sections that change no box's loss: test_running_mean.py, test_cls_weighting.py, tests/training/test_switches.py.

Nor does gain.dfl.
"""

PARTNERS: dict[tuple[str, str], dict[str, Any]] = {
    ("overlap", "none"): {"penalty": "focal-l1"},  # the loss would be 0
    ("overlap", "iou"): {"penalty": "diou"},  # boxes below focaler's d would not be moved
    **{("overlap", name): {"penalty": "diou"} for name in ("nwd", "iou-nwd", "gcd", "kld", "gwd", "kfiou")},
    ("penalty", "sdiou"): {"penalty.area": 1e5},  # no box of the pairs is as small as the default
    ("penalty", "focal-l1"): {"overlap": "none"},  # it replaces the overlap
    ("gain", "iou-balanced"): {"penalty": "ciou"},
}
"""What a function needs beside it, where plain IoU does not do."""

MEAN = float(torch.tensor(0.4))
FIRST = (3.0, 2.0)
"""The sums of a first step that has been, for `norm: first`."""
CONTEXT: dict[str, Any] = {"stride": 8.0, "imgsz": (480.0, 640.0)}
PROGRESS = 0.3
PAIRS = random_pairs(80, seed=21)
PAIRS += [pair for name, pair in named_pairs().items() if name not in {*KINKS, "tiny", "huge", "very-flat"}]


def rows() -> list[Any]:
    """(loss, setting, its two values): a function's own settings, and those of the whole loss with every function."""
    found = []
    for (axis, name), own in VALUES.items():
        loss = {axis: name, **PARTNERS.get((axis, name), {})}
        settings = {f"{axis}.{setting}": values for setting, values in own.items()}
        settings |= {key: values for key, values in SHARED.items() if (axis, name, key) not in REFUSED}
        found += [pytest.param(loss, *row, id=f"{axis}-{name}-{row[0]}") for row in settings.items()]
    loss = {"penalty": "ciou", "scale.start": 2.0, "scale.end": 0.5}
    return [*found, pytest.param(loss, "scale.schedule", ("cosine", "fraction"), id="scale.schedule")]


def in_need_of_rows() -> dict[tuple[str, str], set[str]]:
    """Every registered function, with the settings of its formula."""
    return {
        (axis, name): {key for key in component.model_fields if (axis, name, key) not in REFUSED} - {"name", "dfl"}
        for axis, registry in REGISTRIES.items()
        for name, component in registry.components.items()
    }


def compute(settings: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Value and gradient by the package, once they are found to be the oracle's."""
    loss = load_loss(settings)
    loss.running_mean.mean.fill_(MEAN)
    loss.running_mean.first.copy_(torch.tensor(FIRST)[: loss.running_mean.first.numel()])
    loss.progress = PROGRESS
    computed = in_float64(loss, PAIRS, **CONTEXT)
    context = {**CONTEXT, "mean": MEAN, "progress": PROGRESS}
    if settings.get("gain.norm") == "first":
        context["factor"] = FIRST[0] / FIRST[1]
    value, gradient = (by_oracle(Oracle(settings), PAIRS, gradient, **context) for gradient in (False, True))
    torch.testing.assert_close(computed[0], value, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(computed[1], gradient, rtol=1e-5, atol=1e-7)
    return computed


@pytest.mark.parametrize(("loss", "setting", "values"), rows())
def test_a_setting_does_what_the_oracle_says_and_makes_a_difference(
    loss: dict[str, Any], setting: str, values: tuple[Any, Any]
) -> None:
    """The second half keeps a row from being blind: no two of default and both values give nearly the same."""
    results = [compute(changes) for changes in (loss, *({**loss, setting: value} for value in values))]
    for first, second in ((0, 1), (0, 2), (1, 2)):
        for before, after in zip(results[first], results[second], strict=True):
            assert (after - before).abs().max() > 1e-2 * before.abs().max()


@pytest.mark.parametrize(("axis", "name", "setting"), REFUSED)
def test_a_setting_without_a_row_is_refused(axis: str, name: str, setting: str) -> None:
    loss = {axis: name, **PARTNERS.get((axis, name), {})}
    load_config(loss)
    with pytest.raises(ConfigError):
        load_config({**loss, setting if setting in SHARED else f"{axis}.{setting}": REFUSED[axis, name, setting]})


def test_every_registered_function_and_setting_has_its_row() -> None:
    assert in_need_of_rows() == {function: set(own) for function, own in VALUES.items()}


def test_every_setting_of_the_whole_loss_has_its_row() -> None:
    assert {"power", *(f"scale.{key}" for key in Scale.model_fields)} == {*SHARED, "scale.schedule"}
    assert set(LossConfig.model_fields) == {"name", *REGISTRIES, "power", "scale", *ELSEWHERE}


def test_a_new_function_or_setting_would_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REGISTRIES, "penalty", registry := Registry("penalty", Component, "none"))

    @registry.register("mine")
    def mine(pair: BoxPair) -> tuple[Tensor, ...]:
        return (pair.distance2,)

    @registry.register("siou")
    def siou(pair: BoxPair, *, theta: FiniteFloat = 4.0, weight: FiniteFloat = 1.0) -> tuple[Tensor, ...]:
        return (theta * weight * pair.distance2,)

    assert in_need_of_rows()["penalty", "mine"] == set()
    assert in_need_of_rows()["penalty", "siou"] == {"theta", "weight"}
    with pytest.raises(AssertionError):
        test_every_registered_function_and_setting_has_its_row()
