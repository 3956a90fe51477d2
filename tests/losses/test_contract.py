"""What every loss must do: one class over all presets. A new preset is covered by adding its YAML (and its oracle)."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from helpers import oracles
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from yolo_wiou import available_losses, load_loss
from yolo_wiou.losses import BoxPair
from yolo_wiou.losses.presets import load_config

IMGSZ = (480.0, 640.0)
NO_PULL_FROM_AFAR = {"iou", "alpha-iou", "focal-eiou", "inner-iou", "focaler-iou"}
SWITCHES_OVER_CIOU = {"iou-balanced-cls", "alwa"}  # their box loss is CIoU
WITH_A_LENGTH = {"nwd", "mpdiou"}  # in pixels: scaling the boxes alone changes them


def box_loss(name: str):
    """A preset, judged by a running mean away from its start."""
    loss = load_loss(name)
    loss.running_mean.mean.fill_(0.4)
    return loss


def compute(loss, pred, target) -> Tensor:
    return loss(pred, target, stride=8.0, imgsz=IMGSZ)


def value_and_gradient(loss, pred, target) -> tuple[Tensor, Tensor]:
    pred = torch.as_tensor(pred).clone().requires_grad_()
    value = compute(loss, pred, torch.as_tensor(target))
    value.sum().backward()
    return value.detach(), pred.grad


def in_float64(loss, pred, target) -> tuple[Tensor, Tensor]:
    """Gain times base and its gradient from the same functions that `forward` calls, without the cast to float32."""
    pred = pred.double().requires_grad_()
    pair = BoxPair.of(pred, target.double(), 8.0, IMGSZ)
    base = loss.unweighted(pair)
    with torch.no_grad():
        gain = loss.gain(pair, base, loss.running_mean.mean.double())
    value = gain * base
    value.sum().backward()
    return value.detach(), pred.grad


def expected(name: str, pairs, gradient: bool = False) -> Tensor:
    """The oracle's values, (N,), or gradients, (N, 4)."""
    context = {"stride": 8.0, "imgsz": IMGSZ, "mean": float(torch.tensor(0.4))}
    balanced = load_config(name).gain.name == "iou-balanced"
    oracle = oracles.ORACLES["ciou" if balanced or name in SWITCHES_OVER_CIOU else name]
    one = (lambda b, g: oracles.gradient(oracle, b, g, **context)) if gradient else lambda b, g: oracle(b, g, **context)
    values = torch.tensor([one(b, g) for b, g in pairs], dtype=torch.float64)
    if balanced:  # the batch's factor: sum of the losses over sum of the weighted losses
        losses = expected("ciou", pairs)
        weight = torch.tensor([oracles.Geo(b, g).iou ** 1.5 for b, g in pairs], dtype=torch.float64)
        weight *= losses.sum() / (weight * losses).sum()
        values *= weight[:, None] if gradient else weight
    return values


def tensors(pairs) -> tuple[Tensor, Tensor]:
    return torch.tensor([b for b, _ in pairs]), torch.tensor([g for _, g in pairs])


