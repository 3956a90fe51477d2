"""BoxLossMixin: makes a trainer of Ultralytics train with the box loss that `loss=` names."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from ultralytics.cfg import cfg2dict
from ultralytics.utils import DEFAULT_CFG, LOGGER, RANK, colorstr

from yolo_wiou.errors import ConfigError
from yolo_wiou.files import write_whole
from yolo_wiou.losses import LossConfig, RunningMean, load_config
from yolo_wiou.losses.presets import as_plain, take_loss
from yolo_wiou.losses.running_mean import broadcast_from_rank0, reduce_over_ranks
from yolo_wiou.training.audited import AuditMixin, take_audit
from yolo_wiou.training.checkpoint import forget_memory, memories_of, read_state, restore_state, write_state
from yolo_wiou.training.compatibility import check_contract, check_torchvision
from yolo_wiou.training.crash_safety import checkpoint_to_resume
from yolo_wiou.training.criterion import Heads, criterion_of, install, is_installed, unwrap
from yolo_wiou.training.logbook import Logbook, draw
from yolo_wiou.training.preflight import check_run
from yolo_wiou.training.results_csv import header
from yolo_wiou.training.task_balance import ALWA
from yolo_wiou.training.ultralytics_errors import users_mistakes

OWN_KEYS = ("loss", "audit")
"""Arguments of ours among a run's `args`; Ultralytics' validator and stock releases refuse them."""

NOT_ASKED = (
    "yolo-wiou: no 'loss=', so this is Ultralytics' own: in our studies no other was better everywhere. 'trust' was "
    "where some boxes are loose; where all are a little off it did not help, and on exact ones it cost up to 0.1 "
    "points of AP (https://yolo-wiou.github.io/yolo-wiou/study/). 'yolo-wiou compare' tries it on your data."
)
UNREACHED = (
    "yolo-wiou: no box reached '{}' in this epoch, or none with a finite loss. Either the data has no boxes, or "
    "freeze= holds all that predicts them, or a callback has exchanged the criterion, which trains with its own loss."
)


class BoxLossMixin(AuditMixin):
    """Makes a trainer train with another box loss; a mixin that stands before a stock trainer among the bases.

    It extends the few methods of Ultralytics' trainer whose signatures never changed, and always calls them.
    `args.loss` is a preset's name or the whole configuration as a dict, so it reaches args.yaml, the loggers and the
    worker processes of a multi-GPU run by itself.

    Attributes:
        stock_loss: the preset that is the stock trainer's own loss.
    """

    stock_loss = "ciou"

    @staticmethod
    def check_loss(config: LossConfig) -> None:
        """Refuse a loss that has no meaning here; raises ConfigError. A YOLO head's upright boxes take every loss."""

    @classmethod
    def takes(cls, config: LossConfig) -> bool:
        """Return whether a loss has a meaning here."""
        with contextlib.suppress(ConfigError):
            cls.check_loss(config)
            return True
        return False

    def __init__(
        self, cfg: Any = DEFAULT_CFG, overrides: dict[str, Any] | None = None, _callbacks: dict[str, Any] | None = None
    ) -> None:
        """Build the stock trainer; a mistake of the user's raises ConfigError before anything is written."""
        check_contract()
        overrides = dict(overrides or {})
        stock = dict(cfg2dict(cfg))
        self.requested = take_loss(stock, overrides)
        self.config = self.requested or load_config(self.stock_loss)
        self.audit = take_audit(stock, overrides)
        self.heads: Heads = {}
        self.balance: ALWA | None = None
        self.state: dict[str, Any] | None = None  # of the checkpoint that this run continues
        with users_mistakes(SyntaxError, TypeError, ValueError):
            super().__init__(stock, overrides, _callbacks)

    def check_resume(self, overrides: dict[str, Any]) -> None:
        """Decide which loss this run has, as soon as it is known whether it continues another."""
        if self.args.resume:
            self.args.resume, ckpt = checkpoint_to_resume(self.args.resume)
            self.state = read_state(ckpt)
        super().check_resume(overrides)
        if self.resume:
            self.config = load_config(self.state["loss"] if self.state else self.stock_loss)
            if self.requested and not same_loss(self.requested, self.config, self.state):
                raise ConfigError(
                    f"'{self.args.resume}' was trained with {self.config}, and resume continues it. Leave out "
                    f"the loss, or start a new run from its weights, without resume: model={self.args.resume}."
                )
        self.check_loss(self.config)
        self.resolve_audit(self.state)
        if not (self.requested or self.resume):
            LOGGER.info(NOT_ASKED)
        self.args.loss = as_plain(self.config)  # what reaches args.yaml, loggers and other processes
        check_run(self.args)
        self.claim_folder()

    def run_callbacks(self, event: str) -> None:
        """Do our part of an event, then let all other callbacks run."""
        match event:
            case "on_pretrain_routine_end":
                self._attach()
            case "on_train_epoch_start":
                if self._share_heads(self.model):  # a callback has removed or replaced the model's criterion
                    LOGGER.warning(f"yolo-wiou: the model has a new criterion; {self.config.name} is put on it again.")
                self.logbook.start_epoch()
                for memory in memories_of(self.heads).values():  # out of memory, an epoch starts again
                    memory.discard()
                epochs = broadcast_from_rank0(self.epochs)  # with `time=` every rank estimates its own
                for head in self.heads.values():
                    head.box_loss.progress = self.epoch / epochs
                if self.length != (len(self.train_loader), epochs):  # out of memory, or `time=`
                    self._resolve_momentum(epochs)
                    self._write_loss()
            case "on_train_batch_start":  # a step that ended early, out of memory say, is forgotten
                for head in self.heads.values():
                    head.box_loss.running_mean.discard()
                    head.seen = None
            case "on_train_batch_end":
                kept = {path: mean for path, mean in self.means.items() if self.heads[path].box_loss.keeps_mean}
                reduce_over_ranks(list(kept.values()))
                for path in self.heads:
                    self.logbook.add(path, kept[path].advance() if path in kept else None)
                if self.balance:
                    self.balance.observe(*self._box_and_cls())
            case "on_train_epoch_end":  # results.csv and every logger write the learning rates, and so our columns
                self.logbook.close()
                for memory in memories_of(self.heads).values():
                    memory.end_epoch()
                self.lr.update(self._columns())
                self.logbook.end_epoch(self.epoch)
                if self.logbook.is_empty and RANK in {-1, 0}:
                    LOGGER.warning(UNREACHED.format(self.config.name))
            case "on_train_end" if self.args.plots and RANK in {-1, 0}:
                self._draw()
        super().run_callbacks(event)

    @property
    def means(self) -> dict[str, RunningMean]:
        """The running mean of every head."""
        return {path: head.box_loss.running_mean for path, head in self.heads.items()}

    def _attach(self) -> None:
        """Put the loss on the criterion: class weights are set by now, and resume has rebuilt what it rebuilds."""
        if self.ema:
            unwrap(self.ema.ema).criterion = None  # some releases have made a stock one already
        if self.config.task_balance.name == "alwa":
            self.balance = ALWA(self.config.task_balance, self.device)
        self.heads = install(criterion_of(self.model), self.config, balance=self.balance, label_ids=self.label_ids)
        for head in self.heads.values():
            head.box_loss.self_advancing = False
            head.box_loss.to(self.device)  # RT-DETR's criterion does not know its device yet
        self._resolve_momentum(self.epochs)
        if self.device.type == "cuda":
            check_torchvision(self.device)
        if self.state:
            restore_state(self.state, self.heads, self.balance)
        self.logbook = Logbook(self.heads, self.save_dir if RANK in {-1, 0} else None)
        self._write_loss()
        if RANK in {-1, 0}:
            means = ", ".join(f"{mean.mean.item():.4g}" for mean in self.means.values())
            heads = "1 head" if len(self.heads) == 1 else f"{len(self.heads)} heads"
            LOGGER.info(
                f"{colorstr('yolo-wiou:')} {self.config} on {heads} of task {self.args.task}, "
                f"running mean {means}, momentum {self._momentum():.3g}"
            )

    def _share_heads(self, model: nn.Module) -> bool:
        """Put the run's box losses on a model's criterion; returns whether it had none of them yet."""
        criterion = criterion_of(model)
        is_new = not is_installed(criterion)
        if is_new:
            install(criterion, self.config, self.heads, self.balance)
        return is_new

    def _resolve_momentum(self, epochs: int) -> None:
        """Give every running mean the momentum of this run's length, unless a number is asked for."""
        self.length = len(self.train_loader), epochs
        for mean in self.means.values():
            mean.momentum = self.config.running_mean.resolve(*self.length).value

    def _momentum(self) -> float:
        return next(iter(self.means.values())).momentum

    def _write_loss(self) -> None:
        """Write loss.yaml: the loss, with the momentum that is in use. The first rank does."""
        if RANK not in {-1, 0}:
            return
        running_mean = self.config.running_mean.model_copy(update={"momentum": self._momentum()})
        resolved = self.config.model_copy(update={"running_mean": running_mean})
        write_whole(self.save_dir / "loss.yaml", resolved.to_yaml())

    def _columns(self) -> dict[str, float]:
        """Return our columns of the epoch."""
        balance = {"wiou/cls_weight": self.balance.weight.item()} if self.balance else {}
        columns = {**self.logbook.columns(), **balance}
        if self.resume and self.csv.is_file():  # a stock run's goes on without ours, an older run's without what is new
            columns = {name: value for name, value in columns.items() if name in header(self.csv)}
        return columns

    def _draw(self) -> None:
        """Draw loss_curves.png, and hand it to the loggers as one of Ultralytics' own plots."""
        if picture := draw(self.save_dir):
            self.on_plot(picture)

    def _box_and_cls(self) -> tuple[Tensor, Tensor]:
        """Return the batch's localisation loss (box and distance term) and classification loss, with their gains."""
        items = self.loss_items
        if not isinstance(items, dict):  # before 8.4.104; before 8.3.218 the first rank alone knows the names
            known = len(self.loss_names) == len(items)
            names = self.loss_names if known else ("box_loss", *[""] * (len(items) - 3), "cls_loss", "dfl_loss")
            items = dict(zip(names, items, strict=True))
        box = sum(items[name] for name in ("box_loss", "dfl_loss", "l1_loss") if name in items)
        return torch.as_tensor(box), items["cls_loss"]

    def build_dataset(self, *args: Any, **kwargs: Any) -> Any:
        """Read a split; what Ultralytics finds wrong in it, once it has read all of it, is the user's mistake."""
        with users_mistakes(AssertionError, OSError, RuntimeError, ValueError):
            return super().build_dataset(*args, **kwargs)

    def get_validator(self) -> Any:
        """Return the stock validator, which takes stock arguments only."""
        with self._stock_args():
            return super().get_validator()

    def validate(self) -> Any:
        """Validate; the EMA's criterion reads the training's running means."""
        if self.ema and self.heads:
            self._share_heads(self.ema.ema)
        return super().validate()

    def save_model(self) -> Any:
        """Save a checkpoint of stock classes, with the state beside them as a plain dict."""
        model = unwrap(self.ema.ema)
        model.criterion = None  # releases before 8.4.95 pickle it
        write_state(model, self.config, self.heads, self.balance, bool(self.audit))
        with self._stock_args():
            return super().save_model()

    def final_eval(self) -> None:
        """Finish the checkpoints; what the run remembers of single labels is not for who gets the weights."""
        super().final_eval()
        if self.wants_labels and RANK in {-1, 0}:
            for file in (self.last, self.best):
                if file.exists():
                    forget_memory(file)

    def _load_checkpoint_state(self, ckpt: dict[str, Any]) -> None:
        """Go back to a checkpoint, after NaN or to resume: the running means go back with the weights."""
        super()._load_checkpoint_state(ckpt)
        state = read_state(ckpt)
        if state:
            restore_state(state, self.heads, self.balance)

    @contextlib.contextmanager
    def _stock_args(self) -> Iterator[None]:
        """Take our arguments out of `args` for the time of a stock call."""
        own = {key: self.args.__dict__.pop(key) for key in OWN_KEYS if key in self.args.__dict__}
        try:
            yield
        finally:
            self.args.__dict__.update(own)


def same_loss(requested: LossConfig, stored: LossConfig, state: Mapping[str, Any] | None) -> bool:
    """Return whether a loss is that of the run to resume.

    Its name does not count, nor whether its momentum is written as "auto" or as the number that the run resolved it to:
    the run's own loss.yaml has to be taken.

    Args:
        requested: the loss that the user asks for.
        stored: the run's loss.
        state: the checkpoint's state, which has the resolved momentum; None of a stock run.
    """
    heads = state["heads"] if state else {}
    momenta = {stored.running_mean.momentum, *(mean["momentum"] for mean in heads.values())}
    if requested.running_mean.momentum not in momenta:
        return False
    running_mean = stored.running_mean.model_copy(update={"momentum": requested.running_mean.momentum})
    return requested == stored.model_copy(update={"name": requested.name, "running_mean": running_mean})
