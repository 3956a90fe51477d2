"""The losses: pure torch, without Ultralytics. Importing this package registers every overlap, penalty and gain."""

from yolo_wiou.losses.box_loss import BoxLoss, load_loss
from yolo_wiou.losses.boxes import BoxPair
from yolo_wiou.losses.config import LossConfig
from yolo_wiou.losses.gain import GAINS
from yolo_wiou.losses.overlap import OVERLAPS
from yolo_wiou.losses.penalty import PENALTIES
from yolo_wiou.losses.presets import available_losses, load_config
from yolo_wiou.losses.rotated import RotatedPair
from yolo_wiou.losses.running_mean import RunningMean
from yolo_wiou.losses.settings import FiniteFloat

__all__ = [
    "GAINS",
    "OVERLAPS",
    "PENALTIES",
    "BoxLoss",
    "BoxPair",
    "FiniteFloat",
    "LossConfig",
    "RotatedPair",
    "RunningMean",
    "available_losses",
    "load_config",
    "load_loss",
]
