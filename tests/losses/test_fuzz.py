"""Every preset on boxes that nobody thought of: more than 100,000 pairs each, sizes from 0 to 1e6, NaN and infinities.

Hypothesis draws a few numbers and a seed; each example then makes thousands of pairs of them, so that equal edges,
boxes without size and neighbours of a float meet often. It draws the same ones every time.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from ultralytics.utils.loss import RotatedBboxLoss
from ultralytics.utils.metrics import bbox_iou, probiou

from yolo_wiou import available_losses, load_loss
from yolo_wiou.losses import GAINS, BoxLoss, BoxPair
from yolo_wiou.losses.gain import MAX_GAIN
from yolo_wiou.losses.presets import load_config
from yolo_wiou.losses.settings import LEAST_MEAN
from yolo_wiou.training.bbox_loss import PluggableRotatedBboxLoss
from yolo_wiou.training.families import OBBTrainer

PAIRS, EXAMPLES = 4096, 30
length = st.one_of(
    st.floats(0, 1e6, width=32),
    st.floats(0, 64, width=32),
    st.sampled_from([0.0, 1e-45, 1e-38, 1e-20, 1e-7, 1e-3, 0.5, 1.0, math.nextafter(1, 2), 640.0, 1e6]),
)
BAD = st.lists(st.sampled_from([math.nan, math.inf, -math.inf]), min_size=1, max_size=3)


def make(numbers: list[float], seed: int, shift: float) -> tuple[Tensor, Tensor]:
    """PAIRS pairs whose corners and sizes are all among `numbers`, the corners moved by `shift`."""
    g = torch.Generator().manual_seed(seed)
    x = torch.tensor(numbers)[torch.randint(len(numbers), (PAIRS, 2, 2, 2), generator=g)]
    corner = x[:, :, 0] - shift
    pred, target = torch.cat((corner, corner + x[:, :, 1]), -1).unbind(1)
    return pred, target


def value_and_gradient(loss: BoxLoss, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    pred = pred.clone().requires_grad_()
    value = loss(pred, target, stride=8.0, imgsz=(480.0, 640.0))
    value.sum().backward()
    assert pred.grad is not None
    return value.detach(), pred.grad


def describe(bad: Tensor, *columns: Tensor) -> str:
    row = bad.nonzero()[0, 0]
    return f"{int(bad.sum())} of {len(bad)}, e.g. " + " ".join(str(c[row].tolist()) for c in columns)


def spoil(pred: Tensor, bad: list[float], seed: int, share: float) -> None:
    """Put `bad` numbers in place of a share of the coordinates, of the first one in any case."""
    g = torch.Generator().manual_seed(seed)
    spoiled = torch.rand(PAIRS, 4, generator=g) < share / 4
    spoiled[0, 0] = True
    pred[spoiled] = torch.tensor(bad)[torch.randint(len(bad), (int(spoiled.sum()),), generator=g)]


@pytest.mark.parametrize("name", available_losses())
class TestFuzz:
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
    @given(
        numbers=st.lists(length, min_size=2, max_size=12),
        seed=st.integers(0, 2**32 - 1),
        shift=st.sampled_from([0.0, 3.0, 5e5]),
        swapped=st.booleans(),
    )
    def test_finite_boxes_give_finite_losses_and_gradients(
        self, name: str, numbers: list[float], seed: int, shift: float, swapped: bool
    ) -> None:
        pred, target = make(numbers, seed, shift)
        if swapped:  # a regression head may cross its edges
            pred = pred[:, [2, 3, 0, 1]]
        loss = load_loss(name)
        value, gradient = value_and_gradient(loss, pred, target)
        bad = ~(value.isfinite() & gradient.isfinite().all(1) & (value >= -1e-5))
        assert not bad.any(), describe(bad, pred, target, value, gradient)
        assert 0 < loss.running_mean.mean <= 1
        assert loss.running_mean.steps == loss.keeps_mean

    @settings(max_examples=EXAMPLES // 3, deadline=None, derandomize=True)
    @given(
        numbers=st.lists(length, min_size=2, max_size=12),
        seed=st.integers(0, 2**32 - 1),
        bad=BAD,
        share=st.floats(0, 1),
    )
    def test_predictions_that_are_not_finite_leave_the_state_alone(
        self, name: str, numbers: list[float], seed: int, bad: list[float], share: float
    ) -> None:
        """Where a coordinate is NaN the loss is NaN; then Ultralytics' NaN recovery can see it."""
        pred, target = make(numbers, seed, 0.0)
        spoil(pred, bad, seed, share)
        loss = load_loss(name)
        value, _ = value_and_gradient(loss, pred, target)
        nan = pred.isnan().any(1)
        assert value[nan].isnan().all(), describe(nan & ~value.isnan(), pred, target, value)
        assert 0 < loss.running_mean.mean <= 1
        if nan.any():
            assert loss.running_mean.mean == 1
            assert loss.running_mean.steps == 0


