"""What a loss costs, as far as it can be counted: operators and bytes. Times are the benchmarks' business."""

from __future__ import annotations

import pytest
import torch
from helpers.cost import Count, Term, boxes, our_term, peak_bytes, step, stock_term

from yolo_wiou import available_losses, load_loss
from yolo_wiou.losses.box_loss import weighted_sum


def operators(term: Term, n: int = 50) -> int:
    data = boxes(n)
    with Count() as counted:
        step(term, data)
    assert counted.syncs == 0
    return int(counted.total)


@pytest.mark.parametrize("name", available_losses())
def test_no_preset_takes_more_operators_than_stock_and_none_waits_for_a_device(name: str) -> None:
    stock, ours = operators(stock_term), operators(our_term(name))
    if load_loss(name).config.is_stock:
        assert ours == stock
    else:
        assert ours <= stock * (0.5 if name in {"wiou1", "wiou2", "wiou3"} else 1.0)


@pytest.mark.parametrize("name", ["wiou3", "ciou-v3"])
def test_operators_do_not_depend_on_the_number_of_boxes_and_memory_is_linear(name: str) -> None:
    term = our_term(name)
    assert operators(term, 10) == operators(term, 10_000)

    def peak(n: int) -> float:
        return peak_bytes(lambda: step(term, boxes(n))) / n

    small, large = peak(2_000), peak(20_000)
    assert large == pytest.approx(small, rel=0.02)


def test_views_are_not_counted_and_work_is() -> None:
    x = torch.ones(3, 4)
    with Count() as counted:
        x.t()[2:].unbind()
        x.add_(1)
        (x + x).sum().item()
        x[x[:, 0] > 0]
    assert counted.operators == {"add_": 1, "add": 1, "sum": 1, "_local_scalar_dense": 1, "gt": 1, "index": 1}
    assert counted.syncs == 2


def test_peak_is_what_is_held_at_once() -> None:
    def step() -> None:
        ones = torch.ones(1000)
        twos = ones + ones
        del ones
        twos.exp()

    assert peak_bytes(step) == pytest.approx(8000, abs=200)  # small change aside, two of the three
    before: list[torch.Tensor] = []

    def cleared_step() -> None:
        before.clear()
        step()

    peak_bytes(lambda: before.append(torch.ones(1000)))  # in a trace, since only of such memory one knows the size
    assert peak_bytes(cleared_step) == pytest.approx(8000, abs=200)


def test_the_weighted_sum_is_float32_under_autocast() -> None:
    """One `dot` in place of product, sum and division: no operator that autocast takes to half precision."""
    loss, gain, weight = torch.linspace(0, 1, 1000), torch.linspace(0.3, 2.7, 1000), torch.linspace(0, 1, 1000)[:, None]
    expected = (loss.double() * gain.double() * weight[:, 0].double()).sum() / 7
    with torch.autocast("cpu", torch.bfloat16):
        total = weighted_sum(loss, gain, weight, torch.tensor(7.0))
    assert total.dtype == torch.float32
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)
    assert weighted_sum(loss[:0], gain[:0], weight[:0], 1.0) == 0
