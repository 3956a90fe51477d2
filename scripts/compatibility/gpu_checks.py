"""What gpu.py checks: functions of a device and an empty folder, each in a process of its own.

    python scripts/compatibility/gpu_checks.py CHECK DEVICE FOLDER

A check returns what it saw; an exception is a failure. The last line of the output is that, as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing.spawn import spawn

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("tests", "scripts/bench", "scripts")]
import loss as iou_bench
import train as criterion_bench
from helpers.cost import boxes, peak_bytes, step
from helpers.running import MODEL, TINY, columns
from timing import kernels
from ultralytics.cfg import CFG_BOOL_KEYS
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils import DEFAULT_CFG
from ultralytics.utils.loss import v8DetectionLoss

from yolo_wiou import YOLO, FocusedDetectionLoss
from yolo_wiou.data.shapes import ShapesConfig, render_dataset
from yolo_wiou.losses import RunningMean
from yolo_wiou.losses.running_mean import reduce_over_ranks
from yolo_wiou.training.checkpoint import read_state

Seen = dict[str, Any]
"""`note`, in words; `figures`, times by part and loss; `outcome`, where it has not passed: "not run" or "absent"."""
WISE = ["wiou1", "wiou2", "wiou3"]
LOSSES = ["ciou", *WISE, "iou-balanced", "trust"]


BATCHES = 4
"""Of an epoch of `trained`."""


class Interrupt(Exception):
    """Stops a training, as a kill does."""


def trained(device: str, folder: Path, **arguments: Any) -> Any:
    """Train wiou3 for some tiny epochs; returns the trainer of a run whose columns are all finite."""
    model = arguments.pop("model", None) or YOLO(MODEL)
    config = ShapesConfig(train=BATCHES * TINY["batch"], val=4, imgsz=64, classes=("disc", "box"), sizes=(0.2, 0.6))
    where = {"project": str(folder), "name": "run", "device": 0 if device == "cuda" else device}  # or "0,1"
    data = render_dataset(folder / "shapes", config)
    model.train(**{**TINY, "data": data, "loss": "wiou3", **where, **arguments})
    values = [value for name, column in columns(folder / "run").items() if name.startswith("wiou/") for value in column]
    assert values
    assert all(abs(value) < 1e6 for value in values), "a column is not finite"
    return model.trainer


def training(device: str, folder: Path, **arguments: Any) -> Seen:
    """A training, and whether it is in mixed precision."""
    amp = bool(trained(device, folder, **arguments).amp)
    if arguments.get("amp") and not amp:
        return {"outcome": "not run", "note": "Ultralytics takes no mixed precision here"}
    return {"note": f"amp={arguments.get('amp', amp)}"}


def bfloat16(device: str, folder: Path) -> Seen:
    """A training in the other half precision."""
    if "amp" in CFG_BOOL_KEYS:
        return {"outcome": "absent", "note": "this release trains in float16 alone"}
    return training(device, folder, amp="bf16")


def two_gpus(device: str, folder: Path) -> Seen:
    """A training by two processes: each step counts once, for both."""
    steps, expected = saved(trained("0,1", folder))["steps"], TINY["epochs"] * BATCHES
    assert steps == expected, f"{steps} steps, not {expected}"
    return {"note": f"{steps} steps"}


def autocast(device: str, folder: Path) -> Seen:
    """The criterion in both half precisions, near float32 and with finite gradients."""
    notes = []
    for dtype in (torch.float16, torch.bfloat16):
        model, batch = network(device)
        criterion = FocusedDetectionLoss(model, "wiou3")
        values = []
        for enabled in (False, True):
            model.zero_grad(set_to_none=True)
            with torch.autocast(device, dtype, enabled=enabled):
                values.append(criterion(model(batch["img"]), batch)[0][0])
            values[-1].backward()
            assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters()), f"{dtype}: gradients"
        ratio = (values[1] / values[0]).item()
        assert abs(ratio - 1) < 0.05, f"{dtype}: {ratio:.3f} times the loss in float32"
        notes.append(f"{str(dtype).removeprefix('torch.')}: {ratio:.4f} times the loss in float32")
    return {"note": "; ".join(notes)}


def saved(trainer: Any) -> dict[str, Any]:
    """The running mean in a run's last checkpoint."""
    state = read_state(torch.load(trainer.last, weights_only=False))
    assert state
    mean: dict[str, Any] = state["heads"][""]
    return mean


