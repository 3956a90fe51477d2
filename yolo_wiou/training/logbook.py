"""The log of a run's loss: columns of results.csv, histograms, and the picture loss_curves.png."""

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from yolo_wiou.files import read_table, write_whole
from yolo_wiou.losses.gain import outlier_degree
from yolo_wiou.training.criterion import Heads
from yolo_wiou.training.heaviness import SeenStep, measure
from yolo_wiou.training.results_csv import epoch_of, is_row

SAMPLE = 64
"""How many of an epoch's last batches go into its histograms: kept by reference, so they cost nothing."""
MEASURED = 8
"""How many of them are measured once more for how heavy the gain is."""
BINS = 20
HISTOGRAM, PICTURE = "iou_histogram.csv", "loss_curves.png"


class Logbook:
    """The epochs of a run, head by head; the first rank's writes files.

    Args:
        heads: the box loss of every head, by its path.
        folder: the run's folder; None where another process writes.
    """

    def __init__(self, heads: Heads, folder: Path | None) -> None:
        """Start with an empty epoch."""
        self.heads, self.folder = heads, folder
        self.means = {path: head.box_loss.running_mean for path, head in heads.items()}
        self.start_epoch()

    def start_epoch(self) -> None:
        """Forget the epoch before."""
        self.seen = {path: torch.zeros_like(mean.seen[:3]) for path, mean in self.means.items()}
        self.sample: dict[str, deque[tuple[Tensor, Tensor]]] = {path: deque(maxlen=SAMPLE) for path in self.means}
        self.steps: dict[str, deque[SeenStep]] = {path: deque(maxlen=MEASURED) for path in self.heads}

    def add(self, path: str, seen: Tensor) -> None:
        """Add a step of a head: the sums that its running mean has taken in, over all ranks."""
        self.seen[path] += seen[:3]
        last = self.means[path].last
        if self.folder and last:
            self.sample[path].append(last)
        if self.folder and (step := self.heads[path].seen):
            self.steps[path].append(step)
        self.heads[path].seen = None

    @property
    def is_empty(self) -> bool:
        """Return whether no head has seen a box in this epoch."""
        return not any(count.item() for _, count, _ in self.seen.values())

    def columns(self) -> dict[str, float]:
        """Return the means of the epoch, by column; the head that predicts has the names without a suffix."""
        columns: dict[str, float] = {}
        for path, mean in self.means.items():
            total, count, gain = self.seen[path].tolist()
            columns[f"wiou/iou{suffix(path)}"] = 1 - total / count if count else 0.0
            columns[f"wiou/running_mean{suffix(path)}"] = mean.mean.item()
            columns[f"wiou/gain{suffix(path)}"] = gain / max(count, 1)
            head = self.heads[path]
            for name, value in measure(head.box_loss, head.pair, self.steps[path])._asdict().items():
                columns[f"wiou/{name}{suffix(path)}"] = value
        return columns

    def end_epoch(self, epoch: int) -> None:
        """Log the epoch's distributions: β and gain in TensorBoard, IoU in a table beside results.csv."""
        if not self.folder:
            return
        from ultralytics.utils.callbacks import tensorboard  # as Ultralytics does, when a training has started

        for path, sample in self.sample.items():
            if not sample:
                continue
            iou_loss, gain = (torch.cat(column).float().cpu() for column in zip(*sample, strict=True))
            finite = iou_loss.isfinite() & gain.isfinite()
            iou_loss, gain = iou_loss[finite], gain[finite]
            writer = getattr(tensorboard, "WRITER", None)
            if writer and len(iou_loss):  # it refuses an empty histogram
                beta = outlier_degree(iou_loss, self.means[path].mean.cpu())
                writer.add_histogram(f"wiou/beta{suffix(path)}", beta, epoch + 1)
                writer.add_histogram(f"wiou/gain{suffix(path)}", gain, epoch + 1)
            if not suffix(path):
                write_histogram(self.folder / HISTOGRAM, epoch, (1 - iou_loss).numpy())


def suffix(path: str) -> str:
    """Return the end of the names of a head's columns.

    >>> suffix(""), suffix("one2one"), suffix("one2many")
    ('', '', '_one2many')
    """
    return "" if path in {"", "one2one"} else f"_{path}"


def write_histogram(file: Path, epoch: int, iou: Any) -> None:
    """Write an epoch's distribution of IoU into a table, shares of the boxes by bin; drop rows of later epochs.

    Whatever else the file holds was damaged, and is dropped too.
    """
    counts = np.histogram(iou, bins=BINS, range=(0, 1))[0]
    shares = counts / max(counts.sum(), 1)
    header = ",".join(["epoch", *(f"{i / BINS:.2f}" for i in range(BINS))])
    row = ",".join([f"{epoch + 1}", *map(str, shares.tolist())])
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.exists() else []
    rows = lines[1:] if lines[:1] == [header] else []
    good = [old for old in rows if is_row(old, BINS) and 1 <= epoch_of(old) <= epoch]
    write_whole(file, "\n".join([header, *good, row, ""]))


def draw(folder: Path) -> Path | None:
    """Draw loss_curves.png from a run's tables: IoU and running mean, gain, and the distribution of IoU.

    Returns:
        The picture's path; None where the run has not logged them.
    """
    from matplotlib.figure import Figure  # takes a fifth of a second to import
    from matplotlib.ticker import MaxNLocator

    results = read_table(folder / "results.csv")
    if not (folder / HISTOGRAM).exists() or not {"wiou/iou", "wiou/gain"} <= set(results[0]):
        return None
    figure = Figure(figsize=(13, 3.6), layout="constrained")
    means, gains, spread = figure.subplots(1, 3)
    epochs = [row["epoch"] for row in results]
    means.plot(epochs, [row["wiou/iou"] for row in results], label="plain IoU of the positives")
    means.plot(epochs, [row["wiou/running_mean"] for row in results], label="running mean of 1 - IoU")
    means.set(xlabel="epoch", ylim=(0, 1))
    means.legend()
    gains.plot(epochs, [row["wiou/gain"] for row in results], color="C2")
    gains.axhline(1, color="grey", linewidth=0.8, linestyle=":")
    gains.set(xlabel="epoch", ylabel="mean gain")
    gains.set_ylim(bottom=0)
    histogram = read_table(folder / HISTOGRAM)
    for row in sorted({0, len(histogram) // 2, len(histogram) - 1}):
        epoch, *shares = histogram[row].values()
        spread.stairs(shares, np.linspace(0, 1, BINS + 1), label=f"epoch {epoch:.0f}", linewidth=1.5)
    spread.set(xlabel="IoU", ylabel="share of the positives", xlim=(0, 1))
    spread.legend()
    for axes in (means, gains, spread):
        axes.grid(alpha=0.3)
        axes.xaxis.set_major_locator(MaxNLocator(integer=axes is not spread))
    figure.savefig(folder / PICTURE, dpi=150)
    return folder / PICTURE
