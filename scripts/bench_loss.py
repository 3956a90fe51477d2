"""Cost of the IoU term alone, forward and backward: every preset against Ultralytics' CIoU, in one run.

    python scripts/bench_loss.py [LOSS ...]

What is timed is what one puts in place of the other: from the gathered positives, (N, 4) each, and their weights to the
scalar, and back to the gradient of the predictions. For stock that is `bbox_iou`, weighting and reduction as in its
BboxLoss; for ours geometry, loss, gain, what the running mean observes, weighting, reduction as in PluggableBboxLoss,
and for the presets that keep the stock term, that term and the observation. Gathering the positives is the same on both
sides and left out here; it is in bench_train.py.

Each round times every loss once, in turn, so that a slow moment of the machine meets all alike; a ratio is the median
over rounds, with the middle half of the rounds beside it. Operators, peak and moved bytes are counted, and exact. One
thread; CUDA where there is one. Prints the tables, and writes docs/bench/loss.json.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import ultralytics
from counting import Count, peak_bytes
from torch import Tensor
from ultralytics.utils.metrics import bbox_iou

from yolo_wiou import available_losses, load_loss
from yolo_wiou.losses import BoxPair
from yolo_wiou.losses.box_loss import weighted_sum

OUT = Path(__file__).parent.parent / "docs" / "bench"
SIZES = (0, 500, 2_000, 10_000, 100_000, 1_000_000)
LEAST = 52
"""Bytes a box that no such term can do without: two boxes and a weight read once, a gradient written once, float32."""
Term = Callable[[Tensor, Tensor, Tensor], Tensor]
Data = tuple[Tensor, Tensor, Tensor]


def stock(pred: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Compute the IoU term as Ultralytics' BboxLoss does."""
    iou = bbox_iou(pred, target, xywh=False, CIoU=True)
    loss: Tensor = ((1.0 - iou) * weight).sum() / 100.0
    return loss


def ours(name: str) -> Term:
    """Compute the IoU term as PluggableBboxLoss does, the running mean's share included."""
    loss = load_loss(name)
    loss.self_advancing, is_stock = False, loss.config.is_stock

    def term(pred: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        pair = BoxPair.of(pred.detach() if is_stock else pred, target, 8.0, (640.0, 640.0))
        if is_stock:
            loss.observe(pair, torch.ones_like(pair.iou_loss))
            return stock(pred, target, weight)
        gain, base = loss.gain_and_loss(pair)
        loss.observe(pair, gain)
        return weighted_sum(base, gain, weight, 100.0)

    return term


def boxes(n: int, device: str = "cpu") -> Data:
    """Return predictions around targets, (n, 4) xyxy in stride units, and weights, (n, 1)."""
    g = torch.Generator().manual_seed(0)
    size = 0.5 + 20 * torch.rand(n, 2, generator=g)
    lt = 60 * torch.rand(n, 2, generator=g)
    target = torch.cat((lt, lt + size), 1)
    pred = target + 0.1 * torch.randn(n, 4, generator=g) * size.repeat(1, 2)
    return pred.to(device), target.to(device), torch.rand(n, 1, generator=g).to(device)


def step(term: Term, data: Data) -> None:
    """Run forward and backward once."""
    pred, target, weight = data
    term(pred.detach().requires_grad_(), target, weight).backward()  # type: ignore[no-untyped-call]


def count(term: Term, n: int = 2_000) -> dict[str, float]:
    """Operators of a step, the bytes that they move a box, and the most that they hold a box."""
    data = boxes(n)
    with Count() as counted:
        step(term, data)
    return {
        "operators": counted.total,
        "moved": counted.bytes / n,
        "peak": peak_bytes(lambda: step(term, data)) / n,
    }


def seconds(run: Callable[[], Any], device: str, repeats: int) -> float:
    """Time a call."""
    wait: Callable[[], Any] = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    wait()
    return (time.perf_counter() - start) / repeats


def paired(taken: dict[str, np.ndarray[Any, Any]]) -> dict[str, dict[str, float]]:
    """Median milliseconds of each, and its ratio to stock: median and quartiles over paired rounds."""
    table = {}
    for name, values in taken.items():
        low, median, high = np.quantile(values / taken["stock"], (0.25, 0.5, 0.75))
        table[name] = {"ms": float(np.median(values)) * 1e3, "ratio": median, "low": low, "high": high}
    return table


def times(terms: dict[str, Term], n: int, device: str) -> dict[str, dict[str, float]]:
    """Time all terms on n boxes, and a copy that moves the least that they could."""
    data = boxes(n, device)
    rounds, repeats = max(5, min(40, 400_000 // max(n, 1))), max(1, min(20, 20_000 // max(n, 1)))
    for term in terms.values():
        step(term, data)
    taken = {name: np.empty(rounds) for name in (*terms, "copy")}
    source = torch.rand(n * LEAST // 8, device=device)
    target = torch.empty_like(source)
    for i in range(rounds):
        for name, term in terms.items():
            taken[name][i] = seconds(partial(step, term, data), device, repeats)
        taken["copy"][i] = seconds(lambda: target.copy_(source), device, repeats)
    return paired(taken)


def machine() -> dict[str, str]:
    """What the figures were measured on and with."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "processor": models[0].split(": ")[1] if models else platform.processor(),
        "cores": str(torch.get_num_threads()),
        "GPU": gpu,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "ultralytics": ultralytics.__version__,
    }


def main(names: list[str]) -> None:
    """Measure, print, write."""
    from performance import loss_tables  # which imports this module

    report: dict[str, Any] = {"machine": machine(), "times": {}}
    torch.set_num_threads(1)
    terms: dict[str, Term] = {"stock": stock, **{name: ours(name) for name in names or available_losses()}}
    OUT.mkdir(parents=True, exist_ok=True)
    report["counts"] = {name: count(term) for name, term in terms.items()}
    for device in ["cpu"] + ["cuda"] * torch.cuda.is_available():
        measured = report["times"].setdefault(device, {})
        for n in SIZES:
            measured[n] = times(terms, n, device)
            (OUT / "loss.json").write_text(json.dumps(report, indent=1))  # a run may be cut short
    print(loss_tables(report))
    print(f"Written to {OUT / 'loss.json'}; scripts/performance.py puts the tables into docs/performance.md.")


if __name__ == "__main__":
    main(sys.argv[1:])
