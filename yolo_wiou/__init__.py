"""The whole family of IoU losses for Ultralytics YOLO, behind one word: `loss=wiou3`."""

import warnings
from functools import cache
from importlib import import_module
from typing import Any

from yolo_wiou.version import __version__ as __version__

_LOSSES = "CLS_WEIGHTINGS GAINS OVERLAPS PENALTIES BoxLoss BoxPair FiniteFloat LossConfig available_losses load_loss"
_TRAINERS = "DetectionTrainer OBBTrainer PoseTrainer RTDETRTrainer SegmentationTrainer WorldTrainer"
_HOMES = {
    **dict.fromkeys(_LOSSES.split(), "losses"),
    "ConfigError": "errors",
    "FocusedDetectionLoss": "training.criterion",
    "audit": "auditing.audit",
    **dict.fromkeys(_TRAINERS.split(), "training.families"),
    **dict.fromkeys(("RTDETR", "YOLO", "YOLOWorld"), "training.model"),
}
"""Which module has each public name; __init__.pyi says the same to type checkers, and a test holds them together."""
_RENAMED = {"Number": "FiniteFloat"}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for, as Ultralytics does; `import yolo_wiou` alone costs nothing."""
    if name in _RENAMED:
        return _renamed(name)
    if name in _HOMES:
        return globals().setdefault(name, getattr(import_module(f"yolo_wiou.{_HOMES[name]}"), name))
    if name in {home.partition(".")[0] for home in _HOMES.values()}:
        return import_module(f"yolo_wiou.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache  # the statement `from yolo_wiou import Number` asks twice
def _renamed(name: str) -> Any:
    """Return what an old name stands for, and say so once."""
    warnings.warn(f"yolo_wiou.{name} is now {_RENAMED[name]}", DeprecationWarning, stacklevel=3)
    return __getattr__(_RENAMED[name])


def __dir__() -> list[str]:
    """What is there, and what is there to be asked for."""
    return sorted({*globals(), *__all__})
