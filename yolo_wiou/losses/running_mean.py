"""The running mean of the IoU loss: the only state of a loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


class RunningMean(nn.Module):
    """Exponential mean of the plain IoU loss of all positives, unweighted, from 1.0 (arXiv:2301.10051 §3.3).

    A step is judged by the mean of the steps before it. The authors' code moves the mean first, which needs the step's
    boxes of all ranks in the middle of the loss; the difference is one step of a mean that moves slowly.

    `observe` gathers what a step saw, `advance` moves the mean by it: once per step, however many calls a step makes.

    Args:
        momentum: weight of a step's mean in the new mean, in (0, 1).

    Attributes:
        mean: float32 scalar buffer.
        seen: float32 (3,) buffer of the step so far: sum of IoU losses, number of boxes, sum of gains (for the log).
        steps: int64 scalar buffer, the number of steps that counted.
        last: the IoU losses and gains that the step observed last, (N,) each, kept for histograms; None before.
    """

    mean: Tensor
    seen: Tensor
    steps: Tensor

    def __init__(self, momentum: float) -> None:
        """Start at 1.0."""
        super().__init__()
        self.momentum = momentum
        self.last: tuple[Tensor, Tensor] | None = None
        self.register_buffer("mean", torch.ones(()))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.register_buffer("seen", torch.zeros(3), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any) -> RunningMean:
        """Follow `.to` and `.cuda` to a device, but `.half()` and its like to no other dtype, which would round."""
        super()._apply(lambda x: x.to(fn(x).device), *args)  # type: ignore[no-untyped-call]
        return self

    def observe(self, iou_loss: Tensor, gain: Tensor) -> None:
        """Add boxes to the step: their IoU losses and gains, (N,) float32 each; a gain is a constant already."""
        self.last = iou_loss, gain = iou_loss.detach(), gain
        self.seen.add_(torch.stack((iou_loss, torch.ones_like(gain), gain)).sum(1))  # nothing waits for the host

    @torch.no_grad()
    def advance(self) -> Tensor:
        """Move the mean by the step's boxes and start a new step; returns what was seen.

        A step without boxes, or with a loss that is not finite, does not count.
        """
        counts = (self.seen[1] > 0) & self.seen.isfinite().all()
        seen = torch.where(counts, self.seen, 0.0)
        moved = torch.lerp(self.mean, seen[0] / seen[1].clamp(min=1), self.momentum)
        self.mean = torch.where(counts, moved, self.mean)
        self.steps = self.steps + counts
        self.seen = torch.zeros_like(self.seen)
        return seen

    def discard(self) -> None:
        """Begin a step with nothing seen, whatever became of the one before."""
        self.seen, self.last = torch.zeros_like(self.seen), None

    def export_state(self) -> dict[str, Any]:
        """The state as plain numbers, exact."""
        return {"mean": self.mean.item(), "steps": int(self.steps.item()), "momentum": self.momentum}

    def import_state(self, state: dict[str, Any]) -> None:
        """Continue from exported numbers; a step under way is forgotten, and the momentum is the present run's."""
        self.mean.fill_(state["mean"])
        self.steps.fill_(state["steps"])
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
