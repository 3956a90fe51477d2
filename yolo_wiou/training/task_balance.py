"""ALWA: the classification loss weighted down while it fluctuates more than the box loss."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from ultralytics.utils import LOGGER

from yolo_wiou.losses.running_mean import is_distributed
from yolo_wiou.losses.settings import TaskBalance

FIRST_WINDOWS = 3
UNMOVED = (
    "yolo-wiou: alwa has left the weight of the classification loss at 1 in its first {} windows of {} batches: that "
    "loss fluctuates less than the box loss. With a heavier one, cls=2 say, or with all gains alike, as its authors "
    "have them, box=1 cls=1 dfl=1, it may decide otherwise."
)
"""Said once: with Ultralytics' own gains, cls=0.5 and box=7.5, the rule hardly ever fires."""


class ALWA:
    """The weight of the classification loss, decided again every `window` batches (arXiv:2103.09488).

    CLS and BOX are a statistic of the two losses over the window, as they enter the objective: after Ultralytics' gains
    and after the present weight; BOX is the box and the distance term together. They stay on the device. In a multi-GPU
    run they are averaged over the ranks, batch by batch, before the decision: one reduction per window, and one weight.
    Of an end-to-end model Ultralytics reports the losses of the one-to-one head only; they decide for both heads.
    Terms of masks, keypoints and angles are in neither. `copy.deepcopy` returns the same object: the EMA's criterion
    has the training's weight.

    Attributes:
        weight: float32 scalar in (0, 1], on the device.
    """

    def __init__(self, config: TaskBalance, device: torch.device) -> None:
        """Start at weight 1 with an empty window."""
        self.config = config
        self.weight = torch.ones((), device=device)
        self.history = torch.zeros(config.window, 2, device=device)
        self.count = self.windows = 0

    @torch.no_grad()
    def observe(self, box: Tensor, cls: Tensor) -> None:
        """Add one batch, and decide if it fills the window."""
        self.history[self.count] = torch.stack((box, cls)).float()
        self.count += 1
        if self.count == self.config.window:
            self._decide()
            self.count, self.windows = 0, self.windows + 1
            if self.windows == FIRST_WINDOWS and self.weight == 1:
                LOGGER.warning(UNMOVED.format(self.windows, self.config.window))

    def _decide(self) -> None:
        """Move the weight, except after a window with a loss that is not finite, or that does not vary at all."""
        history = self.history.clone()
        if is_distributed():
            dist.all_reduce(history)
            history /= dist.get_world_size()
        statistic = history.std(0)
        if self.config.statistic == "mean+std":
            statistic = statistic + history.mean(0)
        box, cls = statistic.unbind()
        new_weight = box / cls if self.config.rule == "paper" else (self.weight * box / cls).clamp(max=1)
        moves = (cls > box if self.config.rule == "paper" else cls > 0) & (box > 0) & history.isfinite().all()
        self.weight = torch.where(moves, new_weight, self.weight)

    def export_state(self) -> dict[str, Any]:
        """Return the state as plain numbers."""
        return {"weight": self.weight.item(), "history": self.history[: self.count].tolist()}

    def import_state(self, state: dict[str, Any]) -> None:
        """Continue from exported numbers."""
        self.weight.fill_(state["weight"])
        self.count = len(state["history"])
        self.history[: self.count] = torch.tensor(state["history"]).reshape(self.count, 2)

    def __deepcopy__(self, memo: dict[int, Any]) -> ALWA:
        """Return the same object, as the class says."""
        return self


class BalancedGains:
    """Ultralytics' loss gains, of which `cls` holds ALWA's weight where gradients flow: validation stays comparable.

    The weight belongs to the whole classification loss, and here it meets a scalar.

    Args:
        gains: the head's `hyp`.
        balance: holds the weight.
    """

    def __init__(self, gains: Any, balance: ALWA) -> None:
        """Stand before the head's own gains, which are never edited."""
        self.gains, self.balance = gains, balance

    @property
    def cls(self) -> Any:
        """Gain of the classification loss: a number, or a scalar on the device."""
        return self.gains.cls * self.balance.weight if torch.is_grad_enabled() else self.gains.cls

    def __getattr__(self, name: str) -> Any:
        """Return any other setting."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.gains, name)
