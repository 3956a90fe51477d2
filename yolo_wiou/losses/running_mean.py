"""The state of a loss: running means of the IoU loss, of all positives and by size, and what a first step has set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from yolo_wiou.losses._geometry import in_transform
from yolo_wiou.losses.boxes import EPS, SIZES
from yolo_wiou.losses.settings import LEAST_MEAN

PRIOR = 0.01


class RunningMean(nn.Module):
    """Exponential mean of the plain IoU loss of all positives, unweighted, from 1.0 (arXiv:2301.10051 §3.3).

    A step is judged by the mean of the steps before it. The authors' code moves the mean first, which needs the step's
    boxes of all ranks in the middle of the loss; the difference is one step of a mean that moves slowly.

    `observe` gathers what a step saw, `advance` moves the mean by it: once per step, however many calls a step makes.

    Args:
        momentum: weight of a step's mean in the new mean, in (0, 1).
        with_sizes: keep a mean per size class of the targets too, an octave of their side √(w·h) in pixels each.
        with_first: keep the sums of the first step too, whose quotient is a gain's factor from then on.

    Attributes:
        mean: float32 scalar buffer.
        sizes: float32 (2, SIZES) buffer: running means of a size class's share in the sum of the IoU losses and in the
            number of boxes, per box of a step. Their quotient is the class's mean, in which a step counts by the boxes
            that it has; (2, 0) without size classes.
        first: float32 (2,) buffer: the sums that a gain gave of the first step whose second sum was not 0, which is the
            factor's denominator; 0 before; (0,) without.
        seen: float32 (3 + 2·SIZES + 2,) buffer of the step so far: sum of IoU losses, number of boxes, sum of gains
            (for the log); then the sums of IoU losses and the numbers of boxes by size class; then the gain's sums.
        steps: int64 scalar buffer, the number of steps that counted.
        sums: of the call whose gain was computed last, for `observe`.
    """

    mean: Tensor
    sizes: Tensor
    first: Tensor
    seen: Tensor
    steps: Tensor

    def __init__(self, momentum: float, with_sizes: bool = False, with_first: bool = False) -> None:
        """Start at 1.0."""
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.ones(()))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.register_buffer("sizes", torch.zeros(2, SIZES * with_sizes), persistent=with_sizes)
        self.register_buffer("first", torch.zeros(2 * with_first), persistent=with_first)
        self.register_buffer("seen", torch.zeros(3 + self.sizes.numel() + self.first.numel()), persistent=False)
        self.sums = self.first

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any) -> RunningMean:
        """Follow `.to` and `.cuda` to a device, but `.half()` and its like to no other dtype, which would round."""
        super()._apply(lambda x: x.to(fn(x).device), *args)  # type: ignore[no-untyped-call]
        return self

    def observe(self, iou_loss: Tensor, gain: Tensor, classes: Tensor | None = None) -> None:
        """Add boxes to the step: IoU losses, gains and, where they are kept, the targets' size classes, (N,) each.

        Float32; a gain is a constant already.
        """
        rows = torch.stack((iou_loss.detach(), torch.ones_like(gain), gain))
        sums = rows.sum(1)  # nothing waits for the host
        if classes is not None:
            by_size = rows.new_zeros(2, SIZES).index_add_(1, classes, rows[:2])  # autocast rounds products
            sums = torch.cat((sums, by_size.flatten()))
        if self.first.numel():
            sums = torch.cat((sums, self.sums))
        self.seen.add_(sums)

    def at_first(self, sums: Tensor) -> Tensor:
        """Return the sums of the first step that had any, (2,): in that step itself the call's own, which are given."""
        if not in_transform():
            self.sums = sums
        return torch.where(self.first[1] > 0, self.first, sums)

    def by_size(self, classes: Tensor) -> Tensor:
        """Return the mean of each target's size class, (N,) -> (N,).

        The mean of all boxes counts in it as a hundredth of a step does, so that it is the mean of a class that nobody
        has seen, and a class of a few boxes stays near it.
        """
        prior = PRIOR * self.momentum
        total, share = self.sizes
        means: Tensor = ((total + prior * self.mean) / (share + prior)).clamp_min_(LEAST_MEAN)
        return means[classes]

    @torch.no_grad()
    def advance(self) -> Tensor:
        """Move the mean by the step's boxes and start a new step; returns what was seen.

        A step without boxes, or with a loss that is not finite, does not count.
        """
        seen, by_size = self.seen, slice(3, 3 + self.sizes.numel())
        per_box = seen / seen[1]  # not a number without boxes
        counts = (per_box * 0).sum() == 0  # 0 for what is finite
        moved = torch.lerp(self.mean, per_box[0], self.momentum)
        self.mean = torch.where(counts, moved.clamp_min_(LEAST_MEAN), self.mean)
        if self.sizes.numel():
            moved = torch.lerp(self.sizes, per_box[by_size].view_as(self.sizes), self.momentum)
            self.sizes = torch.where(counts, moved, self.sizes)
        if self.first.numel():
            sums = seen[by_size.stop :]
            self.first = torch.where(counts & (self.first[1] == 0) & (sums[1] > EPS), sums, self.first)
        self.steps = self.steps + counts
        self.seen = torch.zeros_like(self.seen)
        return seen

    def replay(self, steps: Tensor) -> None:
        """Advance by steps that nobody has observed: what each of them saw, (steps, 3) float32; the host computes."""
        mean = RunningMean(self.momentum)
        mean.import_state(self.export_state())
        for mean.seen in steps.cpu():
            mean.advance()
        self.import_state(mean.export_state())

    def discard(self) -> None:
        """Begin a step with nothing seen, whatever became of the one before."""
        self.seen = torch.zeros_like(self.seen)

    def export_state(self) -> dict[str, Any]:
        """The state as plain numbers, exact."""
        state = {"mean": self.mean.item(), "steps": int(self.steps.item()), "momentum": self.momentum}
        parts = {"sizes": self.sizes, "first": self.first}
        return {**state, **{name: part.tolist() for name, part in parts.items() if part.numel()}}

    def import_state(self, state: dict[str, Any]) -> None:
        """Continue from exported numbers; a step under way is forgotten, and the momentum is the present run's."""
        self.mean.fill_(max(state["mean"], LEAST_MEAN))
        self.steps.fill_(state["steps"])
        if self.sizes.numel():
            self.sizes.copy_(torch.tensor(state.get("sizes", 0.0)))
        if self.first.numel():
            self.first.copy_(torch.tensor(state.get("first", 0.0)))
        self.discard()


def is_distributed() -> bool:
    """Whether several processes train together."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def broadcast_from_rank0(value: Any) -> Any:
    """Return the first rank's value on every rank; each must ask for it. Without a process group it is one's own."""
    held = [value]
    if is_distributed():
        dist.broadcast_object_list(held, 0)
    return held[0]


def sum_over_ranks(values: Tensor) -> None:
    """Sum a tensor over all ranks, in place; every rank must call it. Without a process group it does nothing."""
    if is_distributed():
        dist.all_reduce(values)


def reduce_over_ranks(means: Sequence[RunningMean]) -> None:
    """Sum what all ranks saw in this step, so that `advance` moves every rank's means alike.

    One small all-reduce, whatever the number of means; every rank must call it every step. Without a process group
    it does nothing.
    """
    if means and is_distributed():
        seen = torch.stack([mean.seen for mean in means])
        dist.all_reduce(seen)
        for mean, row in zip(means, seen, strict=True):
            mean.seen = row
