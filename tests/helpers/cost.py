"""What the IoU term costs beside stock's: operators that do work, bytes moved and held, and the host's waits."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from ultralytics.utils.metrics import bbox_iou

from yolo_wiou.losses import BoxPair, load_loss
from yolo_wiou.losses.box_loss import weighted_sum

Data: TypeAlias = tuple[Tensor, Tensor, Tensor]
Term: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From predictions and targets, (N, 4) each, and weights, (N, 1), to the scalar."""

SYNCS = {"_local_scalar_dense", "nonzero"}
"""Operators after which the host must wait for a device."""


class Count(TorchDispatchMode):
    """Count operators while active. Views, which move nothing, are left out."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operators: Counter[str] = Counter()
        self.bytes = self.masks = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func._schema.name.split("::")[1]
        if name.startswith("index"):  # by a mask, whose true entries the host must have counted
            self.masks += sum(isinstance(x, torch.Tensor) and x.dtype == torch.bool for x in tree_leaves(args[1:2]))
        touched = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        made = [t for t in tree_leaves(out) if isinstance(t, torch.Tensor)]
        storages = {t.untyped_storage().data_ptr() for t in touched}
        is_view = (
            made
            and func._schema.is_mutable is False
            and all(t.untyped_storage().data_ptr() in storages and t.untyped_storage().data_ptr() for t in made)
        )
        if not is_view:
            self.operators[name] += 1
            self.bytes += sum(t.numel() * t.element_size() for t in (*touched, *made))
        return out

    @property
    def total(self) -> int:
        """All operators."""
        return sum(self.operators.values())

    @property
    def syncs(self) -> int:
        """Those that a device would make the host wait for."""
        return self.masks + sum(self.operators[name] for name in SYNCS)


def peak_bytes(step: Callable[[], Any]) -> int:
    """Most bytes that a step holds at once on the CPU beyond what there was before, from the allocator's own trace.

    Deterministic: unlike the process's resident memory it knows nothing of what the allocator keeps for later. What the
    step gives back of before counts for nothing: of such memory the trace does not know the size.
    """
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as trace:
        step()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trace.json"
        trace.export_chrome_trace(str(file))
        events = [event for event in json.loads(file.read_text())["traceEvents"] if event["name"] == "[memory]"]
    held: dict[int, int] = {}
    peak = 0
    for event in sorted(events, key=lambda event: event["ts"]):
        about = event["args"]
        if about["Device Type"] == 0 and about["Bytes"] > 0:
            held[about["Addr"]] = about["Bytes"]
            peak = max(peak, sum(held.values()))
        elif about["Device Type"] == 0:
            held.pop(about["Addr"], None)
    return peak


def stock_term(pred: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Compute the IoU term as Ultralytics' BboxLoss does."""
    iou = bbox_iou(pred, target, xywh=False, CIoU=True)
    loss: Tensor = ((1.0 - iou) * weight).sum() / 100.0
    return loss


def our_term(name: str, device: str = "cpu") -> Term:
    """Compute the IoU term as PluggableBboxLoss does, the running mean's share included."""
    loss = load_loss(name).to(device)
    loss.self_advancing = False
    stride, imgsz = torch.tensor(8.0, device=device), torch.tensor([640.0, 640.0], device=device)  # as a head has them
    if loss.config.is_stock:
        return stock_term

    def term(pred: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        pair = BoxPair.of(pred, target, stride, imgsz)
        gain, unweighted = loss.gain_and_loss(pair, weight.squeeze(-1))
        loss.observe(pair, gain)
        return weighted_sum(unweighted, gain, weight, 100.0)

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
    term(pred.detach().requires_grad_(), target, weight).backward()