def resume(device: str, folder: Path) -> Seen:
    """A run that stops in its second epoch and goes on has taken every step once."""

    def stop(trainer: Any) -> None:
        if trainer.epoch == 1:
            raise Interrupt

    model = YOLO(MODEL)
    model.add_callback("on_train_batch_end", stop)
    try:
        trained(device, folder, model=model, epochs=3)
    except Interrupt:
        model = YOLO(folder / "run" / "weights" / "last.pt")
        model.train(resume=True, device=0 if device == "cuda" else device)
    steps = saved(model.trainer)["steps"]
    assert steps == 3 * BATCHES, f"{steps} steps, not {3 * BATCHES}"
    return {"note": f"{steps} steps"}


def nan_recovery(device: str, folder: Path) -> Seen:
    """A loss that is not a number brings back the weights and the running mean of the epoch before."""
    if not hasattr(BaseTrainer, "_handle_nan_recovery"):
        return {"outcome": "absent", "note": "this release does not recover from NaN"}
    model, seen = YOLO(MODEL), dict[str, float]()

    def poison(trainer: Any) -> None:
        if trainer.epoch == 1 and not seen:
            seen["saved"] = saved(trainer)["mean"]
            trainer.means[""].mean.fill_(0.123)
            trainer.loss = trainer.loss * float("nan")

    def after(trainer: Any) -> None:
        if seen and trainer.epoch == 1:
            seen.setdefault("restored", trainer.means[""].mean.item())

    model.add_callback("on_train_epoch_end", poison)
    model.add_callback("on_train_epoch_start", after)
    trained(device, folder, model=model, epochs=3)
    assert seen["restored"] == seen["saved"], seen
    return {"note": f"running mean {seen['restored']:.4f} again"}


def collectives(device: str, folder: Path) -> Seen:
    """Ranks have the running mean of the joined batch, by NCCL on GPUs and by gloo elsewhere."""
    backend, world = ("nccl", min(2, torch.cuda.device_count())) if device == "cuda" else ("gloo", 2)
    spawn(_rank, (world, backend, f"file://{folder}/meeting", folder), nprocs=world)
    means = [float((folder / f"{rank}").read_text()) for rank in range(world)]
    values = torch.cat([_values(rank) for rank in range(world)])
    expected = 1 + 0.3 * (values.mean().item() - 1)
    assert all(abs(mean - expected) < 1e-6 for mean in means), (means, expected)
    return {"note": f"{backend}, {world} rank{'s' * (world > 1)}"}


def _values(rank: int) -> Tensor:
    return torch.linspace(0.2, 0.9, 3 + 2 * rank)


def _rank(rank: int, world: int, backend: str, meeting: str, folder: Path) -> None:
    device = torch.device("cuda", rank) if backend == "nccl" else torch.device("cpu")
    if backend == "nccl":
        torch.cuda.set_device(device)
    dist.init_process_group(backend, init_method=meeting, rank=rank, world_size=world)
    mean = RunningMean(0.3).to(device)
    mean.observe(_values(rank).to(device), torch.ones(len(_values(rank)), device=device))
    reduce_over_ranks([mean])
    if world == 1:  # then that has nothing to do
        dist.all_reduce(mean.seen)
    mean.advance()
    (folder / f"{rank}").write_text(repr(mean.mean.item()))
    dist.destroy_process_group()


def syncs(device: str, folder: Path) -> Seen:
    """How often the host waits for the device in a step of the criterion, never more often than with stock."""
    counts = criterion_bench.counts(criteria(device), device)
    waits = "CUDA syncs" if device == "cuda" else "_local_scalar_dense"
    assert all(row[waits] <= counts["stock"][waits] for row in counts.values()), counts
    return {"note": f"{counts['stock'][waits]:.0f} a step, as stock", "counts": counts}