WILD: dict[str, dict[str, Any]] = {
    "constant": {"weight": 20},
    "iou-power": {"gamma": 5},
    "iou-balanced": {"lam": 5, "norm": "first"},
    "piou2": {"lam": 10},
    "monotonic": {"gamma": 5},
    "nonmonotonic": {"alpha": 10, "delta": 20},
}
"""The settings that make a gain largest."""


@pytest.mark.parametrize("name", GAINS.functions)
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(
    numbers=st.lists(length, min_size=2, max_size=12),
    seed=st.integers(0, 2**32 - 1),
    mean=st.one_of(st.floats(0.01, 1), st.just(LEAST_MEAN)),
    wild=st.booleans(),
)
def test_every_gain_is_finite_and_bounded(name: str, numbers: list[float], seed: int, mean: float, wild: bool) -> None:
    gain = {"name": name, **(WILD.get(name, {}) if wild else {})}
    loss = load_loss({"penalty": "ciou", "gain": gain})
    loss.running_mean.mean.fill_(mean)
    loss.running_mean.first[:1], loss.running_mean.first[1:] = 1e6, 1e-9
    gains, _ = loss.gain_and_loss(BoxPair.of(*make(numbers, seed, 0.0)))
    assert gains.isfinite().all()
    assert 0 <= gains.min() <= gains.max() <= MAX_GAIN


def test_one_overlapping_box_among_many_counts_no_more_than_the_bound() -> None:
    target = torch.tensor([[0.0, 0.0, 4.0, 2.0]]).repeat(100, 1)
    pred = target + 9
    pred[0] = target[0] + 1
    gains, _ = load_loss("iou-balanced-loc").gain_and_loss(BoxPair.of(pred, target))
    assert gains[0] == MAX_GAIN
    assert gains[1:].abs().max() == 0


def test_the_stock_loss_of_a_nan_is_nan_too() -> None:
    pred, target = make([0.0, 1e-7, 3.0, 640.0], 0, 0.0)
    spoil(pred, [math.nan, math.inf], 0, 0.5)
    nan = pred.isnan().any(1)
    assert (1 - bbox_iou(pred, target, xywh=False, CIoU=True))[nan].isnan().all()


@pytest.mark.parametrize(
    "name",
    [n for n in available_losses() if OBBTrainer.takes(c := load_config(n)) and not c.is_unmodified("ciou")],
)
def test_rotated_boxes(name: str) -> None:
    """25 × 4096 pairs up to 1000 long, with sides of zero and below (a head without DFL): as finite as stock is."""
    loss = PluggableRotatedBboxLoss(16, BoxLoss(load_config(name)), torch.tensor([8.0]))
    loss.box_loss.running_mean.mean.fill_(0.4)
    lengths = torch.tensor([-8.0, -0.5, 0.0, 1e-38, 1e-7, 1e-3, 0.5, 1.0, 3.0, 40.0, 1000.0])
    g = torch.Generator().manual_seed(0)
    for _ in range(25):
        boxes = lengths[torch.randint(len(lengths), (PAIRS, 2, 4), generator=g)]
        boxes = torch.cat((boxes, 7 * torch.rand(PAIRS, 2, 1, generator=g) - 3.5), -1)
        boxes[: PAIRS // 8, 1] = boxes[: PAIRS // 8, 0]  # equal ones
        value, gradient = rotated_value_and_gradient(loss, *boxes.unbind(1))
        stock, slope = rotated_value_and_gradient(None, *boxes.unbind(1))
        bad = (~value.isfinite() & stock.isfinite()) | ~gradient.isfinite().all(1) & slope.isfinite().all(1)
        assert not bad.any(), describe(bad, boxes[:, 0], boxes[:, 1], value, gradient)
        if hasattr(loss, "floor"):  # since 8.4.84 the stock overlap has no pole
            assert stock.isfinite().all()
            assert slope.isfinite().all()


def rotated_value_and_gradient(
    loss: PluggableRotatedBboxLoss | None, pred: Tensor, target: Tensor
) -> tuple[Tensor, Tensor]:
    """Of our loss, or of the stock overlap."""
    pred = pred.clone().requires_grad_()
    if loss:
        gain, base = loss.box_loss.gain_and_loss(loss.pair(pred, target))
        value = gain * base
    else:
        floor = getattr(RotatedBboxLoss, "floor", None)
        value = 1 - (probiou(pred, target) if floor is None else probiou(pred, target, floor=floor)).flatten()
    value.sum().backward()
    assert pred.grad is not None
    return value.detach(), pred.grad
