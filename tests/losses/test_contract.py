"""What every loss must do: one class over all presets. A new preset is covered by adding its YAML (and its oracle)."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from helpers.float64 import by_oracle, in_float64, tensors
from helpers.oracles import ORACLES
from helpers.pairs import KINKS, named_pairs, random_pairs
from torch import Tensor

from yolo_wiou import available_losses, load_loss
from yolo_wiou.losses import BoxLoss
from yolo_wiou.losses.presets import load_config

IMGSZ = (480.0, 640.0)
CONTEXT: dict[str, Any] = {"stride": 8.0, "imgsz": IMGSZ}
MEAN = float(torch.tensor(0.4))
NO_PULL_FROM_AFAR = {"iou", "alpha-iou", "focal-eiou", "focal-ciou", "inner-iou", "focaler-iou"}
LENGTHS = {"overlap": {"nwd", "iou-nwd"}, "penalty": {"mpdiou"}}  # in pixels: scaling the boxes alone changes them
SHIFTS = [(9.0, 1.0), (-5.0, 0.5), (-1.0, 4.0), (0.25, -6.0), (6.0, 4.0), (-7.0, 5.0)]
"""From a target of 4 x 2.5 to where nothing overlaps."""

BY_KIND = [
    pytest.param("giou", id="giou-for-a-plain-overlap"),
    pytest.param("nwd", id="nwd-for-a-length-in-pixels"),
    pytest.param("diou", id="diou-for-rotated-boxes-too"),
    pytest.param("wiou3", id="wiou3-for-a-running-mean"),
    pytest.param("iou-balanced-loc", id="iou-balanced-loc-for-a-gain-of-the-whole-batch"),
]
"""One preset of each kind that BoxLoss could treat differently, for what it does whatever the formula is."""


def box_loss(name: str) -> BoxLoss:
    """A preset, judged by a running mean away from its start."""
    loss = load_loss(name)
    loss.running_mean.mean.fill_(MEAN)
    return loss


def value_and_gradient(loss: BoxLoss, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    pred = pred.clone().requires_grad_()
    value = loss(pred, target, **CONTEXT)
    value.sum().backward()
    assert pred.grad is not None
    return value.detach(), pred.grad


def float32(n: int, seed: int) -> tuple[Tensor, Tensor]:
    return tensors(random_pairs(n, seed), torch.float32)


@pytest.mark.parametrize("name", available_losses())
class TestFormula:
    def test_value_is_the_oracle_s(self, name: str) -> None:
        pairs = random_pairs(300, seed=1) + list(named_pairs().values())
        value, _ = in_float64(box_loss(name), pairs, **CONTEXT)
        expected = by_oracle(ORACLES[name], pairs, **CONTEXT, mean=MEAN)
        torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-7)

    def test_gradient_is_the_oracle_s_with_the_detached_quantities_frozen(self, name: str) -> None:
        named = [pair for key, pair in named_pairs().items() if key not in {*KINKS, "tiny", "huge"}]
        pairs = random_pairs(300, seed=2) + named
        _, gradient = in_float64(box_loss(name), pairs, **CONTEXT)
        expected = by_oracle(ORACLES[name], pairs, gradient=True, **CONTEXT, mean=MEAN)
        torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-7)

    def test_forward_is_float32_of_the_same(self, name: str) -> None:
        pairs = random_pairs(100, seed=3)
        value, _ = value_and_gradient(box_loss(name), *tensors(pairs, torch.float32))
        assert value.shape == (100,)
        assert value.dtype == torch.float32
        expected = by_oracle(ORACLES[name], pairs, **CONTEXT, mean=MEAN)
        torch.testing.assert_close(value.double(), expected, rtol=2e-3, atol=2e-5)

    def test_equal_boxes_cost_nothing(self, name: str) -> None:
        boxes = torch.tensor([[1.0, 2.0, 9.0, 5.0], [0.0, 0.0, 0.25, 30.0], [100.0, 3.0, 103.5, 300.0]])
        value, gradient = value_and_gradient(box_loss(name), boxes, boxes)
        assert value.abs().max() <= 1e-5
        assert gradient.isfinite().all()

    @pytest.mark.parametrize("shift", SHIFTS, ids=str)
    def test_disjoint_boxes_are_pulled_together(self, name: str, shift: tuple[float, float]) -> None:
        target = torch.tensor([[20.0, 30.0, 24.0, 32.5]])
        value, gradient = value_and_gradient(box_loss(name), target + torch.tensor(shift * 2), target)
        assert value.isfinite().all()
        towards = gradient.view(2, 2).sum(0) @ torch.tensor(shift)
        assert gradient.abs().max() <= 1e-6 if name in NO_PULL_FROM_AFAR else towards > 0

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
    def test_degenerate_boxes_are_finite(self, name: str, dtype: torch.dtype) -> None:
        boxes = torch.tensor(
            [
                [3.0, 3.0, 3.0, 3.0],  # a point
                [3.0, 3.0, 3.0, 7.0],  # no width
                [3.0, 3.0, 7.0, 3.0],  # no height
                [7.0, 7.0, 3.0, 3.0],  # corners swapped
                [7.0, 3.0, 3.0, 7.0],  # negative width only
                [3.0, 3.0, 3.0 + 1e-7, 3.0 + 1e-7],
                [0.0, 0.0, 1e-7, 2e-7],  # 1e-7 in size, representable at the origin
                [0.0, 0.0, 3e4, 6e4],  # the largest that float16 holds
                [3.0, 3.0, 7.0, 5.0],
                [7.0, 3.0, 9.0, 5.0],  # touches the one before
            ]
        )
        if dtype == torch.float32:
            boxes = torch.cat((boxes, torch.tensor([[0.0, 0.0, 1e6, 5e5], [-1e6, 0.0, 1e6, 1e-7]])))
        pred = boxes.to(dtype).repeat_interleave(len(boxes), 0)
        target = boxes.to(dtype).repeat(len(boxes), 1)
        # a gain of the whole batch could hide what a single box does
        size = 1 if load_config(name).gain.name in {"iou-balanced", "trust"} else len(pred)
        for batch in zip(pred.split(size), target.split(size), strict=True):
            value, gradient = value_and_gradient(box_loss(name), *batch)
            bad = ~(value.isfinite() & gradient.isfinite().all(1))
            assert not bad.any(), (batch[0][bad], batch[1][bad], value[bad], gradient[bad])
            assert value.dtype == torch.float32
            assert gradient.dtype == dtype

    def test_empty_input_keeps_its_graph_and_moves_nothing(self, name: str) -> None:
        loss = box_loss(name)
        before = copy.deepcopy(loss.state_dict())
        value, gradient = value_and_gradient(loss, torch.zeros(0, 4), torch.zeros(0, 4))
        assert value.shape == (0,)
        assert value.sum() == 0
        assert gradient.shape == (0, 4)
        torch.testing.assert_close(loss.state_dict(), before, rtol=0, atol=0)

    def test_scaling_both_boxes_changes_nothing(self, name: str) -> None:
        pred, target = float32(50, seed=4)
        value, _ = value_and_gradient(box_loss(name), pred, target)
        scaled = box_loss(name)(3.7 * pred, 3.7 * target, stride=8.0 / 3.7, imgsz=IMGSZ)
        torch.testing.assert_close(scaled, value, rtol=1e-3, atol=1e-5)
        if not any(getattr(load_config(name), axis).name in with_a_length for axis, with_a_length in LENGTHS.items()):
            torch.testing.assert_close(box_loss(name)(3.7 * pred, 3.7 * target, **CONTEXT), scaled)

    def test_x_and_y_are_alike(self, name: str) -> None:
        pred, target = float32(50, seed=5)
        swap = [1, 0, 3, 2]
        swapped = box_loss(name)(pred[:, swap], target[:, swap], stride=8.0, imgsz=IMGSZ[::-1])
        torch.testing.assert_close(swapped, box_loss(name)(pred, target, **CONTEXT), rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize("power", [0.5, 2.5])
    def test_any_power_is_finite(self, name: str, power: float) -> None:
        if load_config(name).penalty.name in {"wiou", "sdiou"}:
            pytest.skip("refused: a factor of the overlap's loss, not a term beside it")
        pairs = list(named_pairs().values())
        value, gradient = value_and_gradient(load_loss(name, power=power), *tensors(pairs, torch.float32))
        assert value.isfinite().all()
        assert gradient.isfinite().all()


@pytest.mark.parametrize("name", BY_KIND)
class TestCall:
    def test_stride_may_be_a_column(self, name: str) -> None:
        pred, target = float32(50, seed=4)
        stride = torch.tensor([8.0, 16.0]).repeat(25)
        column = box_loss(name)(pred, target, stride=stride[:, None], imgsz=IMGSZ)
        assert torch.equal(column, box_loss(name)(pred, target, stride=stride, imgsz=IMGSZ))

    def test_the_state_goes_where_the_boxes_are(self, name: str) -> None:
        loss = box_loss(name)
        boxes = torch.rand(5, 4, device="meta", requires_grad=True)
        assert loss(boxes, boxes.detach(), **CONTEXT).is_meta
        assert loss.running_mean.mean.is_meta

    def test_the_order_of_boxes_does_not_matter_and_inputs_stay(self, name: str) -> None:
        pred, target = float32(50, seed=6)
        kept = pred.clone(), target.clone()
        value = box_loss(name)(pred, target, **CONTEXT)
        flipped = box_loss(name)(pred.flip(0), target.flip(0), **CONTEXT).flip(0)
        torch.testing.assert_close(value, flipped)
        assert torch.equal(pred, kept[0])
        assert torch.equal(target, kept[1])

    def test_the_mean_moves_where_gradients_flow_and_only_there(self, name: str) -> None:
        """If the gain asks for it: nobody pays for what nobody reads."""
        loss = box_loss(name)
        pred, target = float32(50, seed=7)
        loss(pred, target, **CONTEXT)
        with torch.no_grad():
            loss(pred.clone().requires_grad_(), target, **CONTEXT)
        assert loss.running_mean.mean == torch.tensor(MEAN)
        loss.eval()  # means nothing here: Ultralytics' criterion is a plain object that eval() never reaches
        value_and_gradient(loss, pred, target)
        plain = sum(ORACLES["iou"](b, g) for b, g in random_pairs(50, seed=7)) / 50
        step = loss.running_mean.momentum * (plain - MEAN) * loss.keeps_mean
        assert math.isclose(loss.running_mean.mean - MEAN, step, rel_tol=2e-2)

    def test_state_dict_carries_the_whole_state_and_instances_are_apart(self, name: str) -> None:
        pred, target = float32(50, seed=8)
        trained, fresh = box_loss(name), load_loss(name)
        value_and_gradient(trained, pred, target)
        assert fresh.running_mean.mean == 1
        fresh.load_state_dict(trained.state_dict())
        assert torch.equal(trained(pred, target, **CONTEXT), fresh(pred, target, **CONTEXT))

    def test_non_finite_predictions_leave_the_mean_alone(self, name: str) -> None:
        pred, target = float32(4, seed=9)
        pred[1, 2], pred[2] = math.nan, math.inf
        loss = box_loss(name)
        value_and_gradient(loss, pred, target)
        assert loss.running_mean.mean == torch.tensor(MEAN)
        value_and_gradient(loss, *float32(4, seed=9))
        assert loss.running_mean.mean.isfinite()
        assert (loss.running_mean.mean != torch.tensor(MEAN)) == loss.keeps_mean


@pytest.mark.parametrize("shapes", [((5, 4), (1, 4)), ((5, 5), (5, 5)), ((4,), (4,)), ((2, 5, 4), (2, 5, 4))])
def test_other_shapes_are_refused(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    """Before any formula is asked, so one preset stands for all."""
    with pytest.raises(ValueError, match=r"boxes \(N, 4\), xyxy.*not \("):
        box_loss("wiou3")(*map(torch.rand, shapes), **CONTEXT)
