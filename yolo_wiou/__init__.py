"""The whole family of IoU losses for Ultralytics YOLO, behind one word: `loss=wiou3`."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from yolo_wiou.version import __version__

if TYPE_CHECKING:
    from yolo_wiou.errors import ConfigError
    from yolo_wiou.losses import (
        GAINS,
        OVERLAPS,
        PENALTIES,
        BoxLoss,
        BoxPair,
        FiniteFloat,
        LossConfig,
        available_losses,
        load_loss,
    )
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
    "FiniteFloat",
    "FocusedDetectionLoss",
    "LossConfig",
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

_HOMES = ("losses", "errors", "training.criterion", "training.families", "training.model")
"""What has these names, the cheapest to import first."""
_RENAMED = {"Number": "FiniteFloat"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for, as Ultralytics does; `import yolo_wiou` alone costs nothing."""
    if name in _RENAMED:
        warnings.warn(f"yolo_wiou.{name} is now {_RENAMED[name]}", DeprecationWarning, stacklevel=2)
        name = _RENAMED[name]
    if name in __all__:
        for home in (import_module(f"yolo_wiou.{home}") for home in _HOMES):
            if hasattr(home, name):
                return globals().setdefault(name, getattr(home, name))
    if name in {home.partition(".")[0] for home in _HOMES}:
        return import_module(f"yolo_wiou.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """What is there, and what is there to be asked for."""
    return sorted({*globals(), *__all__})
