"""Trust: objects, size classes and weights, by hand; what keeps it from harm; and the state of its running means."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.float64 import tensors
from helpers.pairs import random_pairs
from torch import Tensor

from yolo_wiou import load_loss
from yolo_wiou.losses import BoxLoss, BoxPair, RunningMean
from yolo_wiou.losses.boxes import size_class
from yolo_wiou.losses.gain import MAX_GAIN
from yolo_wiou.losses.positives import Objects
from yolo_wiou.losses.running_mean import PRIOR

approx = pytest.approx
TARGET = (0.0, 0.0, 40.0, 10.0)
"""20 pixels of side: the class from 16 to 32."""


def trust(mean: float, momentum: float = 0.1, **settings: float) -> BoxLoss:
    loss = load_loss("trust", **{"running_mean.momentum": momentum, **settings})
    loss.running_mean.mean.fill_(mean)
    return loss


def losing(*iou_losses: float) -> BoxPair:
    """Predictions that are the target's left part, as wide as leaves the IoU loss that is asked for."""
    pred = torch.tensor([(0.0, 0.0, 40 * (1 - lost), 10.0) for lost in iou_losses])
    return BoxPair.of(pred, torch.tensor(TARGET).expand(len(pred), 4))


def gains(loss: BoxLoss, pair: BoxPair, weight: Tensor | None = None, objects: Objects | None = None) -> list[float]:
    return loss.gain_and_loss(pair, weight, objects)[0].tolist()


def test_the_formula_by_hand() -> None:
    """Three boxes, the first two of one object: L_o is (0.1 + 0.3)/2 = 0.2 and 0.5; a = (0.5 - 0.4)/0.15 = 2/3."""
    weight = torch.tensor([1.0, 0.5, 0.25])
    found = gains(trust(0.4, **{"gain.k": 3}), losing(0.1, 0.3, 0.5), weight, Objects(torch.tensor([3, 3, 0]), 4))
    raw = [math.exp(2 * 0.2)] * 2 + [math.exp(-2 * 0.1)]
    factor = 1.75 / (1.5 * raw[0] + 0.25 * raw[2])
    assert found == approx([gain * factor for gain in raw], rel=1e-5)


def test_a_bad_anchor_point_is_not_taken_for_a_bad_label() -> None:
    """An object's boxes count alike, however they fit themselves."""
    together, apart = Objects(torch.tensor([0, 0, 1, 1]), 2), None
    pair = losing(0.1, 0.5, 0.2, 0.2)
    first, second, *_ = gains(trust(0.2), pair, objects=together)
    assert first == approx(second)
    assert gains(trust(0.2), pair, objects=apart)[0] > 2 * gains(trust(0.2), pair, objects=apart)[1]


def test_where_all_boxes_fit_alike_hardly_anything_happens() -> None:
    """The same spread in shares of the mean, which is what Wise-IoU's β sees, for exact boxes and for loose ones."""
    exact, loose = (gains(trust(mean), losing(mean / 2, mean, 3 * mean / 2)) for mean in (0.05, 0.3))
    assert exact[0] / exact[2] == approx(math.exp(3 * 0.05), rel=1e-4)
    assert loose[0] / loose[2] == approx(math.exp(3 * 0.3), rel=1e-4)


@pytest.mark.parametrize("mean", [0.5, 0.8, 1.0])
def test_nothing_is_judged_before_the_network_has_learnt_to_fit(mean: float) -> None:
    assert gains(trust(mean), losing(0.0, 0.3, 0.9)) == approx([1, 1, 1])


def test_the_weights_that_the_assigner_gave_stay_the_same_on_the_whole() -> None:
    pair = BoxPair.of(*tensors(random_pairs(60, seed=3), torch.float32))
    weight = torch.rand(60, generator=torch.Generator().manual_seed(0))
    gain = trust(0.3, **{"gain.k": 0.5}).gain_and_loss(pair, weight)[0]
    assert gain.max() < MAX_GAIN  # none is cut off
    assert torch.dot(gain, weight).item() == approx(weight.sum().item())
    assert gain.std() > 0.1


