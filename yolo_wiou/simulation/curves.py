"""The shape of a loss: value, gain and gradient along the IoU of a pair of boxes.

The prediction leaves its target along a straight line in (x, y, w, h). It changes its shape on the way, as boxes of the
same shape would not tell DIoU, CIoU and EIoU apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from yolo_wiou.losses import BoxLoss, BoxPair, LossConfig
from yolo_wiou.simulation.plotting import grouped, line_style, tidy

MEANS = (0.2, 0.35, 0.5, 1.0)
"""Running means of the IoU loss: 1 is the start of a training, 0.2 a detector that fits its labels well."""
IMGSZ = (640.0, 640.0)
TARGET = (0.0, 0.0, 96.0, 48.0)
"""Centre, width and height of the target in pixels, for the losses that hold a length; none depends on the centre."""
MOTION = (72.0, 24.0, -24.0, 30.0)
"""Change of the prediction's centre, width and height in pixels per unit of the path."""
TOUCH, END = 8 / 7, 1.6
"""Where on the path the boxes part (72 t = the mean of the widths), and where the path ends."""
SAMPLES = 400
DISTANCE = (MOTION[0] ** 2 + MOTION[1] ** 2) ** 0.5 / (TARGET[2] ** 2 + TARGET[3] ** 2) ** 0.5
"""Distance of the centres over the target's diagonal, per unit of the path."""

PANELS = {"gain": "Gain", "value": "Loss, gain included", "gradient": "Gradient norm × box size"}
DASHES = ("solid", (0, (6, 2)), (0, (5, 1.5, 1, 1.5)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5, 1, 1.5)), (0, (1, 4)))


@dataclass(frozen=True)
class CurvePoint:
    """One loss at one pair of boxes.

    Attributes:
        loss: name of the loss.
        mean: the running mean that the gain compares the pair with; None for a loss whose gain asks for none.
        distance: of the centres, over the target's diagonal.
        iou: plain IoU.
        gain: how much the pair counts.
        value: the loss, gain included.
        gradient: norm of the value's gradient by the corners, times √(w·h) of the target, so that it has no unit.
        slope: the gradient along the path, d value / d distance; the gain is a constant for it.
    """

    loss: str
    mean: float | None
    distance: float
    iou: float
    gain: float
    value: float
    gradient: float
    slope: float


def curves(losses: Sequence[LossConfig], means: Sequence[float] = MEANS) -> list[CurvePoint]:
    """Follow each loss from IoU 1 to 0 and on to boxes apart; once per running mean where the gain depends on it.

    A gain that looks at the whole batch (`iou-balanced`) takes the points of the curve for one.

    >>> from yolo_wiou.losses.presets import load_config
    >>> first, *_, last = curves([load_config("wiou3")], means=[0.5])
    >>> last.loss, last.mean, last.iou, round(last.gain, 3), round(last.value, 3)
    ('wiou3', 0.5, 0.0, 1.267, 1.711)
    """
    points = []
    for config in losses:
        for mean in means if needs_mean(config) else (None,):
            points += _curve(config, mean)
    return points


