"""The losses: pure torch, without Ultralytics. Importing this package registers every part of one."""

from yolo_wiou.losses.box_loss import BoxLoss as BoxLoss
from yolo_wiou.losses.box_loss import load_loss as load_loss
from yolo_wiou.losses.boxes import BoxPair as BoxPair
from yolo_wiou.losses.cls_weighting import CLS_WEIGHTINGS as CLS_WEIGHTINGS
from yolo_wiou.losses.config import LossConfig as LossConfig
from yolo_wiou.losses.gain import GAINS as GAINS
from yolo_wiou.losses.overlap import OVERLAPS as OVERLAPS
from yolo_wiou.losses.penalty import PENALTIES as PENALTIES
from yolo_wiou.losses.presets import available_losses as available_losses
from yolo_wiou.losses.presets import load_config as load_config
from yolo_wiou.losses.rotated import RotatedPair as RotatedPair
from yolo_wiou.losses.running_mean import RunningMean as RunningMean
from yolo_wiou.losses.settings import FiniteFloat as FiniteFloat
