"""Controls: the baseline with a constant gain, as heavy as a loss and of no other shape, to tell shape from weight."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from yolo_wiou.compare.run import DAMAGED, RUNS, Record, Run, Spec, Stored
from yolo_wiou.errors import ConfigError
from yolo_wiou.files import read_json, write_json
from yolo_wiou.losses import LossConfig, load_config
from yolo_wiou.losses.gain import MAX_GAIN

CONTROLS = "controls.json"
"""Below a study's folder: what controls it has; a weight stays what it was when it was first known."""
ALIKE = 0.9, 1.1
"""Gradient ratios between which a loss is about as heavy as the baseline."""


class Control(Stored):
    """What stands beside a loss on one data set.

    Attributes:
        name: of its runs.
        data: the data set.
        loss: the loss that it is as heavy as.
        weight: its constant gain: the gradient ratio of the loss, mean over its runs.
        spec: the control itself, as `loss=` takes it.
    """

    name: str
    data: str
    loss: str
    weight: float = Field(gt=0)
    spec: Spec

    def beside(self, run: Run) -> Run:
        """Return its run beside one of the loss."""
        return run.model_copy(update={"loss": self.name, "spec": self.spec})


@dataclass(frozen=True)
class ControlPlan:
    """Which losses are to have a control.

    Attributes:
        carrier: the baseline's formula, which a constant gain goes on.
        always: also beside losses that are about as heavy as the baseline.
    """

    carrier: LossConfig
    always: bool = False


def carrier_of(baseline: LossConfig, takes: Callable[[LossConfig], bool]) -> LossConfig | None:
    """Return the formula of a baseline for a constant gain to go on; None where it has a gain of its own.

    Args:
        baseline: whose runs are compared with.
        takes: whether a loss has a meaning for the study's task; rotated boxes have the stock loss, but no CIoU.
    """
    if baseline.gain.name not in {"none", "constant"}:
        return None
    weighted = load_config(baseline, {"gain.name": "constant"})
    return weighted if takes(weighted) else load_config(weighted, {"penalty.name": "none"})


def decide(runs: Sequence[Run], folder: Path, plan: ControlPlan) -> list[Control]:
    """Give every loss whose finished runs tell how heavy it is, and that has none yet, the control that it needs.

    Args:
        runs: the study's own, the baseline's first.
        folder: of the study, whose controls.json holds the new ones afterwards.
        plan: which losses are to have one.

    Returns:
        The new ones.
    """
    known = read_controls(folder)
    have = {(control.data, control.loss) for control in known}
    baseline = runs[0].loss
    by_loss = {(run.data, run.loss): run for run in runs}
    ratios = {key: ratio_of(runs, folder, *key) for key in by_loss}
    new = []
    for (data, loss), run in by_loss.items():
        own, base = ratios[data, loss], ratios[data, baseline]
        is_known = 0 < own <= MAX_GAIN and base > 0  # NaN is neither
        if loss == baseline or (data, loss) in have or not is_known:
            continue
        dfl = run.config.gain.dfl if run.config else False  # the same terms are heavier
        config = load_config(plan.carrier, {"gain.weight": round(own, 3), "gain.dfl": dfl})
        is_heavy = not ALIKE[0] <= own / base <= ALIKE[1]
        if (is_heavy or plan.always) and not is_a_control(run.config, config):
            name = f"{baseline} as heavy as {loss}"
            new.append(Control(name=name, data=data, loss=loss, weight=round(own, 3), spec=config))
    if new:
        write_json(folder / CONTROLS, {"controls": [control.plain() for control in (*known, *new)]})
    return new


def is_a_control(loss: LossConfig | None, control: LossConfig) -> bool:
    """Whether a loss is one itself, put there by the user."""
    if loss is None or loss.gain.name != control.gain.name:
        return False
    return loss.model_copy(update={"gain": control.gain}).differs_in_name_alone(control)


def ratio_of(runs: Iterable[Run], folder: Path, data: str, loss: str) -> float:
    """Return the gradient ratio of a loss on a data set, mean over its finished runs; NaN where none tells it."""
    of_loss = (Record(run, run.folder(folder)) for run in runs if (run.data, run.loss) == (data, loss))
    ratios = [record.gradient_ratio for record in of_loss if record.result]
    known = [ratio for ratio in ratios if math.isfinite(ratio)]
    return sum(known) / len(known) if known else math.nan


def read_controls(folder: Path) -> list[Control]:
    """Return the controls of a study.

    Raises:
        ConfigError: the file that knows them is damaged; without it their runs would count as losses.
    """
    if not (file := folder / CONTROLS).is_file():
        return []
    try:
        return [Control.model_validate(control) for control in read_json(file)["controls"]]
    except DAMAGED as error:
        raise ConfigError(
            f"'{file}' is damaged. Remove it and the runs of controls, {folder / RUNS}/*/*_as_heavy_as_*, and the same "
            "command trains them again."
        ) from error


def control_runs(runs: Iterable[Run], controls: Iterable[Control]) -> list[Run]:
    """Return the controls' runs, one beside each of the losses' own."""
    by_loss = {(control.data, control.loss): control for control in controls}
    return [by_loss[run.data, run.loss].beside(run) for run in runs if (run.data, run.loss) in by_loss]
