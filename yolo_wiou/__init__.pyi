"""What type checkers see of the package: its public names, which __init__.py imports when they are asked for."""

from yolo_wiou.auditing.audit import audit
from yolo_wiou.errors import ConfigError
from yolo_wiou.losses import (
    CLS_WEIGHTINGS,
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

__version__: str
Number = FiniteFloat  # its old name, deprecated

__all__ = [
    "CLS_WEIGHTINGS",
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
    "audit",
    "available_losses",
    "load_loss",
]
