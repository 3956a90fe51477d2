"""Families and tasks: building models and batches, and checking each against stock by a step and by a tiny epoch."""

from __future__ import annotations

import math
import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars
import torch
import ultralytics
from torch import Tensor, nn
from ultralytics.engine.model import Model
from ultralytics.models import yolo
from ultralytics.utils import DEFAULT_CFG, ROOT

from yolo_wiou import YOLO
from yolo_wiou.data.shapes import ShapesConfig, render_dataset
from yolo_wiou.losses.presets import load_config
from yolo_wiou.training.criterion import install
from yolo_wiou.training.families import trainer_for

MODELS = {
    "YOLOv3": ["yolov3-tiny.yaml"],
    "YOLOv5": ["yolov5n.yaml", "yolov5n-p6.yaml"],
    "YOLOv6": ["yolov6n.yaml"],
    "YOLOv8": ["yolov8n.yaml", "yolov8n-p2.yaml", "yolov8n-seg.yaml", "yolov8n-pose.yaml", "yolov8n-obb.yaml"],
    "YOLOv9": ["yolov9t.yaml", "yolov9c-seg.yaml"],
    "YOLOv10": ["yolov10n.yaml"],
    "YOLO11": ["yolo11n.yaml", "yolo11n-seg.yaml", "yolo11n-pose.yaml", "yolo11n-obb.yaml"],
    "YOLO12": ["yolo12n.yaml", "yolo12n-seg.yaml", "yolo12n-pose.yaml", "yolo12n-obb.yaml"],
    "YOLO26": ["yolo26n.yaml", "yolo26n-seg.yaml", "yolo26n-pose.yaml", "yolo26n-obb.yaml"],
    "RT-DETR": ["rtdetr-l.yaml", "rtdetr-resnet50.yaml", "yolov8n-rtdetr.yaml"],
    "YOLO-World": ["yolov8s-world.yaml", "yolov8s-worldv2.yaml"],
    "YOLOE": ["yoloe-11s.yaml", "yoloe-11s-seg.yaml", "yoloe-26n.yaml", "yoloe-26n-seg.yaml"],
}
"""The smallest of each kind."""
SMALLEST = {"rtdetr": 160}
"""RT-DETR picks 300 proposals: the three levels of an image must have as many cells."""
ARGUMENTS: dict[str, Any] = {"epochs": 1, "batch": 4, "nbs": 4, "workers": 0, "plots": False}
TEXT_MODEL = "ultralytics.nn.text_model"


@dataclass(frozen=True)
class Row:
    """One model: whether its own loss by name is stock bit for bit, whether wiou3 trains, and what is to know."""

    family: str
    model: str
    task: str
    parity: bool
    wiou3: bool
    note: str = ""


class FixedText(nn.Module):
    """Stands in for a text encoder: a fixed unit vector for each length of a word."""

    def tokenize(self, texts: list[str], **_: Any) -> Tensor:
        return torch.tensor([[len(text)] for text in texts])

    def encode_text(self, tokens: Tensor, **_: Any) -> Tensor:
        vectors = torch.randn(100, 512, generator=torch.Generator().manual_seed(0))
        return nn.functional.normalize(vectors[tokens[:, 0] % 100], dim=-1)


def text_stub() -> types.ModuleType:
    """What stands in for the module that would load a text encoder."""
    stub = types.ModuleType(TEXT_MODEL)
    stub.build_text_model = lambda *_, **__: FixedText()  # type: ignore[attr-defined]
    return stub


def models(families: list[str]) -> Iterator[tuple[str, str]]:
    """Family and model, as far as this Ultralytics has them."""
    here = {path.name for path in (ROOT / "cfg" / "models").rglob("*.yaml")}
    for family in families or MODELS:
        for model in MODELS[family]:
            if {model, re.sub(r"(\d)[nslmxt](?=[-.])", r"\1", model)} & here:
                yield family, model


def build(model: str) -> Model:
    """Build from its YAML, the same weights each time; of the scale that the name asks for."""
    torch.manual_seed(0)
    return YOLO(model)


def stock_trainer(model: Model) -> Any:
    """Ultralytics' trainer for a model; of YOLOE's the one that fine-tunes on fixed classes."""
    found = model._smart_load("trainer")
    if not hasattr(yolo, "yoloe"):
        return found
    e = yolo.yoloe
    return {e.YOLOETrainer: e.YOLOEPETrainer, e.YOLOESegTrainer: e.YOLOEPESegTrainer}.get(found, found)


def size(model: str) -> int:
    return next((imgsz for kind, imgsz in SMALLEST.items() if kind in model), 64)


