"""AuditMixin: a trainer that can tell its labels apart, and records what it sees of each."""

from collections.abc import Mapping
from typing import Any

from ultralytics.utils import LOGGER, RANK, colorstr

from yolo_wiou.errors import ConfigError
from yolo_wiou.losses.config import LossConfig
from yolo_wiou.losses.gain import GAINS
from yolo_wiou.losses.registry import asks
from yolo_wiou.training.crash_safety import CrashSafeMixin
from yolo_wiou.training.criterion import Heads, is_installed, unwrap
from yolo_wiou.training.label_history import HISTORY, LABELS
from yolo_wiou.training.label_ids import LabelIds
from yolo_wiou.training.label_recorder import LabelRecorder
from yolo_wiou.training.logbook import suffix


class AuditMixin(CrashSafeMixin):
    """Numbers the labels of the training split where something asks for it: `audit=true`, or a gain.

    Attributes:
        kind: what it trains, as users call it.
        takes_labels: whether the labels of its batches can be told apart.
        audit: whether it records its labels; None where the user has not said.
        label_ids: the numbers of the labels; None where nothing asks for them.
    """

    kind: str
    takes_labels = True
    config: LossConfig
    heads: Heads
    audit: bool | None = None
    label_ids: LabelIds | None = None
    recorder: LabelRecorder | None = None

    def resolve_audit(self, state: Mapping[str, Any] | None) -> None:
        """Settle whether the labels are recorded: a resumed run, of that state, goes on as it was.

        Raises:
            ConfigError: the user says otherwise, or the labels of this trainer cannot be told apart.
        """
        if self.resume:
            was = bool(state and state.get("audit"))
            if self.audit not in {None, was}:
                raise ConfigError(
                    f"'{self.args.resume}' was trained with audit={was}, and resume continues it. Leave out "
                    f"audit={self.audit}."
                )
            self.audit = was
        if self.needs_labels and not self.takes_labels:
            what = "audit=true" if self.audit else f"gain '{self.config.gain.name}'"
            raise ConfigError(
                f"{what} tells labels apart by what stands for their class, of which {self.kind} makes texts. It works "
                "with detect, segment, pose, obb and RT-DETR."
            )
        if self.audit:
            self.args.audit = True  # what reaches args.yaml, loggers and other processes

    @property
    def needs_labels(self) -> bool:
        """Whether something cannot do without knowing which label is which."""
        return bool(self.audit) or "labels" in asks(GAINS.functions[self.config.gain.name])

    @property
    def wants_labels(self) -> bool:
        """Whether something asks which label is which; a gain that asks for `excess` can do without."""
        remembers = "excess" in asks(GAINS.functions[self.config.gain.name])
        return self.needs_labels or (remembers and self.takes_labels)

    def build_dataset(self, img_path: Any, mode: str = "train", *args: Any, **kwargs: Any) -> Any:
        """Read a split, and number the labels of the training's."""
        dataset = super().build_dataset(img_path, mode, *args, **kwargs)
        if mode == "train" and self.wants_labels:
            try:
                self.label_ids = LabelIds(dataset)
            except ConfigError as error:
                if self.needs_labels:
                    raise
                LOGGER.warning(f"yolo-wiou: {self.config.name} judges every step by itself: {error}")
        return dataset

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Prepare a batch: it has numbers in place of classes, but for a criterion that is not ours."""
        batch = super().preprocess_batch(batch)
        if self.label_ids:
            self.label_ids.restore_masks(batch)
            criterion = getattr(unwrap(self.model), "criterion", None)  # of a batch to calibrate by there is none yet
            if criterion is None or not is_installed(criterion):  # a callback has exchanged it
                batch = self.with_classes(batch)
        return batch

    def plot_training_samples(self, batch: dict[str, Any], ni: int) -> None:
        """Draw a batch, with its classes."""
        super().plot_training_samples(self.with_classes(batch), ni)

    def with_classes(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return a batch of the loader as a stock training has it, for who looks at it: classes, no numbers."""
        return self.label_ids.with_classes(batch) if self.label_ids else batch

    def run_callbacks(self, event: str) -> None:
        """Do our part of an event, then let all other callbacks run."""
        is_new = event == "on_pretrain_routine_end" and not self.resume and RANK in {-1, 0}
        if is_new and (self.save_dir / HISTORY).is_file():  # of a run that was in this folder before; else not ours
            for name in (LABELS, HISTORY):
                (self.save_dir / name).unlink(missing_ok=True)
        if event == "on_pretrain_routine_end" and self.audit and self.label_ids:
            head = next(head for path, head in self.heads.items() if not suffix(path))  # the one that predicts
            folder = self.save_dir if RANK in {-1, 0} else None
            self.recorder = LabelRecorder(self.label_ids, head.box_loss.running_mean, folder, self.start_epoch)
            head.record(self.recorder)
            if folder:
                LOGGER.info(
                    f"{colorstr('yolo-wiou:')} {HISTORY} records what is seen of {len(self.label_ids):,} labels"
                )
        elif event == "on_train_epoch_start" and self.recorder:
            self.recorder.start_epoch()
        elif event == "on_train_epoch_end" and self.recorder:
            self.recorder.end_epoch(self.epoch)
        super().run_callbacks(event)


def take_audit(*arguments: dict[str, Any]) -> bool | None:
    """Take `audit` out of a run's arguments, the last one wins; None where there is none.

    >>> take_audit({"audit": True, "epochs": 3})
    True

    Raises:
        ConfigError: it is neither true nor false.
    """
    audit = None
    for args in arguments:
        audit = args.pop("audit", audit)
    if not isinstance(audit, bool | None):
        raise ConfigError(f"'audit={audit}' is neither True nor False.")
    return audit
