"""torch.compile takes every loss whole, torch.func differentiates and vectorises it, and autocast leaves it alone."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers.float64 import tensors
from helpers.pairs import named_pairs, random_pairs
from torch import Tensor
from torch.func import grad, vmap

from yolo_wiou import available_losses, load_loss
from yolo_wiou.losses import BoxLoss

CONTEXT: dict[str, Any] = {"stride": 8.0, "imgsz": (480.0, 640.0)}
PRED, TARGET = tensors([*random_pairs(50, seed=31), *named_pairs().values()][:56], torch.float32)
BATCHES = (PRED.view(7, 8, 4), TARGET.view(7, 8, 4))


def value_and_gradient(loss: Callable[..., Tensor], pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    pred = pred.clone().requires_grad_()
    value = loss(pred, target, **CONTEXT)
    value.sum().backward()
    assert pred.grad is not None
    return value.detach(), pred.grad


NAMES = [*available_losses(), "factor-of-the-first-step"]


def load(name: str, **settings: float) -> BoxLoss:
    """A preset, or a loss with a state that no preset has."""
    loss = {"gain": {"name": "iou-balanced", "norm": "first"}} if name == NAMES[-1] else name
    return load_loss(loss, **settings)


@pytest.mark.parametrize("name", NAMES)
class TestTransforms:
    def test_compile_takes_it_whole(self, name: str) -> None:
        loss = load(name, **{"running_mean.momentum": 0.1})
        compiled = copy.deepcopy(loss)
        torch._dynamo.reset()
        whole = torch.compile(compiled, fullgraph=True, backend="aot_eager", dynamic=False)
        for _ in range(2):  # the second is judged by the mean that the first has moved
            torch.testing.assert_close(
                value_and_gradient(whole, PRED, TARGET), value_and_gradient(loss, PRED, TARGET), equal_nan=True
            )
        assert compiled.running_mean.steps == loss.running_mean.steps == 2 * loss.keeps_mean
        torch.testing.assert_close(compiled.state_dict(), loss.state_dict())

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_autocast_rounds_nothing(self, name: str, dtype: torch.dtype) -> None:
        """A trainer computes the loss inside of it; what a loss has seen is its state, which no later step corrects."""
        inside, outside = (load(name, **{"running_mean.momentum": 0.1}) for _ in range(2))
        with torch.autocast("cpu", dtype):
            seen = value_and_gradient(inside, PRED, TARGET)
        expected = value_and_gradient(outside, PRED, TARGET)
        torch.testing.assert_close(seen, expected, rtol=0, atol=0, equal_nan=True)
        torch.testing.assert_close(inside.state_dict(), outside.state_dict(), rtol=0, atol=0)

    def test_grad_is_the_gradient_and_moves_nothing(self, name: str) -> None:
        loss = load(name)
        state = copy.deepcopy(loss.state_dict())
        by_func = grad(lambda pred: loss(pred, TARGET, **CONTEXT).sum())(PRED)
        torch.testing.assert_close(loss.state_dict(), state, rtol=0, atol=0)
        copy.deepcopy(loss)  # it holds nothing of the transform
        torch.testing.assert_close(by_func, value_and_gradient(loss, PRED, TARGET)[1])

    def test_vmap_is_a_loop_with_and_without_a_gradient(self, name: str) -> None:
        loss, looped = load(name), load(name)
        looped.self_advancing = False
        batches = [value_and_gradient(looped, *batch) for batch in zip(*BATCHES, strict=True)]
        value, gradient = (torch.stack(parts) for parts in zip(*batches, strict=True))
        vectorised = vmap(lambda pred, target: loss(pred, target, **CONTEXT))
        leaf = BATCHES[0].clone().requires_grad_()
        mapped = vectorised(leaf, BATCHES[1])
        mapped.sum().backward()
        torch.testing.assert_close((mapped.detach(), leaf.grad), (value, gradient))
        each = vmap(grad(lambda pred, target: loss(pred, target, **CONTEXT).sum()))(*BATCHES)
        torch.testing.assert_close(each, gradient)
        assert loss.running_mean.steps == 0


def twice_by_autograd(loss: Callable[[Tensor], Tensor], pred: Tensor) -> None:
    pred = pred.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(pred), pred, create_graph=True)
    gradient.square().sum().backward()


def twice_by_func(loss: Callable[[Tensor], Tensor], pred: Tensor) -> None:
    grad(lambda pred: grad(loss)(pred).square().sum())(pred)


@pytest.mark.parametrize("twice", [twice_by_autograd, twice_by_func])
@pytest.mark.parametrize("name", ["wiou3", "inner-iou"])
def test_a_second_derivative_is_refused_and_never_0(name: str, twice: Callable[..., None]) -> None:
    """As a penalty of gradients asks for it, an optimiser by curvature, or learning to learn."""
    loss = load_loss(name)
    with pytest.raises(RuntimeError, match="no second derivative"):
        twice(lambda pred: loss(pred, TARGET).sum() + pred.square().sum(), PRED)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_too(dtype: torch.dtype) -> None:
    loss, pred, target = load_loss("wiou3"), (PRED[:40] / 8).to(dtype), (TARGET[:40] / 8).to(dtype)
    by_func = grad(lambda pred: loss(pred, target).sum())(pred)
    leaf = pred.clone().requires_grad_()
    loss(leaf, target).sum().backward()
    torch.testing.assert_close(by_func, leaf.grad)
