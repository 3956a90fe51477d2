"""The whole family of IoU losses for Ultralytics YOLO, behind one word: `loss=wiou3`."""

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
from yolo_wiou.version import __version__

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
