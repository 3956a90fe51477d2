"""The whole family of IoU losses for Ultralytics YOLO, behind one word: `loss=wiou3`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from yolo_wiou.version import __version__

if TYPE_CHECKING:
    from yolo_wiou.config import LossConfig, available_losses
    from yolo_wiou.losses import BoxLoss, BoxPair, load_loss
    from yolo_wiou.registry import ConfigError, Number
    from yolo_wiou.sections import GAINS, OVERLAPS, PENALTIES
    from yolo_wiou.training.criterion import FocusedDetectionLoss
    from yolo_wiou.training.families import (
        DetectionTrainer,
        OBBTrainer,
        PoseTrainer,
        RTDETRTrainer,
        SegmentationTrainer,
        WorldTrainer,
    )
    from yolo_wiou.training.model import RTDETR, YOLO, YOLOWorld

__all__ = [
    "GAINS",
    "OVERLAPS",
    "PENALTIES",
    "RTDETR",
    "YOLO",
    "BoxLoss",
    "BoxPair",
    "ConfigError",
    "DetectionTrainer",
    "FocusedDetectionLoss",
    "LossConfig",
    "Number",
    "OBBTrainer",
    "PoseTrainer",
    "RTDETRTrainer",
    "SegmentationTrainer",
    "WorldTrainer",
    "YOLOWorld",
    "__version__",
    "available_losses",
    "load_loss",
]

# What has these names. The losses come first: whoever has a registry in hand finds them in it.
_MODULES = ("losses", "config", "registry", "sections", "training.criterion", "training.families", "training.model")


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for, as Ultralytics does; `import yolo_wiou` alone costs nothing."""
    if name in __all__:
        for module in (import_module(f"yolo_wiou.{module}") for module in _MODULES):
            if hasattr(module, name):
                return globals().setdefault(name, getattr(module, name))
    if name in {module.partition(".")[0] for module in _MODULES}:
        return import_module(f"yolo_wiou.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """What is there, and what is there to be asked for."""
    return sorted({*globals(), *__all__})
