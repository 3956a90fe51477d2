"""Cost of the IoU term alone, forward and backward: every preset against Ultralytics' CIoU, in one run.

    python scripts/bench_loss.py [LOSS ...]

Each round times every loss once, in turn, so that a slow moment of the machine meets all alike; a ratio is the median
over rounds, with the middle half of the rounds beside it. Prints tables, writes bench_loss.json. One thread; CUDA where
there is one.
"""

from __future__ import annotations

import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import ultralytics
from counting import Count
from torch import Tensor
from ultralytics.utils.metrics import bbox_iou

from yolo_wiou import available_losses, load_loss
from yolo_wiou.losses import BoxPair

SIZES = (0, 500, 2_000, 10_000, 100_000, 1_000_000)
Term = Callable[[Tensor, Tensor, Tensor], Tensor]


def stock(pred: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Compute the IoU term as Ultralytics' BboxLoss does, after the positives are gathered."""
    iou = bbox_iou(pred, target, xywh=False, CIoU=True)
    loss: Tensor = ((1.0 - iou) * weight).sum() / 100.0
    return loss


def ours(name: str) -> Term:
    """Compute the IoU term as FocusedBboxLoss does, the running mean's share included."""
    loss = load_loss(name)
    loss.self_advancing = False

    def term(pred: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        pair = BoxPair.of(pred, target, 8.0, (640.0, 640.0))
        gain, base = loss.split(pair)
        loss.observe(pair, gain)
        return (base * (gain * weight.squeeze(-1))).sum() / 100.0

    return term


def boxes(n: int, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return predictions around targets, (n, 4) xyxy in stride units, and weights, (n, 1)."""
    g = torch.Generator().manual_seed(0)
    size = 0.5 + 20 * torch.rand(n, 2, generator=g)
    lt = 60 * torch.rand(n, 2, generator=g)
    target = torch.cat((lt, lt + size), 1)
    pred = target + 0.1 * torch.randn(n, 4, generator=g) * size.repeat(1, 2)
    return pred.to(device), target.to(device), torch.rand(n, 1, generator=g).to(device)


def step(term: Term, pred: Tensor, target: Tensor, weight: Tensor) -> None:
    """Run forward and backward once."""
    term(pred.detach().requires_grad_(), target, weight).backward()  # type: ignore[no-untyped-call]


def seconds(term: Term, data: tuple[Tensor, Tensor, Tensor], repeats: int) -> float:
    """Time a step."""
    wait: Callable[[], Any] = torch.cuda.synchronize if data[0].is_cuda else lambda: None
    wait()
    start = time.perf_counter()
    for _ in range(repeats):
        step(term, *data)
    wait()
    return (time.perf_counter() - start) / repeats


def times(terms: dict[str, Term], n: int, device: str) -> dict[str, dict[str, float]]:
    """Milliseconds of stock, and every loss's ratio to it: median and quartiles over paired rounds."""
    data = boxes(n, device)
    rounds, repeats = max(5, min(40, 400_000 // max(n, 1))), max(1, min(20, 20_000 // max(n, 1)))
    for term in terms.values():
        step(term, *data)
    taken = {name: np.empty(rounds) for name in terms}
    for i in range(rounds):
        for name, term in terms.items():
            taken[name][i] = seconds(term, data, repeats)
    table = {}
    for name, values in taken.items():
        low, median, high = np.quantile(values / taken["stock"], (0.25, 0.5, 0.75))
        table[name] = {"ms": float(np.median(values)) * 1e3, "ratio": median, "low": low, "high": high}
    return table


def counts(terms: dict[str, Term], n: int = 2_000) -> dict[str, dict[str, float]]:
    """Operators of a step, and the bytes that they move a box."""
    table = {}
    for name, term in terms.items():
        with Count() as count:
            step(term, *boxes(n, "cpu"))
        table[name] = {"operators": count.total, "bytes": count.bytes / n}
    return table


def peak(name: str, n: int = 1_000_000) -> float:
    """Peak bytes a box of a step, in a process of its own."""
    code = f"import bench_loss; print(bench_loss.grow({name!r}, {n}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=sys.path[0], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def grow(name: str, n: int) -> float:
    """Growth of this process's peak memory by a step, in bytes a box."""
    torch.set_num_threads(1)
    term, data = stock if name == "stock" else ours(name), boxes(n, "cpu")
    step(term, *boxes(1000, "cpu"))
    with open("/proc/self/statm") as file:
        before = int(file.read().split()[1]) * resource.getpagesize()
    step(term, *data)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before) / n


def copy_bandwidth() -> float:
    """Bytes a second that one thread copies, read and written."""
    source, best = torch.rand(10_000_000), float("inf")
    for _ in range(10):
        start = time.perf_counter()
        source.clone()
        best = min(best, time.perf_counter() - start)
    return 2 * source.numel() * 4 / best


def main(names: list[str]) -> None:
    """Measure, print, write."""
    torch.set_num_threads(1)
    terms: dict[str, Term] = {"stock": stock, **{name: ours(name) for name in names or available_losses()}}
    bandwidth = copy_bandwidth()
    counted = counts(terms)
    peaks = {name: peak(name) for name in terms}
    report: dict[str, Any] = {
        "machine": {"processor": platform.processor() or platform.machine(), "torch": torch.__version__},
        "ultralytics": ultralytics.__version__,
        "copy_bandwidth": bandwidth,
        "counts": counted,
        "peak_bytes_per_box": peaks,
        "times": {},
    }
    for device in ["cpu"] + ["cuda"] * torch.cuda.is_available():
        table = {n: times(terms, n, device) for n in SIZES}
        report["times"][device] = table
        print(f"\n{device}: time of forward and backward, ratio to stock (middle half of the rounds)")
        heads = ["loss", "operators", "peak B/box", "moved B/box", "of copy speed", *(f"N={n:,}" for n in SIZES)]
        print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
        for name in terms:
            row = [f"{t[name]['ratio']:.2f} ({t[name]['low']:.2f}-{t[name]['high']:.2f})" for t in table.values()]
            share = counted[name]["bytes"] * 1e5 / (table[100_000][name]["ms"] / 1e3) / bandwidth
            cost = f"{counted[name]['operators']} | {peaks[name]:.0f} | {counted[name]['bytes']:.0f} | {share:.0%}"
            print(f"| {name} | {cost} | " + " | ".join(row) + " |")
        milliseconds = ", ".join(f"{t['stock']['ms']:.3g} at N={n:,}" for n, t in table.items())
        print(f"stock takes {milliseconds} ms; one thread copies {bandwidth / 1e9:.1f} GB/s, read and written")
    with open("bench_loss.json", "w") as file:
        json.dump(report, file, indent=1)


if __name__ == "__main__":
    main(sys.argv[1:])