def pairs() -> tuple[Tensor, Tensor, Tensor]:
    """Return predictions and targets along the path, (N, 4) xyxy in pixels, and where on it they are, (N,).

    The first prediction is almost the target; on the target itself min and max would halve the gradient.
    """
    touching = torch.linspace(0, TOUCH, SAMPLES)
    touching[0] = 1e-3
    apart = torch.linspace(TOUCH, END, SAMPLES // 4)[1:]
    t = torch.cat((touching, apart))
    target = torch.tensor(TARGET).expand(len(t), 4)
    motion = torch.tensor(MOTION)
    return _corners(target + t[:, None] * motion), _corners(target), t


def _corners(box: Tensor) -> Tensor:
    """Centre, width and height -> xyxy, (..., 4)."""
    centre, size = box.chunk(2, -1)
    return torch.cat((centre - size / 2, centre + size / 2), -1)


def _gain_and_loss(config: LossConfig, mean: float, pair: BoxPair) -> tuple[Tensor, Tensor]:
    """Gain, and loss without it, (N,) each, under a running mean."""
    box_loss = BoxLoss(config)
    box_loss.running_mean.mean.fill_(mean)
    return box_loss.gain_and_loss(pair)


def needs_mean(config: LossConfig) -> bool:
    """Return whether the gain changes with the running mean."""
    pred, target, _ = pairs()
    pair = BoxPair.of(pred, target, imgsz=IMGSZ)
    return not torch.equal(_gain_and_loss(config, 1.0, pair)[0], _gain_and_loss(config, 0.5, pair)[0])


def _curve(config: LossConfig, mean: float | None) -> list[CurvePoint]:
    """One loss under one running mean, along the path."""
    pred, target, t = pairs()
    pred.requires_grad_()
    pair = BoxPair.of(pred, target, imgsz=IMGSZ)
    gain, loss = _gain_and_loss(config, 1.0 if mean is None else mean, pair)
    (gradient,) = torch.autograd.grad((gain * loss).sum(), pred)

    motion = _corners(torch.tensor(MOTION))
    columns = (
        t * DISTANCE,
        pair.iou,
        gain,
        gain * loss,
        gradient.norm(dim=-1) * (TARGET[2] * TARGET[3]) ** 0.5,
        gradient @ motion / DISTANCE,
    )
    rows: list[list[float]] = torch.stack([column.detach() for column in columns], -1).tolist()
    return [CurvePoint(config.name, mean, *row) for row in rows]


def plot(points: Sequence[CurvePoint], path: Path) -> None:
    """Draw gain, loss and gradient against IoU as a PNG: a colour per loss, a dash pattern per running mean."""
    curves = grouped(points, lambda point: (point.loss, point.mean))
    losses = list(dict.fromkeys(loss for loss, _ in curves))
    means = sorted({mean for _, mean in curves if mean is not None})
    dashes: dict[float | None, Any] = {mean: DASHES[i % len(DASHES)] for i, mean in enumerate(means)}

    figure = Figure(figsize=(14, 4.4), dpi=150, layout="constrained")
    *panels, margin = figure.subplots(1, 4, gridspec_kw={"width_ratios": (1, 1, 1, 0.45)})
    for panel, (field, title) in zip(panels, PANELS.items(), strict=True):
        for (loss, mean), curve in curves.items():
            style = {**line_style(losses.index(loss), len(losses)), "linestyle": dashes.get(mean, "solid")}
            panel.plot(_positions(curve), [getattr(point, field) for point in curve], **style)
        _finish(panel, title)

    margin.axis("off")
    handles = [Line2D([], [], label=loss, **line_style(i, len(losses))) for i, loss in enumerate(losses)]
    margin.add_artist(margin.legend(handles=handles, loc="upper left", frameon=False))
    if means:
        keys = [Line2D([], [], color="0.3", linestyle=dashes[m], label=f"{m:g}  (β ≤ {1 / m:.3g})") for m in means]
        margin.legend(handles=keys, loc="lower left", frameon=False, title="running mean", alignment="left")
    figure.savefig(path)


def _positions(curve: Sequence[CurvePoint]) -> list[float]:
    """Where points stand on the x axis: at their IoU, and left of 0 by how far the boxes are apart."""
    return [point.iou or TOUCH * DISTANCE - point.distance for point in curve]


def _finish(panel: Axes, title: str) -> None:
    """Name the axes and mark the part where the boxes are apart."""
    edge = (TOUCH - END) * DISTANCE
    panel.set_title(title, loc="left", fontweight="bold")
    panel.set(xlim=(edge, 1), ylim=(0, None), xlabel="IoU")
    panel.axvspan(edge, 0, color="0.93", zorder=0)
    panel.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    panel.set_xticks([edge / 2], ["apart"], minor=True)  # a minor tick draws no grid
    panel.tick_params(which="minor", length=0, pad=7)
    tidy(panel)
