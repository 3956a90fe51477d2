"""The two regression experiments of the papers: where boxes start, and by which rule they follow their gradient."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


class Descent:
    """B ← B − η·(2 − IoU)·∂L/∂B on B = (x, y, w, h): descent, faster for poor boxes (arXiv:1911.08287, alg. 1)."""

    def step(self, box: Tensor, gradient: Tensor, iou: Tensor, iteration: int) -> None:
        """Move boxes in place: (4, N) corners, their gradient, (N,) IoU; the first iteration is 1.

        By the chain rule of l = x − w/2 and r = x + w/2: ∂x = ∂l + ∂r and ∂w = (∂r − ∂l)/2.
        """
        eta = 0.1 if iteration <= 160 else 0.01 if iteration <= 180 else 0.001
        low, high = (gradient * (eta * (2 - iou))).chunk(2)
        centre, half = low + high, (high - low) / 4
        box[:2] -= centre - half
        box[2:] -= centre + half


class Adam:
    """Adam on the corners, learning rate 0.01 (Wise-IoU authors' code).

    Each case has its own loss. The authors take the mean of all cases, a factor that Adam sees by its ε alone: the
    gradients of a mean of 1,715,000 are as small as ε, so the more cases there are, the slower boxes would be.
    """

    def __init__(self) -> None:
        """Start without moments."""
        self.mean, self.square = torch.zeros(()), torch.zeros(())

    def step(self, box: Tensor, gradient: Tensor, iou: Tensor, iteration: int) -> None:
        """Move boxes in place, as `Descent.step`, by the moments without their bias."""
        self.mean = torch.lerp(gradient, self.mean, 0.9)
        self.square = torch.lerp(gradient.square(), self.square, 0.999)
        scale = (self.square / (1 - 0.999**iteration)).sqrt_().add_(1e-8)
        box -= (0.01 / (1 - 0.9**iteration)) * self.mean / scale


@dataclass(frozen=True)
class Experiment:
    """Where boxes start and how they move.

    Attributes:
        area: of every target.
        scales: areas of the anchors over the target's.
        radius: of the disc of anchor centres; the image is the square around it, for MPDIoU.
        quantile: maps even shares in (0, 1) to distances from the centre, as shares of the radius.
        rule: how boxes follow their gradient.
        iterations: published number of steps.
        patience: stop after so many steps without a better mean IoU.
    """

    area: float
    scales: tuple[float, ...]
    radius: float
    quantile: Callable[[Tensor], Tensor]
    rule: type[Descent | Adam]
    iterations: int
    patience: int | None = None


EXPERIMENTS = {
    "diou": Experiment(1.0, (0.5, 0.67, 0.75, 1.0, 1.33, 1.5, 2.0), 3.0, torch.sqrt, Descent, iterations=200),
    "wiou": Experiment(
        area=1 / 32,
        scales=(1.0, 4 / 3, 1.5, 2.0, 8 / 3, 3.0, 4.0),
        radius=0.5,
        quantile=lambda share: torch.log1p(share * (math.e**3 - 1)) / 3,  # denser at the rim
        rule=Adam,
        iterations=120,
        patience=50,
    ),
}
