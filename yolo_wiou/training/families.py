"""Ultralytics' trainers of every family and task that regresses boxes, with `loss=`, and which losses they take."""

from pathlib import Path
from typing import Any

from ultralytics.models import yolo
from ultralytics.models.rtdetr import train as rtdetr

from yolo_wiou.errors import ConfigError
from yolo_wiou.losses.rotated import check_rotated
from yolo_wiou.training.rtdetr import STOCK, check_detr
from yolo_wiou.training.trainer import BoxLossMixin


class DetectionTrainer(BoxLossMixin, yolo.detect.DetectionTrainer):
    """Ultralytics' DetectionTrainer with `loss=`.

    >>> model = ultralytics.YOLO("yolo11n.pt")  # doctest: +SKIP
    >>> results = model.train(trainer=DetectionTrainer, data="my.yaml", loss="wiou3")  # doctest: +SKIP
    """

    kind = "detect"


class SegmentationTrainer(BoxLossMixin, yolo.segment.SegmentationTrainer):
    """Ultralytics' SegmentationTrainer with `loss=`."""

    kind = "segment"


class PoseTrainer(BoxLossMixin, yolo.pose.PoseTrainer):
    """Ultralytics' PoseTrainer with `loss=`."""

    kind = "pose"


class OBBTrainer(BoxLossMixin, yolo.obb.OBBTrainer):
    """Ultralytics' OBBTrainer with `loss=`, for the losses that have a meaning for rotated boxes."""

    kind = "obb"
    check_loss = staticmethod(check_rotated)


class RTDETRTrainer(BoxLossMixin, rtdetr.RTDETRTrainer):
    """Ultralytics' RTDETRTrainer with `loss=` in place of GIoU; its L1 term and its matching stay."""

    kind = "RT-DETR"
    stock_loss = STOCK
    check_loss = staticmethod(check_detr)

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Prepare a batch, and pass its size to the box loss: RT-DETR's boxes are shares of the image."""
        batch = super().preprocess_batch(batch)
        self._resize(*batch["img"].shape[2:])
        if self.label_ids:  # it matches by class, and keeps the order of the targets
            numbers, classes = self.label_ids.read(batch["cls"].to(batch["img"].device, non_blocking=True))
            for head in self.heads.values():
                head.numbers = numbers.flatten()
            batch = {**batch, "cls": classes}
        return batch

    def validate(self) -> Any:
        """Validate, in the size `imgsz`, whatever sizes `multi_scale` trains in."""
        self._resize(self.args.imgsz, self.args.imgsz)
        return super().validate()

    def _resize(self, height: int, width: int) -> None:
        for head in self.heads.values():
            head.imgsz = height, width


class WorldTrainer(BoxLossMixin, yolo.world.WorldTrainer):
    """Ultralytics' trainer of YOLO-World, with `loss=`."""

    kind = "YOLO-World"
    takes_labels = False


TRAINERS: list[type[BoxLossMixin]] = [DetectionTrainer, SegmentationTrainer, PoseTrainer, OBBTrainer]
TRAINERS += [RTDETRTrainer, WorldTrainer]
"""Our trainers; the last base of each is the stock one."""

if hasattr(yolo, "yoloe"):  # since 8.3.99

    class YOLOEPETrainer(BoxLossMixin, yolo.yoloe.YOLOEPETrainer):
        """Ultralytics' YOLOEPETrainer, fine-tuning on fixed classes, with `loss=`."""

        kind = "YOLOE"
        takes_labels = False

    class YOLOEPESegTrainer(BoxLossMixin, yolo.yoloe.YOLOEPESegTrainer):
        """Ultralytics' YOLOEPESegTrainer, fine-tuning on fixed classes, with `loss=`."""

        kind = "YOLOE"
        takes_labels = False

    TRAINERS += [YOLOEPETrainer, YOLOEPESegTrainer]


REFUSED = {
    "VP": "trains classification alone, from visual prompts",
    "YOLOE": "changes the number of classes as it validates; YOLOE takes 'loss=' in fine-tuning on fixed classes: "
    "YOLO(...).train(trainer=YOLOEPETrainer, ...), or YOLOEPESegTrainer, of ultralytics.models.yolo.yoloe",
}
"""Why a stock trainer takes no loss, by a part of its name."""


def trainer_for(stock: type) -> type[BoxLossMixin]:
    """Return our trainer in place of one of Ultralytics'; one that has `loss=` already is returned as it is.

    >>> trainer_for(yolo.obb.OBBTrainer).__name__, trainer_for(yolo.obb.OBBTrainer).kind
    ('OBBTrainer', 'obb')

    Raises:
        ConfigError: it trains no boxes, or in a way that we do not know.
    """
    if not isinstance(stock, type):
        raise ConfigError(f"'trainer={stock}' is no class. For 'loss=' give a trainer class, derived from ours.")
    if issubclass(stock, BoxLossMixin):
        return stock
    for ours in TRAINERS:
        if ours.__bases__[-1] is stock:
            return ours
    for ours in reversed(TRAINERS):  # the special ones, which derive from detection's, first
        if issubclass(stock, ours.__bases__[-1]) and stock.__module__.partition(".")[0] != "ultralytics":
            raise ConfigError(
                f"{stock.__name__} is a {ours.__bases__[-1].__name__} of Ultralytics. For 'loss=' derive it from ours: "
                f"class {stock.__name__}({ours.__module__}.{ours.__name__})."
            )
    reason = next((why for part, why in REFUSED.items() if part in stock.__name__), "has no box loss to exchange")
    known = ", ".join(dict.fromkeys(ours.kind for ours in TRAINERS))
    raise ConfigError(f"{stock.__name__} {reason}. 'loss=' works with: {known}.")


UNTRAINED = ("sam_", "sam2", "sam3", "fastsam", "yolo_nas")
"""Parts of the names of models that `yolo` knows, but not how to train."""


def is_untrained(name: Path | str) -> bool:
    """Whether a file's name is that of a model for which Ultralytics has no training.

    >>> is_untrained("sam2_b.pt"), is_untrained("yolo11n.pt")
    (True, False)
    """
    return any(part in Path(name).stem.lower() for part in UNTRAINED)
