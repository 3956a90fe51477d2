"""The log of a run's loss: columns of results.csv, histograms, and the picture loss_curves.png."""

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from yolo_wiou.files import read_table, write_whole
from yolo_wiou.losses.gain import outlier_degree
from yolo_wiou.losses.running_mean import sum_over_ranks
from yolo_wiou.training.criterion import BoxHead, Heads
from yolo_wiou.training.heaviness import SeenStep, measure
from yolo_wiou.training.results_csv import epoch_of, is_row

TOGETHER = 32
"""How many batches wait to be summed up at once."""
SAMPLE = 64
"""How many of an epoch's last batches go into its histograms."""
MEASURED = 8
"""How many of them are measured once more for how heavy the gain is."""
BINS = 20
HISTOGRAM, PICTURE = "iou_histogram.csv", "loss_curves.png"


class HeadLog:
    """What a head has seen in an epoch: references alone, so that a step pays nothing.

    Where the loss keeps a running mean, that has summed up each step already. For all others TOGETHER steps are summed
    up at once, in few operators, and over all ranks at the end of the epoch.

    Args:
        head: its box loss.

    Attributes:
        table: float32 (steps, 3) on the host once the epoch is over, of all ranks: sum of IoU losses, number of boxes,
            sum of gains; zeros of a step that never reached the loss, or whose loss is not finite.
        sample: IoU losses and gains of the last steps, (N,) each.
        steps: the last of them whole.
    """

    def __init__(self, head: BoxHead) -> None:
        """Start with nothing."""
        self.head, self.mean = head, head.box_loss.running_mean
        self.table = torch.zeros(0, 3)
        self.sample: deque[tuple[Tensor, Tensor]] = deque(maxlen=SAMPLE)
        self.steps: deque[SeenStep] = deque(maxlen=MEASURED)
        self.waiting: list[SeenStep] = []
        self.rows: list[Tensor] = []  # what the running mean has taken in, or (1 or 2, TOGETHER) sums
        self.boxes: dict[int, int] = {}  # of the steps that reached the loss, by their numbers
        self.count = 0

    def add(self, observed: Tensor | None) -> None:
        """Add a step; given what its running mean has taken in, if the loss keeps one."""
        step, self.head.seen = self.head.seen, None
        if observed is not None:
            self.rows.append(observed[:3])
        if step:
            self.waiting.append(step)
            self.boxes[self.count] = len(step.pred)
        self.count += 1
        if len(self.waiting) == TOGETHER:
            self._sum_up()

    @torch.no_grad()
    def _sum_up(self) -> None:
        """Sum up the steps that wait; only here is the plain IoU of the stock term's boxes computed."""
        steps, self.waiting = self.waiting, []
        if not steps:
            return
        if self.head.is_stock:
            pred, target = (torch.cat(boxes).float() for boxes in zip(*(step[:2] for step in steps), strict=True))
            iou_loss = self.head.pair(pred, target).iou_loss
            counts = [len(step.pred) for step in steps]
            split = torch.stack((iou_loss, torch.ones_like(iou_loss))).split(counts, 1)
            pairs = [tuple(part) for part in split]
        else:
            pairs = [(step.iou_loss, step.gain) for step in steps]
            self.steps.extend(steps)
        self.sample.extend(pairs)
        if not self.head.box_loss.keeps_mean:
            columns = list(zip(*pairs, strict=True))[: 1 if self.head.is_stock else 2]
            self.rows.append(torch.stack([x.sum() for column in columns for x in column]).view(len(columns), -1))

    def close(self) -> None:
        """Make the table, and the running mean of the epoch where no step has needed it; every rank must."""
        self._sum_up()
        keeps_mean = self.head.box_loss.keeps_mean
        table = torch.stack(self.rows) if keeps_mean and self.rows else self.mean.mean.new_zeros(self.count, 3)
        if not keeps_mean:
            if self.rows:
                iou_losses, *gains = torch.cat(self.rows, 1)
                boxes = torch.tensor(list(self.boxes.values())).to(iou_losses)
                columns = iou_losses, boxes, *(gains or [boxes])  # the stock term has gains of 1
                table[list(self.boxes)] = torch.stack(columns, 1)
            sum_over_ranks(table)
        table = table.cpu()
        self.table = torch.where(table.isfinite().all(1, keepdim=True), table, 0.0)
        if not keeps_mean:
            self.mean.replay(self.table)


class Logbook:
    """The epochs of a run, head by head; the first rank's writes files.

    Args:
        heads: the box loss of every head, by its path.
        folder: the run's folder; None where another process writes.
    """

    def __init__(self, heads: Heads, folder: Path | None) -> None:
        """Start with an empty epoch."""
        self.heads, self.folder = heads, folder
        self.start_epoch()

    def start_epoch(self) -> None:
        """Forget the epoch before."""
        self.logs = {path: HeadLog(head) for path, head in self.heads.items()}

    def add(self, path: str, observed: Tensor | None) -> None:
        """Add a step of a head; given the sums that its running mean has taken in, over all ranks, if it keeps one."""
        self.logs[path].add(observed)

    @property
    def is_empty(self) -> bool:
        """Return whether no head has seen a box in the epoch."""
        return not any(log.table[:, 1].any() for log in self.logs.values())

    def close(self) -> None:
        """Sum up the epoch, which is over; every rank must."""
        for log in self.logs.values():
            log.close()

    def columns(self) -> dict[str, float]:
        """Return the means of the epoch, by column; the head that predicts has the names without a suffix."""
        columns: dict[str, float] = {}
        for path, log in self.logs.items():
            total, count, gain = log.table.double().sum(0).tolist()
            columns[f"wiou/iou{suffix(path)}"] = 1 - total / count if count else 0.0
            columns[f"wiou/running_mean{suffix(path)}"] = log.mean.mean.item()
            columns[f"wiou/gain{suffix(path)}"] = gain / max(count, 1)
            head = self.heads[path]
            for name, value in measure(head.box_loss, head.pair, log.steps)._asdict().items():
                columns[f"wiou/{name}{suffix(path)}"] = value
        return columns

    def end_epoch(self, epoch: int) -> None:
        """Log the epoch's distributions: β and gain in TensorBoard, IoU in a table beside results.csv."""
        if not self.folder:
            return
        from ultralytics.utils.callbacks import tensorboard  # as Ultralytics does, when a training has started

        for path, log in self.logs.items():
            if not log.sample:
                continue
            iou_loss, gain = (torch.cat(column).float().cpu() for column in zip(*log.sample, strict=True))
            finite = iou_loss.isfinite() & gain.isfinite()
            iou_loss, gain = iou_loss[finite], gain[finite]
            writer = getattr(tensorboard, "WRITER", None)
            if writer and len(iou_loss):  # it refuses an empty histogram
                beta = outlier_degree(iou_loss, log.mean.mean.cpu())
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
