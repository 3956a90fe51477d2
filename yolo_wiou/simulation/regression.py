"""The papers' regression simulations: free boxes follow the gradient of a loss towards their targets.

"diou" is the experiment of DIoU (arXiv:1911.08287), which EIoU and SIoU repeat; "wiou" is the one in the Wise-IoU
authors' code (arXiv:2301.10051). Both put anchors of 7 areas and 7 shapes at every point of a disc, against targets of
7 shapes: 343 cases per point, 1,715,000 at 5000 points. Gradients are autograd's. The published curves of "diou" come
from formulas written by hand, which make GIoU slower and DIoU faster than their true gradients do.

No loss sees where in the plane a pair lies, so the targets lie at the origin.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from matplotlib.figure import Figure
from torch import Tensor

from yolo_wiou.errors import ConfigError, choices
from yolo_wiou.losses import BoxLoss, BoxPair, LossConfig
from yolo_wiou.simulation.experiments import EXPERIMENTS, Experiment
from yolo_wiou.simulation.plotting import grouped, line_style, tidy

__all__ = ["EXPERIMENTS", "Row", "best", "plot", "simulate"]

RATIOS = (1 / 4, 1 / 3, 1 / 2, 1.0, 2.0, 3.0, 4.0)
"""Heights over widths, of targets and of anchors."""
CASES = 1_715_000
"""The published number of cases; errors are scaled to it."""
CHUNK = 100
"""Points worked on at once: their 34,300 boxes stay in the processor's cache."""
GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


@dataclass(frozen=True)
class Row:
    """All cases of one loss after a number of steps.

    Attributes:
        loss: name of the loss.
        experiment: "diou" or "wiou".
        iteration: steps made; 0 is the start, which the Wise-IoU authors' code counts as 1.
        error: Σ |Δx| + |Δy| + |Δw| + |Δh| over all cases, scaled to 1,715,000 cases.
        mean_iou: mean plain IoU of all cases.
        min_iou: mean plain IoU of the 343 cases of the worst point.
    """

    loss: str
    experiment: str
    iteration: int
    error: float
    mean_iou: float
    min_iou: float


PANELS = {
    "diou": {"error": "Summed error of 1,715,000 cases", "mean_iou": "Mean IoU"},
    "wiou": {"mean_iou": "Mean IoU", "min_iou": "Mean IoU of the worst point"},
}


def simulate(
    config: LossConfig,
    experiment: Literal["diou", "wiou"] = "diou",
    points: int = 5000,
    iterations: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    chunk: int = CHUNK,
) -> list[Row]:
    """Let all cases follow one loss; the running mean advances once per iteration, over all of them.

    Lengths are in units of the experiment: targets have √area 1 ("diou") or 0.177 ("wiou"), so a loss with a length in
    it (NWD's constant) needs one of that order.

    >>> from yolo_wiou.losses.presets import load_config
    >>> rows = simulate(load_config("ciou"), "diou", points=2, iterations=50)
    >>> [round(rows[k].mean_iou, 3) for k in (0, 20, 50)]
    [0.007, 0.212, 0.418]

    Args:
        config: the loss.
        experiment: "diou" or "wiou".
        points: anchor centres, on a spiral; the same number gives the same points.
        iterations: steps; the published number unless given.
        progress: called with (steps made, steps to make).
        chunk: points worked on at once. It changes results by rounding alone, except for a gain that looks at the whole
            batch (`iou-balanced`), for which it is the batch.

    Returns:
        One row per iteration, the start first.

    Raises:
        ConfigError: there is no such experiment, or a number is below 1.
    """
    setup = _check(experiment, points=points, iterations=iterations, chunk=chunk)
    steps = iterations or setup.iterations
    loss = BoxLoss(config)
    loss.self_advancing = False
    rows: list[Row] = []
    with one_thread():
        blocks = [Block(setup, centres) for centres in _spiral(setup, points, chunk)]
        for done in range(steps + 1):
            error, iou = _visit(blocks, loss, done + 1 if done < steps else None)
            error *= CASES / (points * len(setup.scales) * len(RATIOS) ** 2)
            rows.append(Row(config.name, experiment, done, error, iou.mean().item(), iou.min().item()))
            if progress:
                progress(done, steps)
            if setup.patience and done - best(rows).iteration >= setup.patience:
                break
    return rows


