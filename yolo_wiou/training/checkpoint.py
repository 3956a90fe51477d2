"""The loss's state in checkpoints: a plain dict on the EMA module, which stock Ultralytics carries and never reads.

Not in the state dict, which a stock model would then refuse; not in the training arguments, which older releases
filter; not as an object of ours, which a machine without this package could not unpickle.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from ultralytics.utils import LOGGER

from yolo_wiou.errors import ConfigError
from yolo_wiou.files import draft_of
from yolo_wiou.losses import LossConfig
from yolo_wiou.losses.memory import LabelMemory
from yolo_wiou.training.criterion import BoxHead
from yolo_wiou.training.task_balance import ALWA
from yolo_wiou.training.weights import load_checkpoint, model_of
from yolo_wiou.version import __version__

ATTRIBUTE = "yolo_wiou"
VERSION = 1


def write_state(
    ema: nn.Module, config: LossConfig, heads: Mapping[str, BoxHead], balance: ALWA | None, audit: bool = False
) -> None:
    """Put the loss, its state, the task balance and `audit` on the module that the checkpoint pickles."""
    means = {path: head.box_loss.running_mean.export_state() for path, head in heads.items()}
    state = {"version": VERSION, "loss": config.model_dump(mode="json"), "heads": means}
    if balance:
        state["task_balance"] = balance.export_state()
    if memories := memories_of(heads):
        state["memory"] = {path: memory.export_state() for path, memory in memories.items()}
    if audit:
        state["audit"] = True
    for module in (ema, getattr(ema, "student_model", None)):  # a distilled run ends with the student alone
        if module is not None:
            setattr(module, ATTRIBUTE, state)


def read_state(ckpt: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what `write_state` put into a loaded checkpoint, or None where a stock trainer wrote it.

    Raises:
        ConfigError: a later release wrote it, in a form that this one does not know.
    """
    state: dict[str, Any] | None = getattr(model_of(ckpt), ATTRIBUTE, None)
    if state and state["version"] > VERSION:
        raise ConfigError(
            f"the checkpoint's loss state is of version {state['version']}, and this yolo-wiou {__version__} reads up "
            f"to {VERSION}. Resume it with the release that trained it: pip install -U yolo-wiou."
        )
    return state


def restore_state(state: Mapping[str, Any], heads: Mapping[str, BoxHead], balance: ALWA | None) -> None:
    """Continue from a checkpoint's state; a head that is not in it starts afresh, with a warning that names it."""
    for path, head in heads.items():
        if path in state["heads"]:
            head.box_loss.running_mean.import_state(state["heads"][path])
        else:
            LOGGER.warning(f"yolo-wiou: the checkpoint has no running mean of head '{path}'; it starts at 1.")
    if balance and "task_balance" in state:
        balance.import_state(state["task_balance"])
    for path, memory in memories_of(heads).items():
        if not memory.import_state(state.get("memory", {}).get(path)):
            LOGGER.warning("yolo-wiou: the checkpoint has no memory of these labels; it starts afresh.")


def forget_memory(file: Path) -> None:
    """Take the memory of the labels, which a resumed run alone needs, out of the weights of a run that is over."""
    ckpt = load_checkpoint(file)
    state = read_state(ckpt) or {}
    if state.pop("memory", None):
        with draft_of(file) as draft:
            torch.save(ckpt, draft)


def memories_of(heads: Mapping[str, BoxHead]) -> dict[str, LabelMemory]:
    """Return the memory of every head that has one."""
    memories = {path: head.box_loss.memory for path, head in heads.items()}
    return {path: memory for path, memory in memories.items() if memory is not None}
