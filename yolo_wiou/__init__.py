"""The whole family of IoU losses for Ultralytics YOLO, behind one word: `loss=wiou3`."""

from yolo_wiou.config import LossConfig, available_losses
from yolo_wiou.losses import BoxLoss, BoxPair, load_loss
from yolo_wiou.registry import ConfigError, Number
from yolo_wiou.sections import GAINS, OVERLAPS, PENALTIES
from yolo_wiou.training.criterion import FocusedDetectionLoss
from yolo_wiou.training.model import YOLO
from yolo_wiou.training.trainer import DetectionTrainer, OBBTrainer, PoseTrainer, SegmentationTrainer
from yolo_wiou.version import __version__

__all__ = [
    "GAINS",
    "OVERLAPS",
    "PENALTIES",
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
    "SegmentationTrainer",
    "__version__",
    "available_losses",
    "load_loss",
]