def _check(experiment: str, **numbers: int | None) -> Experiment:
    """Find the experiment, and refuse a number below 1."""
    if experiment not in EXPERIMENTS:
        raise ConfigError(f"unknown experiment '{experiment}'. {choices(experiment, EXPERIMENTS)}")
    for name, number in numbers.items():
        if number is not None and number < 1:
            raise ConfigError(f"{name}={number} is wrong: it should be at least 1.")
    return EXPERIMENTS[experiment]


def _visit(blocks: Sequence[Block], loss: BoxLoss, iteration: int | None) -> tuple[float, Tensor]:
    """Measure each block and, in an iteration, move it while it is in the cache: summed error and IoU per point."""
    errors, ious = [], []
    for block in blocks:
        error, iou = block.measure()
        errors.append(error)
        ious.append(iou)
        if iteration:
            block.step(loss, iteration)
    loss.running_mean.advance()
    return sum(errors), torch.cat(ious)


def best(rows: Sequence[Row]) -> Row:
    """Return the first row of the highest mean IoU: the state that the "wiou" experiment keeps."""
    return max(rows, key=lambda row: row.mean_iou)


class Block:
    """The cases of some points, coordinates first: (4, N) corners, so that each coordinate is contiguous.

    Args:
        setup: the experiment.
        centres: of the anchors, (2, P).
    """

    def __init__(self, setup: Experiment, centres: Tensor) -> None:
        """Lay out all anchors at all points for all targets."""
        anchors = _around_origin([setup.area * scale for scale in setup.scales])[:, None, None, :]
        targets = _around_origin([setup.area])[:, None, :, None]
        boxes = centres.repeat(2, 1)[:, :, None, None] + anchors + torch.zeros_like(targets)
        self.box, self.target = boxes.flatten(1), targets.expand_as(boxes).flatten(1)
        self.cases = self.box.shape[1] // centres.shape[1]
        self.imgsz = (2 * setup.radius, 2 * setup.radius)
        self.rule = setup.rule()

    def measure(self) -> tuple[float, Tensor]:
        """Return the sum of the errors, and the mean IoU of each point, (P,)."""
        low, high = (self.box - self.target).chunk(2)
        error = (low + high).abs().sum() / 2 + (high - low).abs().sum()
        self.iou = BoxPair.of(self.box.T, self.target.T).iou
        return error.item(), self.iou.view(-1, self.cases).mean(-1)

    def step(self, loss: BoxLoss, iteration: int) -> None:
        """Move all boxes once; the running mean sees them, and advances when all blocks have moved."""
        box = self.box.detach().requires_grad_()
        value = loss(box.T, self.target.T, imgsz=self.imgsz)
        (gradient,) = torch.autograd.grad(value.sum(), box)
        self.rule.step(self.box, gradient, self.iou, iteration)


def _around_origin(areas: Sequence[float]) -> Tensor:
    """Boxes of every area and every ratio, the ratio running fastest: (4, N) corners."""
    area, ratio = torch.cartesian_prod(torch.tensor(areas), torch.tensor(RATIOS)).unbind(-1)
    half = torch.stack((area / ratio, area * ratio)).sqrt() / 2
    return torch.cat((-half, half))


def _spiral(setup: Experiment, points: int, chunk: int) -> Iterator[Tensor]:
    """Points that fill the disc evenly, as parts of at most `chunk` points, (2, P) each.

    Successive points lie the golden angle apart. Every part reaches from the centre to the rim.
    """
    index = torch.arange(points, dtype=torch.float64)
    radius, angle = setup.radius * setup.quantile((index + 0.5) / points), index * GOLDEN_ANGLE
    centres = torch.stack((radius * angle.cos(), radius * angle.sin())).float()
    parts = -(-points // chunk)
    return (centres[:, part::parts] for part in range(parts))


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread: on operations this small, threads wait for one another longer than they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draw one experiment as a PNG, one line per loss: error and mean IoU, or mean IoU and that of the worst point."""
    panels = PANELS[rows[0].experiment]
    losses = grouped(rows, lambda row: row.loss)
    figure = Figure(figsize=(11, 4.4), dpi=150, layout="constrained")
    for panel, (field, title) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for i, (loss, steps) in enumerate(losses.items()):
            values = [getattr(row, field) for row in steps]
            panel.plot([row.iteration for row in steps], values, label=loss, **line_style(i, len(losses)))
        panel.set_title(title, loc="left", fontweight="bold")
        panel.set(xlabel="iteration", xlim=(0, max(row.iteration for row in rows)))
        if field == "error":
            panel.set_yscale("log")
        else:
            panel.set_ylim(0, 1)
        tidy(panel)
    panel.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.02, 1))
    figure.savefig(path)
