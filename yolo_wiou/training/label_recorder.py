"""Recording what a training sees of every label: sums on the device while it trains, a row of the file an epoch."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor
from ultralytics.utils import LOGGER

from yolo_wiou.files import write_whole
from yolo_wiou.losses import RunningMean
from yolo_wiou.losses.gain import outlier_degree
from yolo_wiou.losses.positives import Objects
from yolo_wiou.losses.running_mean import is_distributed
from yolo_wiou.training.label_history import HISTORY, LABELS, RECORD
from yolo_wiou.training.label_ids import LabelIds


class LabelRecorder:
    """Records the labels of a training split; `label_history` says what, and how the files are read.

    Args:
        label_ids: the labels.
        running_mean: of the head that is recorded.
        folder: the run's folder; None where another process writes.
        epochs: how many the run has been through; what the files have of later ones is dropped.
    """

    def __init__(self, label_ids: LabelIds, running_mean: RunningMean, folder: Path | None, epochs: int) -> None:
        """Write which labels there are, or see that a run which goes on still has them."""
        self.count, self.running_mean, self.folder = len(label_ids), running_mean, folder
        self.start_epoch()
        if folder:
            table, file = index_of(label_ids), folder / LABELS
            if epochs and file.is_file() and labels_of(file.read_text("utf-8", "surrogateescape")) != labels_of(table):
                LOGGER.warning("yolo-wiou: the labels are not those that the run has recorded; the record begins anew.")
                (folder / HISTORY).unlink(missing_ok=True)
            write_whole(file, table)
            self._append(epochs, b"")

    def start_epoch(self) -> None:
        """Forget what was seen since the last row."""
        self.by_box = torch.zeros(3, self.count, device=self.running_mean.mean.device)  # IoU, β, boxes
        self.by_object = torch.zeros(2, self.count, device=self.running_mean.mean.device)  # margin, times

    @torch.no_grad()
    def add(self, objects: Objects, numbers: Tensor, scores: Tensor, iou_loss: Tensor) -> None:
        """Add a step's N positives; nothing waits for the host.

        Args:
            objects: the object of each, of O.
            numbers: (O,) the label of each object, -1 where there is none.
            scores: (2, N) as `class_scores` returns them.
            iou_loss: (N,) plain IoU losses; a box whose loss is not finite does not count.
        """
        iou_loss = iou_loss.detach()
        is_finite = (iou_loss * 0 == 0).to(iou_loss)
        rows = torch.stack((1 - iou_loss, outlier_degree(iou_loss, self.running_mean.mean), is_finite))
        rows = rows.nan_to_num(0, 0, 0) * is_finite
        self.by_box.index_add_(1, numbers[objects.index], rows)
        best = scores.new_zeros(3, objects.count)
        seen = torch.cat((scores, is_finite[None])).nan_to_num(0, 0, 0) * is_finite
        best.scatter_reduce_(1, objects.index.expand(3, -1), seen, "amax")
        own, other, present = best
        self.by_object.index_add_(1, numbers.clamp(min=0), torch.stack((own - other, present)) * present)

    def end_epoch(self, epoch: int) -> None:
        """Write the row of an epoch; every process must call it."""
        sums = torch.cat((self.by_box, self.by_object))
        if is_distributed():
            dist.all_reduce(sums)
        if self.folder:
            self._append(epoch, records(sums.cpu().numpy()).tobytes())

    def _append(self, epochs: int, row: bytes) -> None:
        """Put a row after those of the epochs before it; where one of them was lost, its labels have not been seen."""
        assert self.folder
        file, size = self.folder / HISTORY, self.count * RECORD.itemsize
        with file.open("r+b" if file.exists() else "w+b") as stream:
            whole = min(stream.seek(0, os.SEEK_END) // max(size, 1), epochs)
            stream.truncate(stream.seek(whole * size))
            for _ in range(epochs - whole):
                stream.write(records(np.zeros((5, self.count), np.float32)).tobytes())
            stream.write(row)
            stream.flush()
            os.fsync(stream.fileno())


def class_scores(scores: Tensor, classes: Tensor) -> Tensor:
    """Return each positive's score of its own class, and its best score of another one: 0 where there is none.

    Args:
        scores: (N, classes), 0 to 1.
        classes: (N,) of each positive's object.

    Returns:
        (2, N), float32.
    """
    column = classes.long().view(-1, 1)
    own = scores.gather(1, column)
    other = scores.scatter(1, column, 0).amax(1, keepdim=True)
    return torch.cat((own, other), 1).T.float()


def labels_of(table: str) -> list[list[str]]:
    """Return the rows of a table of labels, wherever their images lie: a data set may have been moved."""
    return [[Path(image).name, *rest] for image, *rest in csv.reader(table.splitlines())]


def index_of(label_ids: LabelIds) -> str:
    """Return the table of the labels."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "line", "class", "cx", "cy", "w", "h"])
    classes = label_ids.classes.long().tolist()
    for (image, line), cls, box in zip(label_ids.lines(), classes, label_ids.boxes().tolist(), strict=True):
        writer.writerow([image, line, cls, *(f"{value:.6f}" for value in box)])
    return text.getvalue()


def records(sums: NDArray[np.float32]) -> NDArray[np.void]:
    """Return an epoch's records, (L,), of the sums (5, L) of IoU, β, boxes, class margin and times seen."""
    iou, beta, boxes, margin, times = sums
    row = np.empty(len(boxes), RECORD)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        row["iou"], row["beta"], row["margin"] = iou / boxes, beta / boxes, margin / times
    row["boxes"] = boxes.clip(0, np.iinfo(np.uint16).max)
    return row