def test_no_box_counts_more_than_the_bound_and_outliers_alone_count_as_ever() -> None:
    many = losing(0.02, *[0.95] * 200)
    assert max(gains(trust(0.05, **{"gain.k": 5}), many)) == approx(MAX_GAIN)
    assert gains(trust(0.05), losing(0.95, 0.95)) == approx([1, 1])


def test_a_small_object_is_judged_by_small_objects() -> None:
    """4 pixels of side and 64; the mean of a class is that of its boxes, of an unseen one that of all."""
    mean = RunningMean(0.5, with_sizes=True)
    mean.mean.fill_(0.3)
    classes = size_class(torch.tensor([4.0, 64.0, 64.0, 200.0]))
    assert mean.by_size(classes).tolist() == approx([0.3] * 4)
    mean.observe(torch.tensor([0.6, 0.1, 0.2]), torch.ones(3), classes[:3])
    mean.advance()
    prior = PRIOR * 0.5 * mean.mean.item()
    small, large = ((n / 6 * value + prior) / (n / 6 + PRIOR * 0.5) for n, value in ((1, 0.6), (2, 0.15)))
    assert mean.by_size(classes).tolist() == approx([small, large, large, mean.mean.item()])
    mean.observe(torch.tensor([math.nan]), torch.ones(1), classes[:1])
    mean.advance()
    assert mean.by_size(classes).tolist() == approx([small, large, large, mean.mean.item()])


def test_a_class_moves_by_the_boxes_that_it_has() -> None:
    """A step without a small box leaves their mean alone; one among a hundred moves it as one of a hundred."""
    mean = RunningMean(0.1, with_sizes=True)
    small, large = size_class(torch.full((1,), 4.0)), size_class(torch.full((99,), 64.0))
    losses, classes = torch.full((100,), 0.2), torch.cat((small, large))
    losses[0] = 0.6
    for _ in range(200):
        mean.observe(losses, torch.ones(100), classes)
        mean.advance()
    settled = mean.by_size(small).item()
    assert settled == approx((0.6 * 0.01 + PRIOR * 0.1 * mean.mean.item()) / (0.01 + PRIOR * 0.1), rel=1e-3)
    mean.observe(torch.full((99,), 0.2), torch.ones(99), large)
    mean.advance()
    assert mean.by_size(small).item() == approx(settled, rel=0.05)


def test_the_state_is_exact_and_an_older_checkpoint_starts_its_classes_afresh() -> None:
    first, resumed = RunningMean(0.1, with_sizes=True), RunningMean(0.1, with_sizes=True)
    first.observe(torch.tensor([0.123456789, 0.3]), torch.ones(2), size_class(torch.tensor([5.0, 90.0])))
    first.advance()
    state = first.export_state()
    resumed.import_state(state)
    assert torch.equal(resumed.sizes, first.sizes)
    resumed.import_state({key: value for key, value in state.items() if key != "sizes"})
    assert not resumed.sizes.any()


def test_all_calls_of_a_step_count_alike_by_size_too() -> None:
    once, twice = RunningMean(0.5, with_sizes=True), RunningMean(0.5, with_sizes=True)
    values, classes = torch.tensor([0.2, 0.4, 0.9]), size_class(torch.tensor([5.0, 90.0, 90.0]))
    once.observe(values, torch.ones(3), classes)
    twice.observe(values[:1], torch.ones(1), classes[:1])
    twice.observe(values[1:], torch.ones(2), classes[1:])
    once.advance()
    twice.advance()
    torch.testing.assert_close(once.sizes, twice.sizes)


def test_a_loss_that_is_trained_alone_learns_its_sizes() -> None:
    loss = trust(0.2, momentum=0.5)
    pred = torch.tensor([(0.0, 0.0, 20.0, 10.0)] * 3, requires_grad=True)
    loss(pred, torch.tensor([TARGET] * 3)).sum().backward()
    assert loss.running_mean.sizes.sum(1).tolist() == approx([0.25, 0.5])
    assert "running_mean.sizes" in loss.state_dict()
    assert "running_mean.sizes" not in load_loss("ciou").state_dict()
