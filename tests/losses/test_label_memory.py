"""LabelMemory: excesses over epochs by hand, how a gain recalls them, and its state."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from yolo_wiou import load_loss
from yolo_wiou.losses import BoxLoss, BoxPair
from yolo_wiou.losses.memory import LabelMemory
from yolo_wiou.losses.positives import Objects

approx = pytest.approx


def labels(*numbers: int) -> Tensor:
    return torch.tensor(numbers)


def seen(memory: LabelMemory, *epochs: dict[int, float]) -> LabelMemory:
    """Show it epochs of one step each."""
    for epoch in epochs:
        memory.observe(labels(*epoch), torch.tensor(list(epoch.values())))
        memory.end_epoch()
    return memory


def test_an_epoch_is_the_mean_over_a_label_s_boxes_and_counts_half_beside_those_before() -> None:
    memory = LabelMemory(3)
    memory.observe(labels(2, 2, 0), torch.tensor([0.1, 0.3, 0.4]))
    memory.observe(labels(2), torch.tensor([0.5]))
    assert memory.recall(labels(2, 0)).tolist() == [0, 0]  # until the epoch is over
    memory.end_epoch()
    assert memory.recall(labels(2, 1, 0)).tolist() == approx([0.3, 0, 0.4])
    memory.observe(labels(2, 1, 2), torch.tensor([0.5, -0.2, 0.7]))
    memory.end_epoch()
    assert memory.recall(labels(0, 1, 2)).tolist() == approx([0.4, -0.2, 0.45])


def test_what_is_not_finite_says_nothing_of_a_label() -> None:
    memory = seen(LabelMemory(1), {0: 0.4}, {0: math.nan})
    assert memory.past.tolist() == approx([0.4])


def test_the_state_is_exact_and_of_the_same_labels_alone() -> None:
    memory, other = seen(LabelMemory(2, 7), {0: 0.123456789}, {0: 0.3}), LabelMemory(2, 7)
    memory.observe(labels(1), torch.tensor([0.9]))  # an epoch under way is forgotten
    assert other.import_state(memory.export_state())
    torch.testing.assert_close(other.past, memory.past, rtol=0, atol=0, equal_nan=True)
    assert memory.import_state(memory.export_state())
    assert not memory.seen.any()
    for state in ({**memory.export_state(), "labels": 8}, None):
        assert not other.import_state(state)
        assert other.past.isnan().all()


def test_no_other_dtype_rounds_it() -> None:
    memory = seen(LabelMemory(1), {0: 0.123456789})
    assert memory.half().past.dtype == torch.float32
    assert memory.to("meta").past.is_meta


def trusting(mean: float = 0.2, count: int = 3) -> BoxLoss:
    loss = load_loss("trust", **{"running_mean.momentum": 0.1})
    loss.running_mean.mean.fill_(mean)
    loss.remember(count, 0)
    return loss


def losing(*iou_losses: float) -> BoxPair:
    pred = torch.tensor([(0.0, 0.0, 40 * (1 - lost), 10.0) for lost in iou_losses])
    return BoxPair.of(pred, torch.tensor([0.0, 0, 40, 10]).expand(len(pred), 4))


def test_a_gain_recalls_the_label_and_not_the_step() -> None:
    """Label 2 misfitted by .3 more than usual in the epoch before, and fits now as well as label 0."""
    loss, both = trusting(), Objects(labels(2, 0), 3)
    loss.running_mean.steps.fill_(1)
    loss.observe(losing(0.5, 0.2), torch.ones(2), both)
    loss.running_mean.mean.fill_(0.2)
    loss.running_mean.sizes.zero_()
    assert loss.memory is not None
    loss.memory.end_epoch()
    gain = loss.gain_and_loss(losing(0.2, 0.2), labels=both)[0]
    assert (gain[0] / gain[1]).item() == approx(math.exp(-3 * 0.3), rel=1e-5)


def test_where_no_label_is_numbered_the_step_speaks_and_nothing_is_remembered() -> None:
    loss, plain = trusting(), load_loss("trust", **{"running_mean.momentum": 0.1})
    plain.running_mean.mean.fill_(0.2)
    objects = Objects(labels(0, 0, 1), 2)
    pair = losing(0.1, 0.3, 0.6)
    found, expected = (each.gain_and_loss(pair, objects=objects)[0] for each in (loss, plain))
    assert torch.equal(found, expected)
    loss.observe(pair, found)
    assert loss.memory is not None
    assert not loss.memory.seen.any()


def test_only_a_gain_that_asks_has_a_memory() -> None:
    loss = load_loss("ciou")
    loss.remember(3, 0)
    assert loss.memory is None


def test_nothing_is_remembered_before_anybody_knows_what_to_expect() -> None:
    loss, both = trusting(mean=1.0), Objects(labels(2, 0), 3)
    assert loss.memory is not None
    for expected in (0.0, 2.0):
        loss.observe(losing(0.3, 0.3), torch.ones(2), both)
        assert loss.memory.seen[1].sum() == expected
    loss.memory.end_epoch()
    assert loss.memory.past[[0, 2]].abs().max() < 0.05
