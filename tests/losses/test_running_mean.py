"""The running mean: its formula, what does not move it, and several processes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.multiprocessing.spawn import spawn

from yolo_wiou import load_loss
from yolo_wiou.losses import RunningMean
from yolo_wiou.losses.presets import load_config
from yolo_wiou.losses.running_mean import reduce_over_ranks
from yolo_wiou.losses.settings import LEAST_MEAN, PAPER_UPDATES, auto_momentum


def moved(mean: RunningMean, values: list[float]) -> float:
    mean.observe(torch.tensor(values), torch.ones(len(values)))
    mean.advance()
    return mean.mean.item()


def test_closed_form_of_a_constant_loss() -> None:
    mean = RunningMean(0.1)
    for n in range(1, 30):
        assert moved(mean, [0.3, 0.3]) == pytest.approx(0.3 + 0.7 * 0.9**n, rel=1e-5)


def test_all_boxes_of_a_step_count_alike_however_many_calls_brought_them() -> None:
    mean = RunningMean(0.5)
    mean.observe(torch.tensor([0.2, 0.4, 0.6]), torch.ones(3))
    mean.observe(torch.tensor([1.0]), torch.ones(1))
    assert mean.advance().tolist() == pytest.approx([2.2, 4, 4])
    assert mean.mean.item() == pytest.approx(0.5 + 0.5 * 2.2 / 4)


def test_steps_without_boxes_or_with_a_bad_loss_do_not_count() -> None:
    mean = RunningMean(0.5)
    moved(mean, [0.5])
    for values in ([], [math.nan, 0.1], [math.inf]):
        assert moved(mean, values) == 0.75
    assert mean.steps == 1
    mean.observe(torch.tensor([0.1]), torch.ones(1))
    mean.discard()
    assert mean.advance().tolist() == [0, 0, 0]
    assert mean.mean == 0.75


def test_momentum_leaves_five_percent_of_the_start_after_t_n_updates() -> None:
    assert auto_momentum(PAPER_UPDATES) == pytest.approx(9.8995e-5, rel=1e-4)  # the authors' n = 890, t = 34
    assert (1 - auto_momentum(1234.5)) ** 1234.5 == pytest.approx(0.05)
    resolved = load_config("wiou3").running_mean.resolve(batches=50, epochs=100)
    assert resolved.momentum == pytest.approx(1 - 0.05 ** (1 / (0.28 * 100 * 50)))
    fixed = load_config("wiou3", {"running_mean.momentum": 0.02}).running_mean
    assert fixed.resolve(batches=50, epochs=100) == fixed


def test_exported_state_is_exact() -> None:
    first, resumed = RunningMean(0.1), RunningMean(0.1)
    moved(first, [0.123456789, 0.3])
    first.observe(torch.tensor([0.5]), torch.ones(1))  # under way: not part of the state
    resumed.import_state(first.export_state())
    first.discard()
    assert moved(first, [0.9]) == moved(resumed, [0.9])
    assert resumed.steps == 2


@pytest.mark.parametrize("name", ["wiou2", "wiou3", "ciou-v3", "inner-wiou3"])
def test_perfect_boxes_bring_the_mean_to_its_floor_and_nothing_breaks(name: str) -> None:
    loss, box = load_loss(name, **{"running_mean.momentum": 0.9}), torch.tensor([[1.0, 2.0, 9.0, 7.0]])
    for _ in range(100):
        loss(box.clone().requires_grad_(), box)
    assert loss.running_mean.mean == pytest.approx(LEAST_MEAN)
    resumed = load_loss(name, **{"running_mean.momentum": 0.9})
    resumed.running_mean.import_state({**loss.running_mean.export_state(), "mean": 0.0})  # of an older release
    assert resumed.running_mean.mean == pytest.approx(LEAST_MEAN)
    for shift in (0.0, 1e-6, 3.0):  # as good as the labels, but for rounding, and far from them
        pred = (box + shift).requires_grad_()
        value = resumed(pred, box)
        value.sum().backward()
        assert 0 <= value <= (1e-5 if shift < 1 else 20)
        assert pred.grad is not None
        assert pred.grad.isfinite().all()
    assert resumed.running_mean.mean > 0.1


@pytest.mark.parametrize("cast", ["half", "bfloat16", "double"])
def test_a_cast_does_not_round_the_state(cast: str) -> None:
    loss = load_loss("wiou3")
    moved(loss.running_mean, [0.123456789, 0.3])
    before = loss.running_mean.export_state()
    getattr(loss, cast)()
    assert loss.running_mean.export_state() == before
    assert loss.running_mean.mean.dtype == torch.float32
    assert load_loss("wiou3").to("meta").running_mean.mean.is_meta


def _rank(rank: int, world: int, meeting: str, steps: list[list[list[float]]], out: dict[int, list[float]]) -> None:
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world)
    means = [RunningMean(0.3), RunningMean(0.3)]
    for step in steps:
        for mean, shift in zip(means, (0.0, 0.01), strict=True):
            values = torch.tensor(step[rank]) + shift
            mean.observe(values, torch.ones(len(values)))
        reduce_over_ranks(means)
        for mean in means:
            mean.advance()
    out[rank] = [mean.mean.item() for mean in means]
    dist.destroy_process_group()


def test_ranks_agree_with_one_process_on_the_joined_batch(tmp_path: Path) -> None:
    """Unequal counts, empty ranks, a step without any box."""
    world = 3
    steps: list[list[list[float]]] = [
        [[0.2, 0.4, 0.9], [0.7], [0.1, 0.3]],
        [[], [0.5, 0.25], []],
        [[], [], []],
        [[0.9], [], [0.8, 0.8, 0.8]],
    ]
    with mp.Manager() as manager:
        out = manager.dict()
        spawn(_rank, (world, f"file://{tmp_path}/meeting", steps, out), nprocs=world)
        ranks = [out[rank] for rank in range(world)]
    whole = [RunningMean(0.3), RunningMean(0.3)]
    for step in steps:
        joined = [value for rank in step for value in rank]
        for mean, shift in zip(whole, (0.0, 0.01), strict=True):
            moved(mean, [value + shift for value in joined])
    assert all(rank == ranks[0] for rank in ranks)
    assert ranks[0] == pytest.approx([mean.mean.item() for mean in whole], rel=1e-6)