def peak_memory(device: str, folder: Path) -> Seen:
    """The most that a training step holds, network included, to stock's."""
    model, batch = network(device)

    def peak(criterion: Any) -> int:
        def run() -> None:
            criterion(model(batch["img"]), batch)[0].sum().backward()

        run()
        if device != "cuda":
            return peak_bytes(run)
        torch.cuda.reset_peak_memory_stats()
        run()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated()

    stock = peak(v8DetectionLoss(model))
    ratios = {name: peak(FocusedDetectionLoss(model, name)) / stock for name in LOSSES}
    assert max(ratios.values()) <= 1.01, ratios
    note = ", ".join(f"{name} {ratio:.3f}" for name, ratio in ratios.items())
    return {"note": f"{note} of stock's {stock / 2**20:,.0f} MiB"}


def iou_term(device: str, folder: Path) -> Seen:
    """Time of the IoU term to stock's, and its kernels."""
    sizes = (500, 10_000, 100_000) if device == "cuda" else (500,)
    terms = iou_bench.terms_on(device, LOSSES)
    figures: Seen = {f"N = {n:,}": iou_bench.times(terms, n, device) for n in sizes}
    slow = [f"{name} at {size}" for size, times in figures.items() for name in WISE if times[name]["ratio"] > 0.45]
    launched = ""
    if device == "cuda":
        data = boxes(10_000, device)
        found = {name: kernels(partial(step, term, data)) for name, term in terms.items()}
        launches = (f"{name} {row['launches']:.0f} ({row['kernel ms']:.3f} ms)" for name, row in found.items())
        launched = f"; launches, and the time of the kernels, at N = 10,000: {', '.join(launches)}"
    return {"note": f"Wise-IoU above 0.45: {', '.join(slow) or 'none'}{launched}", "figures": figures}


def criterion(device: str, folder: Path) -> Seen:
    """Time of the whole criterion to stock's."""
    times = criterion_bench.times(criteria(device), device)
    limits = {name: 0.95 if name in WISE else 1.0 for name in times}
    slow = [name for name, cell in times.items() if cell["high"] > limits[name]]
    note = f"upper quartile above 1.00, or 0.95 of Wise-IoU: {', '.join(slow) or 'none'}"
    return {"note": note, "figures": {"criterion": times}}


def criteria(device: str) -> dict[str, criterion_bench.Step]:
    """Steps of the criterion: of every preset where there is a GPU, of some and a small one on a processor."""
    if device != "cuda":
        criterion_bench.BATCH, criterion_bench.IMGSZ, criterion_bench.ROUNDS = 2, 160, 3
    names = criterion_bench.PRESETS if device == "cuda" else LOSSES
    return criterion_bench.steps(names, device)["criterion"]


def network(device: str) -> tuple[Any, dict[str, Tensor]]:
    """A model and a batch."""
    torch.manual_seed(0)
    model: Any = DetectionModel(MODEL, nc=4, verbose=False).to(device).train()
    model.args = DEFAULT_CFG
    size = 640 if device == "cuda" else 128
    batch = {
        "img": torch.rand(4, 3, size, size),
        "batch_idx": torch.arange(20) // 5,
        "cls": torch.arange(20).view(-1, 1) % 4.0,
        "bboxes": torch.cat((0.2 + 0.6 * torch.rand(20, 2), 0.1 + 0.5 * torch.rand(20, 2)), 1),
    }
    return model, {name: value.to(device) for name, value in batch.items()}


class Check(NamedTuple):
    """A check, and how many GPUs it needs."""

    run: Callable[[str, Path], Seen]
    gpus: int = 0


CHECKS = {
    "train, amp=True": Check(lambda device, folder: training(device, folder, amp=True)),
    "train, amp=bf16": Check(bfloat16, gpus=1),
    "train, amp=False": Check(lambda device, folder: training(device, folder, amp=False)),
    "float16 and bfloat16": Check(autocast),
    "resume": Check(resume),
    "NaN recovery": Check(nan_recovery),
    "compile=True": Check(lambda device, folder: training(device, folder, compile=True), gpus=1),
    "collectives": Check(collectives),
    "two GPUs": Check(two_gpus, gpus=2),
    "host syncs": Check(syncs),
    "peak memory": Check(peak_memory),
    "IoU term": Check(iou_term),
    "criterion": Check(criterion),
}


if __name__ == "__main__":
    name, device, folder = sys.argv[1:]
    print(json.dumps(CHECKS[name].run(device, Path(folder))))
