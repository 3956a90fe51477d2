"""LabelMemory: how badly each label of the training split has fitted, over epochs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from yolo_wiou.losses.running_mean import sum_over_ranks

LATEST = 0.5
"""What the latest epoch counts beside those before it."""


class LabelMemory(nn.Module):
    """Exponential mean over epochs of a label's excess: the IoU loss of its boxes above that of targets as large.

    One step says little of a label, which a mosaic cuts and which is hard to find in some augmentations: were a box
    judged by its own misfit, those that the network fails on just now would count least. `observe` gathers what an
    epoch sees, `end_epoch` makes it the past, over all ranks, and that alone is recalled.

    Args:
        count: how many labels there are.
        fingerprint: of these labels; the state of others is not theirs.

    Attributes:
        past: float32 (count,) buffer, the mean excess over the epochs that are over; NaN of a label not seen yet.
        seen: float32 (2, count) buffer of the present epoch: sum of excesses, number of boxes.
    """

    past: Tensor
    seen: Tensor

    def __init__(self, count: int, fingerprint: int = 0) -> None:
        """Start without a past."""
        super().__init__()
        self.fingerprint = fingerprint
        self.register_buffer("past", torch.full((count,), torch.nan), persistent=False)
        self.register_buffer("seen", torch.zeros(2, count), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any) -> LabelMemory:
        """Follow `.to` and `.cuda` to a device, but `.half()` and its like to no other dtype, which would round."""
        super()._apply(lambda x: x.to(fn(x).device), *args)  # type: ignore[no-untyped-call]
        return self

    @torch.no_grad()
    def observe(self, labels: Tensor, excess: Tensor) -> None:
        """Add a step's boxes: their labels, (N,) int64, and excesses, (N,); one that is not finite does not count."""
        is_finite = excess * 0 == 0  # fewer operators than isfinite
        rows = torch.stack((excess.nan_to_num(0, 0, 0), is_finite.to(excess)))
        self.seen.index_add_(1, labels, rows)

    def discard(self) -> None:
        """Begin an epoch with nothing seen, whatever became of the one before."""
        self.seen = torch.zeros_like(self.seen)

    def recall(self, labels: Tensor) -> Tensor:
        """Return the mean excess of labels, (N,), over the epochs that are over; 0 of one that was not seen yet."""
        return self.past[labels].nan_to_num(0)

    @torch.no_grad()
    def end_epoch(self) -> None:
        """Make the present epoch the past; every rank must."""
        sum_over_ranks(self.seen)
        total, boxes = self.seen
        latest = total / boxes  # not a number of a label that was not seen
        moved = torch.where(self.past.isnan(), latest, self.past.lerp(latest, LATEST))
        self.past = torch.where(boxes > 0, moved, self.past)
        self.discard()

    def export_state(self) -> dict[str, Any]:
        """The past, on the host, exact, and whose it is."""
        return {"labels": self.fingerprint, "past": self.past.cpu().clone()}

    def import_state(self, state: dict[str, Any] | None) -> bool:
        """Continue from an exported past, or afresh if it is of other labels; an epoch under way is forgotten.

        Returns:
            Whether the past is of these labels.
        """
        is_own = state is not None and state["labels"] == self.fingerprint
        self.past = state["past"].to(self.past) if state and is_own else torch.full_like(self.past, torch.nan)
        self.discard()
        return is_own
