"""BoxLoss: loss = gain · (1 − overlap + penalty)."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from yolo_wiou.losses._geometry import in_transform
from yolo_wiou.losses.boxes import BoxPair, ImageSize, Stride
from yolo_wiou.losses.cls_weighting import CLS_WEIGHTINGS
from yolo_wiou.losses.config import LossConfig
from yolo_wiou.losses.gain import GAINS
from yolo_wiou.losses.memory import LabelMemory
from yolo_wiou.losses.overlap import OVERLAPS, focaler
from yolo_wiou.losses.penalty import PENALTIES
from yolo_wiou.losses.positives import AnyPair, Objects, Positives
from yolo_wiou.losses.presets import DEFAULT_LOSS, load_config
from yolo_wiou.losses.registry import asks
from yolo_wiou.losses.running_mean import RunningMean
from yolo_wiou.losses.settings import PAPER_UPDATES

POWER_EPS = 1e-8
"""Where a power below 1 would have an infinite slope, and a term that rounding made negative no power at all."""


class Float32(torch.autograd.Function):
    """`x.float()`, whose gradient saturates at the range of x's dtype: in float16 a box without size would get inf."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Cast."""
        ctx.dtype = x.dtype
        return x.float()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """Clamp where the dtype is narrower, and cast back."""
        limit = min(torch.finfo(ctx.dtype).max, torch.finfo(torch.float32).max)
        return grads[0].clamp(-limit, limit).to(ctx.dtype)


def to_float32(x: Tensor) -> Tensor:
    """Cast to float32, with a gradient that fits the dtype of `x`."""
    return x if x.dtype == torch.float32 else x.float() if in_transform() else Float32.apply(x)


def to_power(x: Tensor, power: float) -> Tensor:
    """α-IoU's power of a term that is not negative."""
    return x if power == 1 else x.clamp(min=POWER_EPS).pow(power)


