"""The losses: pure torch, without Ultralytics. Importing this package registers every overlap, penalty and gain."""

from yolo_wiou.losses import gain, overlap, penalty
from yolo_wiou.losses.box_loss import BoxLoss, load_loss
from yolo_wiou.losses.boxes import BoxPair
from yolo_wiou.losses.rotated import RotatedPair
from yolo_wiou.losses.running_mean import RunningMean

__all__ = ["BoxLoss", "BoxPair", "RotatedPair", "RunningMean", "gain", "load_loss", "overlap", "penalty"]