def batch_for(model: Any, task: str, imgsz: int) -> dict[str, Any]:
    """A batch of two images with two objects each, with all that a task's criterion asks for."""
    g = torch.Generator().manual_seed(0)
    bboxes = torch.tensor([[0.5, 0.5, 0.4, 0.6], [0.3, 0.6, 0.5, 0.3], [0.7, 0.2, 0.2, 0.3], [0.5, 0.4, 0.9, 0.5]])
    if task == "obb":
        bboxes = torch.cat((bboxes, torch.tensor([[0.3], [0.0], [1.0], [0.5]])), 1)
    masks = torch.randint(0, 3, (2, imgsz, imgsz), generator=g).float()
    keypoints = torch.rand(4, *getattr(model.model[-1], "kpt_shape", (17, 3)), generator=g)
    return {
        "img": torch.rand(2, 3, imgsz, imgsz, generator=g),
        "batch_idx": torch.tensor([0.0, 0.0, 1.0, 1.0]),
        "cls": torch.zeros(4, 1),
        "bboxes": bboxes,
        "masks": masks,
        "sem_masks": torch.randint(0, 2, (2, imgsz, imgsz), generator=g),
        "keypoints": keypoints,
        "txt_feats": torch.randn(2, model.model[-1].nc, 512, generator=g),
    }


def step(model: Any, batch: dict[str, Any], loss: str | None) -> dict[str, Tensor]:
    """Loss, its items and the gradients of the last layer, with a loss or with the stock criterion."""
    torch.manual_seed(0)  # denoising queries of RT-DETR are drawn at random
    model.criterion = model.init_criterion()
    if loss:
        install(model.criterion, load_config(loss))
    total, items = model.loss({key: value.clone() for key, value in batch.items()})
    if not isinstance(items, dict):  # before 8.4.104
        items = dict(zip(("box_loss", *map(str, range(len(items) - 1))), items, strict=True))
    parameters = {name: p for name, p in model.model[-1].named_parameters() if p.requires_grad}
    grads = torch.autograd.grad(total.sum(), [*parameters.values()], allow_unused=True)
    return {"loss": total.detach(), **items, **{k: v for k, v in zip(parameters, grads, strict=True) if v is not None}}


def check_step(family: str, name: str) -> Row:
    """One forward and backward of the criterion."""
    wrapper = build(name)
    model, trainer = wrapper.model, trainer_for(stock_trainer(wrapper))
    model.args, model.nc = DEFAULT_CFG, model.model[-1].nc  # as a trainer sets them
    batch = batch_for(model.train(), wrapper.task, size(name))
    stock, own, wiou3 = (step(model, batch, loss) for loss in (None, trainer.stock_loss, "wiou3"))
    changed = {key for key in stock if not torch.equal(stock[key], wiou3[key])}
    shown = {key for key in changed if key.endswith("_loss")}
    is_sound = all(value.isfinite().all() for value in wiou3.values())
    parity = stock.keys() == own.keys() and all(torch.equal(stock[key], own[key]) for key in stock)
    return Row(
        family, name, wrapper.task, parity, is_sound and "loss" in changed and shown <= {"box_loss", "giou_loss"}
    )


def check_run(family: str, name: str, root: Path) -> Row:
    """Three trainings of one epoch."""
    trainer = stock_trainer(build(name))
    stock_loss = trainer_for(trainer).stock_loss
    start = name
    if family == "YOLOE":  # which is fine-tuned, never trained from a YAML
        start = str(root / name.replace(".yaml", ".pt"))
        build(name).save(start)
    stock_class = ultralytics.RTDETR if "rtdetr" in name else ultralytics.YOLO
    tables, weights = [], []
    for loss in (None, stock_loss, "wiou3"):
        model: Any = YOLO(start) if loss else stock_class(start)
        arguments = {"data": data_for(root, model.task), "imgsz": size(name), "project": root / name, **ARGUMENTS}
        model.train(trainer=trainer, name=loss or "stock", **arguments, **({"loss": loss} if loss else {}))
        folder = Path(model.trainer.save_dir)
        tables.append(polars.read_csv(folder / "results.csv").drop("time").to_dict(as_series=False))
        weights.append(torch.load(folder / "weights" / "last.pt", weights_only=False)["model"].state_dict())
    stock, own, wiou3 = tables
    parity = stock == {column: own[column] for column in stock} and same(weights[0], weights[1])
    is_sound = all(math.isfinite(value) for column in wiou3.values() for value in column)
    trains = is_sound and 0 < wiou3["wiou/iou"][0] < 1 and not same(weights[0], weights[2])
    return Row(family, name, model.task, parity, trains, note(family, stock_loss))


def same(weights: dict[str, Tensor], others: dict[str, Tensor]) -> bool:
    """Whether two sets of weights are equal bit for bit."""
    return weights.keys() == others.keys() and all(torch.equal(weights[key], others[key]) for key in weights)


def data_for(root: Path, task: str) -> Path:
    """data.yaml of a few rendered images for a task."""
    config = ShapesConfig(task=task, train=8, val=4, imgsz=160, classes=("disc", "box"), sizes=(0.3, 0.6))
    return render_dataset(root / "data" / task, config)


def note(family: str, stock_loss: str) -> str:
    """What is to know about a family."""
    if stock_loss != "ciou":
        return f"its own loss is `{stock_loss}`; ALWA and the weightings of positives alone are refused"
    return "with a stand-in for the text encoder" if family in {"YOLO-World", "YOLOE"} else ""
