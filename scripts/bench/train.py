"""Cost of training with our losses against stock Ultralytics: the box loss as a module, the criterion, epochs.

    python scripts/bench/train.py [LOSS ...]

Module and criterion run on one batch (16 images of 640 px, 80 classes; the module on what the assigner gave it), from
the network's output to its gradient, each once in every round, in an order that is drawn. Epochs are whole trainings
on rendered shapes, without the first epoch, likewise. Host syncs are counted as operators that make the host wait, and
on CUDA also as warnings of its sync debug mode. LOSS defaults to every preset but alwa for module and criterion, and to
ciou, wiou1, wiou3 and iou-balanced for epochs. Prints tables, writes docs/bench/train.json.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import ultralytics
from performance_page import train_tables
from timing import OUT, kernels, machine, orders, paired, wait
from torch import Tensor
from torch.utils._pytree import tree_map
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils import DEFAULT_CFG
from ultralytics.utils.loss import v8DetectionLoss

from helpers.cost import SYNCS, Count  # isort: skip
from yolo_wiou import YOLO, FocusedDetectionLoss, available_losses
from yolo_wiou.data.shapes import ShapesConfig, render_dataset

BATCH, IMGSZ, OBJECTS = 16, 640, 8
ROUNDS, RUNS, EPOCHS = 41, 5, 4
PRESETS = [name for name in available_losses() if name != "alwa"]
"""All but the one that decides at the end of a batch, which only a trainer knows."""
TRAINED = ("ciou", "wiou1", "wiou3", "iou-balanced")
"""What whole epochs are timed of: a training takes far longer than a step, and shows far less."""
Step = Callable[[], None]


def leaves(tree: Any) -> Any:
    """The same tensors, detached, those of floats asking for a gradient."""
    return tree_map(lambda t: t.detach().requires_grad_(t.is_floating_point()) if isinstance(t, Tensor) else t, tree)


def steps(names: list[str], device: str) -> dict[str, dict[str, Step]]:
    """A step of the module and one of the criterion, by loss."""
    torch.manual_seed(0)
    model = DetectionModel("yolo11n.yaml", nc=80, verbose=False).to(device).train()
    model.args = DEFAULT_CFG
    n = BATCH * OBJECTS
    batch = {
        "batch_idx": torch.arange(n, device=device) // OBJECTS,
        "cls": torch.randint(80, (n, 1), device=device).float(),
        "bboxes": torch.cat((0.2 + 0.6 * torch.rand(n, 2), 0.05 + 0.35 * torch.rand(n, 2)), 1).to(device),
    }
    with torch.no_grad():
        predictions = model(torch.rand(BATCH, 3, IMGSZ, IMGSZ, device=device))
    criteria = {"stock": v8DetectionLoss(model), **{name: FocusedDetectionLoss(model, loss=name) for name in names}}
    seen: dict[str, Any] = {}
    handle = criteria["stock"].bbox_loss.register_forward_pre_hook(lambda module, args: seen.update(args=args))
    criteria["stock"](predictions, batch)
    handle.remove()
    positives = tree_map(lambda t: t.detach() if isinstance(t, Tensor) else t, seen["args"])

    def module_step(criterion: Any) -> Step:
        def run() -> None:
            arguments = (*leaves(list(positives[:2])), *positives[2:])
            sum(criterion.bbox_loss(*arguments)).backward()

        return run

    def criterion_step(criterion: Any) -> Step:
        return lambda: criterion(leaves(predictions), batch)[0].sum().backward()

    return {
        "box loss": {name: module_step(criterion) for name, criterion in criteria.items()},
        "criterion": {name: criterion_step(criterion) for name, criterion in criteria.items()},
    }


def times(run: dict[str, Step], device: str) -> dict[str, dict[str, float]]:
    """Time steps, round by round."""
    taken = {name: np.empty(ROUNDS) for name in run}
    for i, order in enumerate(orders(run, ROUNDS + 1), start=-1):  # the last round overwrites the first, which warms up
        for name in order:
            wait(device)
            start = time.perf_counter()
            run[name]()
            wait(device)
            taken[name][i] = time.perf_counter() - start
    return paired(taken)


def counts(run: dict[str, Step], device: str) -> dict[str, dict[str, float]]:
    """Operators and host syncs of a step; on CUDA its kernels too."""
    result: dict[str, dict[str, float]] = {}
    for name, step in run.items():
        with Count() as counted:
            step()
        result[name] = {"operators": counted.total, **{sync: counted.operators[sync] for sync in sorted(SYNCS)}}
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("warn")
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                step()
            torch.cuda.set_sync_debug_mode("default")
            result[name] |= {"CUDA syncs": len(caught), **kernels(step)}
    return result


def epochs(names: list[str], device: str) -> dict[str, dict[str, float]]:
    """Time epochs of whole trainings, in turn: the median epoch of a run, without its first."""
    taken = {name: np.empty(RUNS) for name in ("stock", *names)}
    with tempfile.TemporaryDirectory() as folder:
        config = ShapesConfig(train=32, val=4, imgsz=160, classes=("disc", "box"), sizes=(0.2, 0.6))
        data = render_dataset(Path(folder) / "shapes", config)
        arguments = {"imgsz": 160, "batch": 8, "workers": 0, "plots": False, "val": False, "save": False, "seed": 0}
        for i, order in enumerate(orders(taken, RUNS)):
            for name in order:
                model = ultralytics.YOLO("yolo11n.yaml") if name == "stock" else YOLO("yolo11n.yaml")
                stamps: list[float] = []
                model.add_callback("on_train_epoch_start", lambda _, stamps=stamps: stamps.append(time.perf_counter()))
                model.add_callback("on_train_epoch_end", lambda _, stamps=stamps: stamps.append(time.perf_counter()))
                own = {} if name == "stock" else {"loss": name}
                model.train(data=data, epochs=EPOCHS, project=folder, device=device, exist_ok=True, **arguments, **own)
                taken[name][i] = np.median(np.diff(stamps)[::2][1:])
    return paired(taken)


def main(names: list[str]) -> None:
    """Measure, print, write."""
    measured = names or PRESETS
    about = (
        f"Box loss and criterion: yolo11n's output for {BATCH} images of {IMGSZ} px, 80 classes, {OBJECTS} objects per "
        f"image, {ROUNDS} rounds."
    )
    report: dict[str, Any] = {"machine": machine(), "about": about, "counts": {}, "parts": {}}
    for device in ["cpu"] + ["cuda"] * torch.cuda.is_available():
        run = steps(measured, device)
        parts = report["parts"].setdefault(device, {})
        report["counts"][device] = counts(run["criterion"], device)
        for part, terms in run.items():
            parts[part] = times(terms, device)
            save(report)
        parts["epoch"] = epochs(names or list(TRAINED), "cpu" if device == "cpu" else "0")
        report["about"] = f"{about} Epoch: yolo11n on 32 rendered images of 160 px, {RUNS} runs each."
        save(report)
    print(train_tables(report))


def save(report: dict[str, Any]) -> None:
    """Write what is there so far: a run may be cut short."""
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "train.json").write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
