"""PluggableBboxLoss and PluggableRotatedBboxLoss: Ultralytics' box losses with another IoU term."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from ultralytics.utils.loss import BboxLoss, RotatedBboxLoss
from ultralytics.utils.metrics import probiou

from yolo_wiou.losses import BoxLoss, BoxPair, LossConfig, RotatedPair
from yolo_wiou.losses.box_loss import to_float32, weighted_sum
from yolo_wiou.losses.positives import AnyPair, Objects, Positives
from yolo_wiou.training.distance_term import without_iou_term
from yolo_wiou.training.heaviness import SeenStep
from yolo_wiou.training.label_ids import LabelIds
from yolo_wiou.training.label_recorder import LabelRecorder, class_scores


class AllPositive(tuple[slice]):
    """The mask of positives for rows that are all positives: `rows[mask]` and `rows[mask.nonzero()]` are the rows.

    A mask of ones would do the same, but the host would wait for the device to count them.
    """

    def __new__(cls) -> AllPositive:
        """Index with every row."""
        return super().__new__(cls, (slice(None),))

    def nonzero(self, as_tuple: bool = True) -> AllPositive:
        """Return where it is true, which is everywhere."""
        return self


class Judged(NamedTuple):
    """Gain, (N,), and objects of the positives."""

    gain: Tensor
    objects: Objects | None


class IoUTermMixin(BboxLoss):
    """A stock box loss, its IoU term replaced by ours; DFL (or L1), weights and reduction are the stock code's.

    The positives are gathered once, and the stock code then sees nothing else. Plain CIoU keeps the stock term.
    `copy.deepcopy` returns the same object: the EMA's criterion, which validates, shares the training's running mean.

    Attributes:
        kind: the stock class.
        seen: the positives of the last training step.
        label_ids: the numbers of the training split's labels; None where nobody asks for them.
        recorder: what is shown every step's positives; None where nothing is recorded.

    Args:
        reg_max: the head's number of DFL bins; 1 means L1 distances.
        box_loss: the loss; its running mean observes wherever the boxes require a gradient.
        strides: (levels,) pixels per box unit of the head's levels.
    """

    kind: type[BboxLoss] = BboxLoss
    _numbers: Tensor  # (B·O,) the label of each target, -1 of what pads
    _scores: Tensor  # (2, N) of the positives, of `class_scores`

    def __init__(self, reg_max: int, box_loss: BoxLoss, strides: Tensor) -> None:
        """Build the stock loss around ours."""
        super().__init__(reg_max)
        self.reg_max = reg_max
        self.box_loss, self.is_stock = box_loss, self.is_own(box_loss.config)
        self.strides = strides
        self.seen: SeenStep | None = None
        self.label_ids: LabelIds | None = None
        self.recorder: LabelRecorder | None = None
        self._positives: tuple[Tensor, tuple[Tensor, ...]] | None = None
        self._assigned: tuple[Tensor, int] | None = None
        self._judged: Judged | None = None

    @staticmethod
    def is_own(config: LossConfig) -> bool:
        """Return whether a loss is the stock term, which is kept then."""
        return config.is_stock

    def listen(self, assigner: Any) -> None:
        """Hear what the head's assigner is told and answers, where somebody asks for it."""
        if self.label_ids:
            assigner.register_forward_pre_hook(self.read_labels)
        if self.label_ids or not {"misfit", "excess"}.isdisjoint(self.box_loss.asked):
            assigner.register_forward_hook(self.remember_objects)

    def record(self, recorder: LabelRecorder) -> None:
        """Show every training step's positives to a recorder, which reads the running mean too."""
        self.recorder, self.box_loss.keeps_mean = recorder, True

    def read_labels(self, assigner: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Hook: read the labels' numbers among the targets, and put their classes there."""
        assert self.label_ids
        numbers, classes = self.label_ids.read(inputs[3])
        self._numbers = numbers.flatten()
        return (*inputs[:3], classes, *inputs[4:])

    def remember_objects(self, assigner: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
        """Hook: keep which of an image's objects each anchor point has been given."""
        self._assigned = output[4], inputs[4].shape[1]
        if self.recorder:
            index = self.positives(output[3])
            self._scores = class_scores(inputs[0][index], output[0][index])

    def objects(self, index: tuple[Tensor, ...]) -> Objects | None:
        """Return the objects of the positives, as the assigner's last call gave them; None where it was not heard."""
        if self._assigned is None:
            return None
        assigned, per_image = self._assigned
        return Objects(index[0] * per_image + assigned[index].long(), len(assigned) * per_image)

    def positives(self, mask: Tensor) -> tuple[Tensor, ...]:
        """Return the indices of a (B, A) mask's true entries, found once per mask, as that waits for the device."""
        if self._positives is None or self._positives[0] is not mask:
            self._positives = mask, mask.nonzero(as_tuple=True)
        return self._positives[1]

    def pair(self, pred: Tensor, target: Tensor, stride: Tensor | float = 1.0, imgsz: Tensor | None = None) -> AnyPair:
        """Return the geometry of the positives, (N, 4) xyxy or (N, 5) xywhr, float32."""
        return BoxPair.of(pred, target, stride, imgsz)

    @torch.no_grad()
    def gain(
        self, geometry: Callable[[], AnyPair], weight: Tensor, index: tuple[Tensor, ...], *, learning: bool
    ) -> Tensor:
        """Return what positives in pixels count, (N,), in the classification, and then in the box loss too."""
        self._judged = self._judge(geometry, None, weight, index, learning)
        return self._judged.gain

    def _judge(
        self,
        geometry: Callable[[], AnyPair],
        loss: Tensor | None,
        weight: Tensor,
        index: tuple[Tensor, ...],
        learning: bool,
    ) -> Judged:
        objects = self.objects(index)
        labels = self.labels(objects) if learning else None
        mean, memory = self.box_loss.running_mean, self.box_loss.memory
        return Judged(self.box_loss.gain_of(Positives(geometry, loss, weight, objects, mean, labels, memory)), objects)

    def labels(self, objects: Objects | None) -> Objects | None:
        """Return the labels of the training split that positives predict; None where nobody asks for them."""
        return self.label_ids.of(self._numbers, objects) if self.label_ids and objects else None

    def forward(
        self,
        pred_dist: Tensor,
        pred_bboxes: Tensor,
        anchor_points: Tensor,
        target_bboxes: Tensor,
        target_scores: Tensor,
        target_scores_sum: Tensor | float,
        fg_mask: Tensor,
        imgsz: Tensor | None = None,
        stride: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Compute the IoU term and the distance term of a batch, as the stock loss does.

        Args:
            pred_dist: (B, A, 4·reg_max) raw distances.
            pred_bboxes: (B, A, 4) xyxy in stride units; (B, A, 5) xywhr if rotated.
            anchor_points: (A, 2) in stride units.
            target_bboxes: (B, A, 4 or 5), likewise.
            target_scores: (B, A, classes); their sum over classes is a positive's weight.
            target_scores_sum: the normaliser.
            fg_mask: (B, A) bool, the positives.
            imgsz: (2,) height and width in pixels; Ultralytics passes it since 8.4.0.
            stride: (A, 1) pixels per box unit; likewise.

        Returns:
            The two terms, scalars, each Σ weight·loss / target_scores_sum.
        """
        index = self.positives(fg_mask)
        anchors = index[-1]
        scores = target_scores[index]
        pred, target = pred_bboxes[index], target_bboxes[index]
        learning = pred.requires_grad and torch.is_grad_enabled()
        pixels = None if stride is None else stride[anchors]
        told = () if pixels is None else (imgsz, pixels)
        rest = target_scores_sum, cast("Tensor", AllPositive()), *told
        if self.is_stock:
            if learning:
                self.seen = SeenStep(pred.detach(), target)
                if self.box_loss.keeps_mean:  # somebody else asks for it: the stock term has no gain
                    pair = self.pair(pred.detach().float(), target.float())
                    self._show(pair, Judged(torch.ones_like(pair.iou_loss), self.objects(index)))
            terms: tuple[Tensor, Tensor] = super().forward(
                pred_dist[index], pred, anchor_points[anchors], target, scores, *rest
            )
            return terms

        boxes, goals, weight = to_float32(pred), target.float(), scores.sum(-1, keepdim=True)
        if pixels is None:
            grid, imgsz = infer_grid(anchor_points, self.strides)
            pixels = grid[anchors]
        context = pixels.flatten().float(), imgsz
        pair = self.pair(boxes, goals, *context)
        loss = self.box_loss.unweighted(pair)
        judged = self._judged or self._judge(lambda: pair, loss, weight.squeeze(-1).to(loss), index, learning)
        self._judged, gain = None, judged.gain
        if learning:
            self._show(pair, judged)
            weights = weight.flatten().detach()
            self.seen = SeenStep(boxes.detach(), goals, context, weights, gain, pair.iou_loss.detach())
        forward = without_iou_term(self.kind.forward, self.kind, self.reg_max)  # type: ignore[arg-type]
        share = weight * gain[:, None] if self.box_loss.config.gain.dfl else weight
        _, distance_term = forward(self, pred_dist[index], pred.detach(), anchor_points[anchors], target, share, *rest)
        return weighted_sum(loss, gain, weight, target_scores_sum), distance_term

    def _show(self, pair: AnyPair, judged: Judged) -> None:
        """Show a step's positives to who looks at every step."""
        if self.recorder and judged.objects:
            self.recorder.add(judged.objects, self._numbers, self._scores, pair.iou_loss)
        self.box_loss.observe(pair, judged.gain, self.labels(judged.objects))

    def __deepcopy__(self, memo: dict[int, Any]) -> IoUTermMixin:
        """Return the same object, as the class says."""
        return self


class PluggableBboxLoss(IoUTermMixin, BboxLoss):
    """Ultralytics' BboxLoss with our IoU term."""


class PluggableRotatedBboxLoss(IoUTermMixin, RotatedBboxLoss):
    """Ultralytics' RotatedBboxLoss with our overlap term: ProbIoU with the head's floor, its modifiers and gains."""

    kind = RotatedBboxLoss

    @staticmethod
    def is_own(config: LossConfig) -> bool:
        """Return whether a loss is ProbIoU without any change, whatever weighs the classification."""
        return config.is_unmodified("ciou")

    def pair(self, pred: Tensor, target: Tensor, stride: Tensor | float = 1.0, imgsz: Tensor | None = None) -> AnyPair:
        """Return the geometry of rotated boxes."""
        floor = getattr(self, "floor", None)  # since 8.4.84
        similarity = probiou if floor is None else functools.partial(probiou, floor=floor)
        return RotatedPair(pred, target, similarity, stride)


def infer_grid(anchor_points: Tensor, strides: Tensor) -> tuple[Tensor, Tensor]:
    """Return (A,) strides and (2,) input height and width, which releases before 8.4.0 don't pass to the box loss.

    Anchor points run level by level, each level from (0.5, 0.5) to its last cell.
    """
    level = (anchor_points == 0.5).all(-1).cumsum(0) - 1
    stride = strides.to(anchor_points.device)[level].float()
    return stride, ((anchor_points + 0.5) * stride[:, None]).amax(0).flip(0)