class BoxLoss(nn.Module):
    """A box regression loss, one value per box; reduction is the caller's.

    A gain that asks for the running mean judges a step by the mean of the steps before it. The mean advances at the end
    of each call whose prediction requires a gradient, whatever `.training` says; who makes several calls per step, or
    has several processes, sets `self_advancing = False` and calls `advance` of running_mean.py at the end of a step.

    `torch.compile` takes it whole. In a transform of torch.func (`grad`, `vjp`, `vmap` of either) a call is a pure
    function: it reads the running mean and moves nothing. There is no second derivative, and asking for it is an error.

    >>> loss = BoxLoss(load_config("ciou"))
    >>> loss(torch.tensor([[0.0, 0, 4, 2]]), torch.tensor([[1.0, 1, 4, 3]]))
    tensor([0.7773])

    Args:
        config: which overlap, penalty and gain.

    Attributes:
        running_mean: the state; a submodule, so `state_dict()` holds it.
        memory: of the labels of a training split, if a trainer numbers them and the gain asks for `excess`.
        keeps_mean: whether it is shown every step, which the gain or the classification weighting asks for; who else
            reads it says so here. Where nobody does it stays at its start.
        self_advancing: whether a call is a step.
        progress: share of the run that is over, for a loss with a schedule (Unified-IoU).
    """

    def __init__(self, config: LossConfig) -> None:
        """Bind the functions of the three axes to their settings."""
        super().__init__()
        self.config = config
        self.overlap = OVERLAPS.bind(config.overlap)
        self.penalty = PENALTIES.bind(config.penalty)
        self.gain = GAINS.bind(config.gain)
        self.asked = asks(GAINS.functions[config.gain.name])
        self.scales_overlap = "overlap_loss" in asks(PENALTIES.functions[config.penalty.name])
        self.has_plain_overlap = config.overlap == OVERLAPS.parse("iou") and config.power == 1
        weighting = CLS_WEIGHTINGS.functions[config.cls_weighting.name]
        with_first = getattr(config.gain, "norm", None) == "first"
        self.keeps_mean = with_first or has_running_mean(config) or "usual_iou" in asks(weighting)
        self.by_size = not {"expected", "excess"}.isdisjoint(self.asked)
        self.running_mean = RunningMean(config.running_mean.value, self.by_size, with_first)
        self.memory: LabelMemory | None = None
        self.self_advancing = True
        self.progress = 0.0

    def extra_repr(self) -> str:
        """Show the formula in `print(loss)`."""
        return str(self.config)

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        *,
        stride: Stride = 1.0,
        imgsz: ImageSize = None,
        weight: Tensor | None = None,
        objects: Objects | None = None,
    ) -> Tensor:
        """Compute the loss of each box, in float32 whatever the input is, and where it is: the state follows.

        Args:
            pred: predicted boxes, (N, 4) xyxy. Where x2 < x1 or y2 < y1 a box counts as one without width or height
                at its first corner, and nothing says so: to look would make the host wait for the device.
            target: target boxes, (N, 4) xyxy, same unit; a constant.
            stride: pixels per box unit, (), (N,) or (N, 1), for the losses that hold a length in pixels.
            imgsz: (height, width) of the network's input in pixels.
            weight: (N,) what a box will weigh in your sum, for the gains that keep one; 1 by default. The result does
                not hold it.
            objects: which object each box predicts, for the gains that judge an object; each its own by default.

        Returns:
            (N,) float32; the gain in it is detached. An empty input gives an empty loss that keeps its graph.

        Raises:
            TypeError: the boxes are no tensors.
            ValueError: the boxes have other shapes, or the target requires a gradient and the prediction doesn't.
        """
        if not (isinstance(pred, Tensor) and isinstance(target, Tensor)):
            kinds = " and ".join(type(boxes).__name__ for boxes in (pred, target))
            raise TypeError(f"a loss takes two tensors of boxes, (N, 4) xyxy, not {kinds}: torch.tensor(boxes)")
        if target.requires_grad and not pred.requires_grad and torch.is_grad_enabled():
            raise ValueError("the prediction comes first, loss(pred, target): only the second requires a gradient")
        if pred.shape != target.shape or pred.shape[1:] != (4,):
            shapes = " and ".join(str(tuple(boxes.shape)) for boxes in (pred, target))
            raise ValueError(f"a loss takes boxes (N, 4), xyxy, a target for each prediction; not {shapes}")
        if isinstance(stride, Tensor) and stride.ndim > 1:  # Ultralytics' own form, which would broadcast to (N, N)
            stride = stride.flatten()
        if self.running_mean.mean.device != pred.device:
            self.to(pred.device)
        pair = BoxPair.of(to_float32(pred), target.float(), stride, imgsz)
        gain, loss = self.gain_and_loss(pair, weight, objects)
        if pred.requires_grad and torch.is_grad_enabled() and not in_transform():
            self.observe(pair, gain)
        return gain * loss

    def gain_and_loss(
        self,
        pair: AnyPair,
        weight: Tensor | None = None,
        objects: Objects | None = None,
        labels: Objects | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return (gain, 1 − overlap + penalty), (N,) each; nothing is observed.

        Weight and objects as in `forward`; `labels` are those of the training split that the boxes predict, where a
        trainer numbers them.
        """
        loss = self.unweighted(pair)
        given = None if weight is None else weight.to(pair.iou_loss)
        positives = Positives(lambda: pair, loss, given, objects, self.running_mean, labels, self.memory)
        return self.gain_of(positives), loss

    @torch.no_grad()
    def gain_of(self, positives: Positives) -> Tensor:
        """Return the gain, (N,)."""
        gain: Tensor = self.gain(*(getattr(positives, name) for name in self.asked))
        return gain

    def remember(self, labels: int, fingerprint: int) -> None:
        """Keep a memory of so many labels, whose checksum is `fingerprint`, if the gain asks for one."""
        if "excess" in self.asked:
            self.memory = LabelMemory(labels, fingerprint)

    def observe(self, pair: AnyPair, gain: Tensor, labels: Objects | None = None) -> None:
        """Show a call's boxes, and their labels, to the memory and the running mean, as far as they are kept.

        Before the running mean has seen a step, nobody knows what to expect, and nothing is remembered.
        """
        if self.memory is not None and labels:
            expected = torch.where(self.running_mean.steps > 0, self.running_mean.by_size(pair.size_class), torch.nan)
            self.memory.observe(labels.index, pair.iou_loss.detach() - expected)
        if not self.keeps_mean:
            return
        self.running_mean.observe(pair.iou_loss, gain, pair.size_class if self.by_size else None)
        if self.self_advancing:
            self.running_mean.advance()

    def unweighted(self, pair: AnyPair) -> Tensor:
        """1 − overlap + penalty, every term to the power α of α-IoU; Inner and Focaler change the overlap alone."""
        settings, power = self.config.overlap, self.config.power
        boxes = pair.scaled(self.config.scale.ratio(self.progress))
        if self.has_plain_overlap:
            overlap_loss = boxes.iou_loss
        else:
            overlap = focaler(self.overlap(boxes.scaled(settings.inner)), settings.focaler)
            overlap_loss = 1 - to_power(overlap, power)
        terms = self.penalty(boxes, overlap_loss) if self.scales_overlap else self.penalty(boxes)
        return sum((to_power(term, power) for term in terms), start=overlap_loss)


def weighted_sum(loss: Tensor, gain: Tensor, weight: Tensor, normaliser: Tensor | float) -> Tensor:
    """Reduce the boxes of a batch as Ultralytics does: Σ weight·gain·loss / normaliser, a scalar.

    Args:
        loss: (N,) float32, what has a gradient.
        gain: (N,) float32.
        weight: (N, 1) in any dtype, a positive's weight.
        normaliser: scalar, the sum of all weights.
    """
    return torch.dot(loss, gain * weight.squeeze(-1) / normaliser)


def has_running_mean(config: LossConfig) -> bool:
    """Return whether a loss judges a box by the running mean."""
    return not {"mean", "expected", "excess"}.isdisjoint(asks(GAINS.functions[config.gain.name]))


def warn_of_slow_mean(config: LossConfig) -> None:
    """Warn that nobody knows how many steps a running mean has; Python shows it once per line of the user's code."""
    if has_running_mean(config) and config.running_mean.momentum == "auto":
        warnings.warn(
            f"outside a trainer the running mean of '{config.name}' takes {PAPER_UPDATES:,} calls to leave its start, "
            "as in its authors' runs. Set running_mean.momentum: 0.01 for some hundred calls, 3 / calls for more.",
            stacklevel=3,
        )


def load_loss(loss: str | Path | Mapping[str, Any] | LossConfig = DEFAULT_LOSS, **overrides: Any) -> BoxLoss:
    """Build a loss from a preset's name, a YAML file, a mapping or a LossConfig.

    >>> load_loss("wiou3", **{"gain.delta": 5})
    BoxLoss(
      wiou3* = nonmonotonic(alpha=1.9, delta=5.0) · (1 - iou + wiou)
      (running_mean): RunningMean()
    )

    Args:
        loss: e.g. "wiou3", "my_loss.yaml" or {"penalty": "ciou", "gain": {"name": "monotonic"}}.
        overrides: settings by dotted key, e.g. `**{"gain.delta": 5}`.

    Raises:
        ConfigError: anything wrong with it, with the valid choices.

    Warns:
        UserWarning: the loss has a running mean, and nobody has said how long its run is.
    """
    config = load_config(loss, overrides)
    warn_of_slow_mean(config)
    return BoxLoss(config)
