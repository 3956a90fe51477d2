"""Classification weightings against scalar float64 arithmetic, entry by entry, at every setting and beside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from yolo_wiou import CLS_WEIGHTINGS, ConfigError
from yolo_wiou.losses.cls_weighting import LEAST_IOU, OFFERED, Entries
from yolo_wiou.losses.presets import load_config
from yolo_wiou.losses.registry import asks

IOUS = [0.15, 0.55, 0.7, 0.98]
MEAN = sum(IOUS) / 4
USUAL = 0.45
GAINS = [0.3, 1.2, 0.9, 2.0]

VALUES: dict[str, dict[str, tuple[float, float]]] = {
    "none": {},
    "iou-balanced": {"eta": (0.5, 3.0)},
    "gain": {},
    "varifocal": {"alpha": (0.25, 1.0), "gamma": (0.0, 1.5)},
    "quality-focal": {"beta": (1.0, 3.0)},
    "mal": {"gamma": (0.5, 3.0)},
    "slide": {"margin": (0.0, 0.3)},
    "ema-slide": {"margin": (0.0, 0.3)},
}
"""A row for each registered function: two values for each of its settings."""


def bce(x: float, q: float) -> float:
    p = 1 / (1 + math.exp(-x))
    return -q * math.log(p) - (1 - q) * math.log(1 - p)


def slide_weight(q: float, threshold: float, margin: float) -> float:
    if q <= threshold - margin:
        return 1.0
    return math.exp(1 - threshold) if q < threshold else math.exp(1 - q)


def dense(name: str, x: float, q: float, is_positive: bool, at: float, **settings: float) -> float:
    """The loss of an entry; `at` is the logit where detached weights are evaluated."""
    p = 1 / (1 + math.exp(-at))
    if name == "varifocal":
        alpha, gamma = settings.get("alpha", 0.75), settings.get("gamma", 2.0)
        return (q if is_positive else alpha * p**gamma) * bce(x, q)
    if name == "mal":
        gamma = settings.get("gamma", 1.5)
        return bce(x, q**gamma) if is_positive else p**gamma * bce(x, 0)
    return float(abs(q - 1 / (1 + math.exp(-x))) ** settings.get("beta", 2.0) * bce(x, q))


def entries(dtype: torch.dtype = torch.float64) -> Entries:
    """Four positives of three classes: their targets near, at and away from the IoUs, and negative entries beside."""
    g = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 3, generator=g, dtype=dtype).requires_grad_()
    target = torch.zeros(4, 3, dtype=dtype)
    for row, (column, q) in enumerate([(0, 0.2), (1, 0.4), (2, 0.56), (0, 0.9)]):
        target[row, column] = q
    entropy = binary_cross_entropy_with_logits(logits, target, reduction="none").detach()
    iou = torch.tensor(IOUS, dtype=dtype)
    usual, gain = torch.tensor(USUAL, dtype=dtype), torch.tensor(GAINS, dtype=dtype)
    return Entries(logits, target, target > 0, entropy, iou, usual, gain)


def compute(name: str, of: Entries, **settings: float) -> Tensor:
    function = CLS_WEIGHTINGS.bind(CLS_WEIGHTINGS.parse({"name": name, **settings}))
    result: Tensor = function(*(getattr(of, asked) for asked in asks(CLS_WEIGHTINGS.functions[name])))
    return result


def weights(name: str, of: Entries, **settings: float) -> list[list[float]]:
    """What the positives' entries weigh, as far as they are positive."""
    rows = of.target.tolist()
    if name == "none":
        return [[1.0] * 3] * 4
    if name in {"iou-balanced", "gain"}:
        assert of.entropy is not None
        entropy, raw = (
            of.entropy.tolist(),
            GAINS if name == "gain" else [iou ** settings.get("eta", 1.5) for iou in IOUS],
        )
        own = [(entropy[i][j], raw[i]) for i in range(4) for j in range(3) if rows[i][j]]
        factor = math.fsum(e for e, _ in own) / math.fsum(e * w for e, w in own)
        return [[factor * weight] * 3 for weight in raw]
    threshold = MEAN if name == "slide" else USUAL
    return [[slide_weight(q, threshold, settings.get("margin", 0.1)) for q in row] for row in rows]


CASES: list[tuple[str, dict[str, float]]] = [(name, {}) for name in VALUES]
CASES += [(name, {key: value}) for name, own in VALUES.items() for key, pair in own.items() for value in pair]