@pytest.mark.parametrize("name", available_losses())
class TestContract:
    def test_value_is_the_oracle_s(self, name):
        pairs = oracles.random_pairs(300, seed=1) + list(oracles.named_pairs().values())
        pred, target = (torch.tensor(boxes, dtype=torch.float64) for boxes in zip(*pairs, strict=True))
        value, _ = in_float64(box_loss(name), pred, target)
        torch.testing.assert_close(value, expected(name, pairs), rtol=1e-6, atol=1e-7)

    def test_gradient_is_the_oracle_s_with_the_detached_quantities_frozen(self, name):
        named = [pair for key, pair in oracles.named_pairs().items() if key not in {*oracles.KINKS, "tiny", "huge"}]
        pairs = oracles.random_pairs(300, seed=2) + named
        pred, target = (torch.tensor(boxes, dtype=torch.float64) for boxes in zip(*pairs, strict=True))
        _, gradient = in_float64(box_loss(name), pred, target)
        torch.testing.assert_close(gradient, expected(name, pairs, gradient=True), rtol=1e-5, atol=1e-7)

    def test_forward_is_float32_of_the_same(self, name):
        pairs = oracles.random_pairs(100, seed=3)
        value, _ = value_and_gradient(box_loss(name), *tensors(pairs))
        assert value.shape == (100,)
        assert value.dtype == torch.float32
        torch.testing.assert_close(value.double(), expected(name, pairs), rtol=2e-3, atol=2e-5)

    def test_equal_boxes_cost_nothing(self, name):
        boxes = torch.tensor([[1.0, 2.0, 9.0, 5.0], [0.0, 0.0, 0.25, 30.0], [100.0, 3.0, 103.5, 300.0]])
        value, gradient = value_and_gradient(box_loss(name), boxes, boxes)
        assert value.abs().max() <= 1e-5
        assert gradient.isfinite().all()

    def test_disjoint_boxes_are_pulled_together(self, name):
        target = torch.tensor([[10.0, 10.0, 14.0, 13.0]])
        pred = target + torch.tensor([[6.0, 5.0, 6.0, 5.0]])
        value, gradient = value_and_gradient(box_loss(name), pred, target)
        assert value.isfinite().all()
        if name in NO_PULL_FROM_AFAR:
            assert gradient.abs().max() <= 1e-6
            return
        before = (pred - target)[:, :2].norm()
        after = (pred - 0.01 * gradient / gradient.norm() - target).view(2, 2).mean(0).norm()
        assert after < before

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
    def test_degenerate_boxes_are_finite(self, name, dtype):
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
        n = len(boxes)
        pred = boxes.to(dtype).repeat_interleave(n, 0)
        target = boxes.to(dtype).repeat(n, 1)
        for one, other in zip(pred, target, strict=True):
            value, gradient = value_and_gradient(box_loss(name), one[None], other[None])
            assert value.isfinite().all(), (one, other, value)
            assert gradient.isfinite().all(), (one, other, gradient)
            assert value.dtype == torch.float32
            assert gradient.dtype == dtype

    def test_empty_input_keeps_its_graph_and_moves_nothing(self, name):
        loss = box_loss(name)
        before = copy.deepcopy(loss.state_dict())
        value, gradient = value_and_gradient(loss, torch.zeros(0, 4), torch.zeros(0, 4))
        assert value.shape == (0,)
        assert value.sum() == 0
        assert gradient.shape == (0, 4)
        assert loss.state_dict() == before

    def test_scaling_both_boxes_changes_nothing(self, name):
        pred, target = tensors(oracles.random_pairs(50, seed=4))
        value, _ = value_and_gradient(box_loss(name), pred, target)
        scaled = box_loss(name)(3.7 * pred, 3.7 * target, stride=8.0 / 3.7, imgsz=IMGSZ)
        torch.testing.assert_close(scaled, value, rtol=1e-3, atol=1e-5)
        if name not in WITH_A_LENGTH:
            torch.testing.assert_close(compute(box_loss(name), 3.7 * pred, 3.7 * target), scaled)

    def test_stride_may_be_a_column(self, name):
        pred, target = tensors(oracles.random_pairs(50, seed=4))
        stride = torch.tensor([8.0, 16.0]).repeat(25)
        column = box_loss(name)(pred, target, stride=stride[:, None], imgsz=IMGSZ)
        assert torch.equal(column, box_loss(name)(pred, target, stride=stride, imgsz=IMGSZ))

    @pytest.mark.parametrize("shapes", [((5, 4), (1, 4)), ((5, 5), (5, 5)), ((4,), (4,)), ((2, 5, 4), (2, 5, 4))])
    def test_other_shapes_are_refused(self, name, shapes):
        with pytest.raises(ValueError, match=r"boxes \(N, 4\), xyxy.*not \("):
            box_loss(name)(*map(torch.rand, shapes), stride=8.0, imgsz=IMGSZ)

    def test_the_state_goes_where_the_boxes_are(self, name):
        loss = box_loss(name)
        boxes = torch.rand(5, 4, device="meta", requires_grad=True)
        assert loss(boxes, boxes.detach(), stride=8.0, imgsz=IMGSZ).is_meta
        assert loss.running_mean.mean.is_meta

    def test_x_and_y_are_alike(self, name):
        pred, target = tensors(oracles.random_pairs(50, seed=5))
        swap = [1, 0, 3, 2]
        swapped = box_loss(name)(pred[:, swap], target[:, swap], stride=8.0, imgsz=IMGSZ[::-1])
        torch.testing.assert_close(swapped, compute(box_loss(name), pred, target), rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize("power", [0.5, 2.5])
    def test_any_power_is_finite(self, name, power):
        if load_config(name).penalty.name == "wiou":
            pytest.skip("refused: a factor of the IoU loss, not a term beside it")
        loss = load_loss(name, power=power)
        for b, g in oracles.named_pairs().values():
            value, gradient = value_and_gradient(loss, torch.tensor([b]), torch.tensor([g]))
            assert value.isfinite().all()
            assert gradient.isfinite().all()

    def test_the_order_of_boxes_does_not_matter_and_inputs_stay(self, name):
        pred, target = tensors(oracles.random_pairs(50, seed=6))
        kept = pred.clone(), target.clone()
        value = compute(box_loss(name), pred, target)
        flipped = compute(box_loss(name), pred.flip(0), target.flip(0)).flip(0)
        torch.testing.assert_close(value, flipped)
        assert torch.equal(pred, kept[0])
        assert torch.equal(target, kept[1])

    def test_the_mean_moves_where_gradients_flow_and_only_there(self, name):
        loss = box_loss(name)
        pred, target = tensors(oracles.random_pairs(50, seed=7))
        compute(loss, pred, target)
        with torch.no_grad():
            compute(loss, pred.clone().requires_grad_(), target)
        assert loss.running_mean.mean == torch.tensor(0.4)
        loss.eval()  # means nothing here: Ultralytics' criterion is a plain object that eval() never reaches
        value_and_gradient(loss, pred, target)
        plain = 1 - torch.tensor([oracles.Geo(b, g).iou for b, g in oracles.random_pairs(50, seed=7)]).mean()
        step = loss.running_mean.momentum * (plain - 0.4)
        assert math.isclose(loss.running_mean.mean - 0.4, step, rel_tol=2e-2)

    def test_state_dict_carries_the_whole_state_and_instances_are_apart(self, name):
        pred, target = tensors(oracles.random_pairs(50, seed=8))
        loss, other = box_loss(name), load_loss(name)
        value_and_gradient(loss, pred, target)
        assert other.running_mean.mean == 1
        other.load_state_dict(loss.state_dict())
        assert torch.equal(compute(loss, pred, target), compute(other, pred, target))

    def test_non_finite_predictions_leave_the_mean_alone(self, name):
        pred, target = tensors(oracles.random_pairs(4, seed=9))
        pred[1, 2], pred[2] = math.nan, math.inf
        loss = box_loss(name)
        value_and_gradient(loss, pred, target)
        assert loss.running_mean.mean == torch.tensor(0.4)
        value_and_gradient(loss, *tensors(oracles.random_pairs(4, seed=9)))
        assert loss.running_mean.mean.isfinite()
        assert loss.running_mean.mean != torch.tensor(0.4)

    @settings(max_examples=60, deadline=None)
    @given(numbers=st.lists(st.floats(0, 1e6, width=32), min_size=8, max_size=8))
    def test_any_boxes_give_finite_values(self, name, numbers):
        x, y, w, h, xg, yg, wg, hg = numbers
        pred = torch.tensor([[x, y, x + w, y + h]])
        value, gradient = value_and_gradient(box_loss(name), pred, torch.tensor([[xg, yg, xg + wg, yg + hg]]))
        assert value.isfinite().all()
        assert gradient.isfinite().all()
        assert value >= -1e-5


def test_a_constant_gain_is_a_weight():
    pred, target = tensors(oracles.random_pairs(50, seed=7))
    heavy = load_loss("ciou", **{"gain.name": "constant", "gain.weight": 1.5})
    torch.testing.assert_close(heavy(pred, target), 1.5 * load_loss("ciou")(pred, target))
