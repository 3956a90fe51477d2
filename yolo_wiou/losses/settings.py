"""The settings of a loss that no formula declares: base classes, the running mean, the schedule, and ALWA."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _not_bool(value: Any) -> Any:
    """Refuse what pydantic would quietly turn into a number: `true` is not 1."""
    if isinstance(value, bool):
        raise ValueError("should be a number")
    return value


FiniteFloat = Annotated[float, BeforeValidator(_not_bool), Field(allow_inf_nan=False)]
"""A finite number: what a loss's numeric setting is, before its own range (`Annotated[FiniteFloat, Field(gt=0)]`)."""


class Settings(BaseModel):
    """Base of all sections: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Component(Settings):
    """One section of a loss (`overlap`, `penalty`, ...): the name of a registered function, then its settings."""

    name: str


LEAST_MEAN = 3e-3
"""The running mean gets no smaller: with all boxes perfect it would reach 0, and labels are not that exact."""
PAPER_UPDATES = 34 * 890
"""t·n of the Wise-IoU authors' runs: what `momentum: auto` assumes where no trainer knows the run's own."""


def auto_momentum(updates: float) -> float:
    """Momentum with which the start value weighs 5 % after `updates` updates (arXiv:2301.10051): 1 − 0.05^(1/updates).

    >>> auto_momentum(300)
    0.00993...
    """
    return -math.expm1(math.log(0.05) / max(updates, 1.0))


def _momentum(value: Any) -> Any:
    """A number may come as text: YAML 1.1 reads 1e-3 as such."""
    if value == "auto":
        return value
    try:
        number = -1.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 < number < 1:
        raise ValueError("should be 'auto' or a number between 0 and 1")
    return number


class RunningMeanConfig(Settings):
    """The running mean of the IoU loss of all positives, by which Wise-IoU judges a box (arXiv:2301.10051 §3.3).

    Attributes:
        momentum: weight of a step's mean; "auto" is 1 − 0.05^(1/(t·n)), n batches per epoch, t = converge · epochs.
        converge: share of the epochs after which AP is expected to grow slowly; the authors' is 34 of 120.
    """

    momentum: Annotated[float | Literal["auto"], BeforeValidator(_momentum)] = "auto"
    converge: Annotated[FiniteFloat, Field(gt=0, le=1)] = 0.28

    def resolve(self, batches: int, epochs: int) -> RunningMeanConfig:
        """Return the same with `momentum` as a number, for a run of `epochs` epochs of `batches` batches."""
        if self.momentum != "auto":
            return self
        return self.model_copy(update={"momentum": auto_momentum(self.converge * epochs * batches)})

    @property
    def value(self) -> float:
        """The momentum as a number: "auto" outside a trainer is the authors' own."""
        return auto_momentum(PAPER_UPDATES) if self.momentum == "auto" else self.momentum


Ratio = Annotated[FiniteFloat, Field(ge=0.1, le=3)]


class Scale(Settings):
    """Unified-IoU: overlap and penalty see both boxes scaled about their own centres, by a ratio that moves.

    The authors' schedule goes from 2 to 0.5 (arXiv:2408.06636); theirs is fixed to 300 epochs, this one to the run's
    own.

    Attributes:
        start: ratio at the beginning; 1 to 1 changes nothing.
        end: ratio at the end.
        schedule: how it moves: on a line, half a cosine, or steeply at first (a fraction).
    """

    start: Ratio = 1.0
    end: Ratio = 1.0
    schedule: Literal["linear", "cosine", "fraction"] = "linear"

    def ratio(self, progress: float) -> float:
        """Return the ratio after a share of the run, in [0, 1]."""
        start, end = self.start, self.end
        if self.schedule == "cosine":
            return (start + end) / 2 + (start - end) / 2 * math.cos(math.pi * progress)
        if self.schedule == "fraction":  # 1/ratio moves on a line
            return 1 / (1 / start + (1 / end - 1 / start) * progress)
        return start + (end - start) * progress


class TaskBalance(Settings):
    """ALWA (arXiv:2103.09488): the classification loss weighted down while it fluctuates more than the box loss.

    Attributes:
        name: none, or alwa.
        window: batches between two decisions.
        statistic: what is compared, std or mean+std of the losses in the window.
        rule: multiplicative, w <- min(1, w·BOX/CLS), which settles; or paper, w <- BOX/CLS if CLS > BOX, the authors'
            code to the letter. As CLS is measured on the weighted loss, that one flips between two values.
    """

    name: Literal["none", "alwa"] = "none"
    window: Annotated[int, Field(ge=2, le=100_000)] = 100
    statistic: Literal["std", "mean+std"] = "std"
    rule: Literal["multiplicative", "paper"] = "multiplicative"