@pytest.mark.parametrize(("name", "settings"), CASES, ids=str)
def test_every_setting_does_what_the_arithmetic_says(name: str, settings: dict[str, Any]) -> None:
    of = entries()
    computed = compute(name, of, **settings)
    if "logits" not in asks(CLS_WEIGHTINGS.functions[name]):
        expected = torch.tensor(weights(name, of, **settings), dtype=torch.float64)
        positive = of.positive
        torch.testing.assert_close(computed.double().expand(4, 3)[positive], expected[positive], rtol=1e-6, atol=1e-9)
        return
    (gradient,) = torch.autograd.grad(computed.sum(), of.logits)
    for i in range(4):
        for j in range(3):
            x, q, is_positive = of.logits[i, j].item(), of.target[i, j].item(), bool(of.positive[i, j])
            assert computed[i, j].item() == pytest.approx(dense(name, x, q, is_positive, x, **settings), rel=1e-6)
            hi, lo = (dense(name, x + step, q, is_positive, x, **settings) for step in (1e-5, -1e-5))
            assert gradient[i, j].item() == pytest.approx((hi - lo) / 2e-5, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("name", VALUES)
def test_no_two_values_of_a_setting_are_alike(name: str) -> None:
    for key, pair in VALUES[name].items():
        results = [compute(name, entries(), **settings) for settings in ({}, *({key: value} for value in pair))]
        for a, b in ((0, 1), (0, 2), (1, 2)):
            assert (results[a] - results[b]).abs().max() > 1e-2


def test_every_registered_weighting_and_setting_has_its_row() -> None:
    found = {name: set(part.model_fields) - {"name"} for name, part in CLS_WEIGHTINGS.components.items()}
    assert found == {name: set(own) for name, own in VALUES.items()}


@pytest.mark.parametrize("name", [name for name in VALUES if "logits" in asks(CLS_WEIGHTINGS.functions[name])])
def test_extreme_logits_and_targets_are_finite(name: str) -> None:
    logits = torch.tensor([-1e4, -100.0, -20.0, 0.0, 20.0, 100.0, 1e4]).repeat(4, 1).t().requires_grad_()
    target = torch.tensor([0.0, 1e-7, 0.5, 1.0]).expand(7, 4)
    loss = compute(name, Entries(logits, target, target > 0))
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert loss.isfinite().all()
    assert gradient.isfinite().all()
    assert (loss >= 0).all()


def test_what_the_losses_are_made_for() -> None:
    """Varifocal with q = 1 is BCE on positives; quality focal and varifocal leave a sure negative next to nothing."""
    x = torch.tensor([[-4.0, 4.0]])
    ones, zeros = torch.ones(1, 2), torch.zeros(1, 2)
    plain = binary_cross_entropy_with_logits(x, ones, reduction="none")
    for name in ("varifocal", "mal"):
        torch.testing.assert_close(compute(name, Entries(x, ones, ones > 0)), plain)
    for name in ("varifocal", "mal", "quality-focal"):
        sure, wrong = compute(name, Entries(x, zeros, zeros > 0))[0].tolist()
        assert sure < 1e-4
        assert wrong > 2
    perfect = compute("quality-focal", Entries(x, x.sigmoid(), x > -9))
    assert perfect.abs().max() == 0


def test_mal_without_focus_is_bce_towards_the_labels() -> None:
    """To the power 0 every target is 1, but a negative's stays 0."""
    of = entries()
    loss = compute("mal", of, gamma=0)
    plain = binary_cross_entropy_with_logits(of.logits, of.positive.double(), reduction="none")
    torch.testing.assert_close(loss, plain)


def test_varifocal_has_the_values_of_mmdetection_s_own_tests() -> None:
    for logits, target, entry in (([100.0, -100.0], [1.0, 0.0], 0), ([0.0, 100.0], [1.0, 1.0], 1)):
        q = torch.tensor([target])
        assert compute("varifocal", Entries(torch.tensor([logits]), q, q > 0))[0, entry] == pytest.approx(0, abs=1e-8)


def test_a_poor_match_counts_in_mal_and_hardly_in_varifocal() -> None:
    x, q = torch.tensor([[-2.0]]), torch.tensor([[0.05]])
    poor = Entries(x, q, q > 0)
    assert compute("mal", poor).item() > 10 * compute("varifocal", poor).item()


def test_slide_s_threshold_has_a_floor() -> None:
    of = entries()
    of.usual_iou = torch.tensor(0.01, dtype=torch.float64)
    at_floor = compute("ema-slide", of)
    of.usual_iou = torch.tensor(LEAST_IOU, dtype=torch.float64)
    assert torch.equal(at_floor, compute("ema-slide", of))


def test_sections_of_old_files_keep_their_meaning() -> None:
    assert load_config({"cls_weighting": {"name": "iou-balanced", "eta": 1.2}}).cls_weighting.model_dump()["eta"] == 1.2
    assert load_config({"cls_weighting": {"name": "none", "eta": 1.5}}) == load_config({})
    for setting in ({"name": "none", "eta": 1.2}, {"eta": 1.5, "name": "varifocal"}):
        with pytest.raises(ConfigError, match="'eta' belongs to cls_weighting iou-balanced"):
            load_config({"cls_weighting": setting})


def test_a_gain_that_weighs_the_classification_needs_to_be_one_and_to_come_first() -> None:
    assert load_config({"gain": "nonmonotonic", "cls_weighting": "gain"}).cls_weighting.name == "gain"
    with pytest.raises(ConfigError, match="gain 'none' has nothing to say"):
        load_config({"cls_weighting": "gain"})
    with pytest.raises(ConfigError, match="gain 'iou-balanced' needs the box loss, which comes after"):
        load_config({"gain": "iou-balanced", "cls_weighting": "gain"})


def test_a_weighting_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for held in ("functions", "components", "rules"):
        monkeypatch.setattr(CLS_WEIGHTINGS, held, dict(getattr(CLS_WEIGHTINGS, held)))

    @CLS_WEIGHTINGS.register("mine")
    def mine(iou: Tensor, *, most: float = 2.0) -> Tensor:
        return (most * iou)[:, None]

    assert load_config({"cls_weighting": {"name": "mine", "most": 3}}).cls_weighting.model_dump()["most"] == 3
    refusal: Callable[..., Any] = CLS_WEIGHTINGS.register("other")
    with pytest.raises(ConfigError, match=r"asks for 'ious'\. Did you mean 'iou'\?"):
        refusal(lambda ious: ious)
    assert set(OFFERED) >= {"logits", "target", "positive"}
