"""Cost of the IoU term alone, forward and backward: every preset against Ultralytics' CIoU, in one run.

    python scripts/bench/loss.py [LOSS ...]

What is timed is what one puts in place of the other: from the gathered positives, (N, 4) each, and their weights to the
scalar, and back to the gradient of the predictions. For stock that is `bbox_iou`, weighting and reduction as in its
BboxLoss; for ours geometry, loss, gain, what the running mean observes, weighting, reduction as in PluggableBboxLoss,
and for the presets that keep the stock term, that term and the observation. Gathering the positives is the same on both
sides and left out here; scripts/bench/train.py has it.

Each round times every loss once, in an order of its own, so that a slow moment of the machine meets all alike; a ratio
is the median over rounds, with the middle half of the rounds beside it. Operators, peak and moved bytes are counted,
and exact. One thread; CUDA where there is one, and there the launches and the time of the kernels alone beside it.
Prints the tables, and writes docs/bench/loss.json.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from performance_page import LEAST, loss_tables
from timing import OUT, kernels, machine, orders, paired, wait

from helpers.cost import Count, Term, boxes, our_term, peak_bytes, step, stock_term  # isort: skip
from yolo_wiou import available_losses

SIZES = (0, 500, 2_000, 10_000, 100_000, 1_000_000)


def terms_on(device: str, names: list[str]) -> dict[str, Term]:
    """The terms that are measured, by name: stock's, and those of the losses, all of them unless some are named."""
    return {"stock": stock_term, **{name: our_term(name, device) for name in names or available_losses()}}


def count(term: Term, n: int = 2_000) -> dict[str, float]:
    """Operators of a step, the bytes per box that they move, and the most bytes per box that they hold."""
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
    wait(device)
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    wait(device)
    return (time.perf_counter() - start) / repeats


def times(terms: dict[str, Term], n: int, device: str) -> dict[str, dict[str, float]]:
    """Time all terms on n boxes, and a copy that moves the least that they could."""
    data = boxes(n, device)
    rounds, repeats = max(5, min(40, 400_000 // max(n, 1))), max(1, min(20, 20_000 // max(n, 1)))
    for term in terms.values():
        step(term, data)
    taken = {name: np.empty(rounds) for name in (*terms, "copy")}
    source = torch.rand(n * LEAST // 8, device=device)
    target = torch.empty_like(source)
    for i, order in enumerate(orders(terms, rounds)):
        for name in order:
            taken[name][i] = seconds(partial(step, terms[name], data), device, repeats)
        taken["copy"][i] = seconds(lambda: target.copy_(source), device, repeats)
    return paired(taken)


def main(names: list[str]) -> None:
    """Measure, print, write."""
    report: dict[str, Any] = {"machine": machine(), "times": {}, "kernels": {}}
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    report["counts"] = {name: count(term) for name, term in terms_on("cpu", names).items()}
    for device in ["cpu"] + ["cuda"] * torch.cuda.is_available():
        measured, terms = report["times"].setdefault(device, {}), terms_on(device, names)
        for n in SIZES:
            measured[n] = times(terms, n, device)
            if device == "cuda" and n:
                data = boxes(n, device)
                report["kernels"][n] = {name: kernels(partial(step, term, data)) for name, term in terms.items()}
            (OUT / "loss.json").write_text(json.dumps(report, indent=1))  # a run may be cut short
    print(loss_tables(report))
    print(
        f"Written to {OUT / 'loss.json'}; scripts/bench/performance_page.py puts the tables into docs/performance.md."
    )


if __name__ == "__main__":
    main(sys.argv[1:])
