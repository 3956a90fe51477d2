"""A study's metrics, tests and verdicts, from what its runs left.

Fixed beforehand, so that no choice follows the results: the verdict rests on AP alone (IoU 0.50 to 0.95), of the last
epoch, since the best epoch on the validation set favours the loss whose curve is noisier; Holm's correction counts all
losses of the study, for each data set by itself. Whether a loss is better than the baseline made as heavy as it is asks
something else, of its own family: the losses that have such a control. Everything else is exploratory.
"""

import math
import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from yolo_wiou.compare.comparison import SIZES, compare_losses
from yolo_wiou.compare.control import Control, read_controls
from yolo_wiou.compare.evaluation import COCO_LIMIT, DRAWS, QUOTED, EvaluatedRun, evaluate_run, largest_crowd
from yolo_wiou.compare.findings import (
    METRICS,
    Comparison,
    ControlFindings,
    DataFindings,
    Findings,
    Fingerprint,
    LossSummary,
    Origin,
    RunReport,
)
from yolo_wiou.compare.identity import NOTHING
from yolo_wiou.compare.pairing import left_out, pairing_warnings, read_first_batches
from yolo_wiou.compare.provenance import provenance
from yolo_wiou.compare.report.text import count, finding, heavy, sentence
from yolo_wiou.compare.run import AP_COLUMN, GAIN_COLUMN, IOU_COLUMN, Record
from yolo_wiou.compare.second_opinion import far_from_ultralytics
from yolo_wiou.compare.statistics import ALPHA, POWER, band, spread
from yolo_wiou.errors import ConfigError

PRIMARY = "AP"
NEAR = 0.9
"""Share of the baseline's final AP whose epoch is told."""


def analyse(
    records: Sequence[Record], folder: Path, baseline: str | None = None, arguments: Mapping[str, Any] | None = None
) -> Findings:
    """Analyse a study, finished or not; writes nothing.

    Args:
        records: its runs, also those that are still to come.
        folder: of the study.
        baseline: the loss that the others are compared with; CIoU, or else the first.
        arguments: of the trainings; by default the first run's.

    Raises:
        ConfigError: there are no runs, or none of such a baseline.
    """
    if not records:
        raise ConfigError(f"no runs of a study in {folder}: it should hold study.json or runs/<data>/<loss>/seed<k>.")
    controls = read_controls(folder)
    not_asked = {control.name for control in controls}
    names = [name for name in dict.fromkeys(record.run.loss for record in records) if name not in not_asked]
    baseline = baseline or ("ciou" if "ciou" in names else names[0])
    if baseline not in names:
        raise ConfigError(f"no loss {baseline!r} in this study; it has {', '.join(names)}.")
    losses = [baseline, *(name for name in names if name != baseline)]
    by_data = {
        data: [record for record in records if record.run.data == data]
        for data in dict.fromkeys(record.run.data for record in records)
    }
    beside = {data: {control.loss: control for control in controls if control.data == data} for data in by_data}
    unused = left_out(read_first_batches(folder), folder)
    warnings = {data: [*pairing_warnings(runs), *unused.get(data, [])] for data, runs in by_data.items()}
    origin = _origin(records, arguments or records[0].run.arguments)
    return Findings(
        baseline=baseline,
        losses=losses,
        primary=PRIMARY,
        quoted=QUOTED,
        alpha=ALPHA,
        power=POWER,
        draws=DRAWS,
        sizes=SIZES,
        data={name: _DataSet(losses, runs, beside[name]).analyse(warnings[name]) for name, runs in by_data.items()},
        states={state: sum(record.state == state for record in records) for state in ("finished", "failed", "waiting")},
        provenance=origin,
    )


def _origin(records: Sequence[Record], arguments: Mapping[str, Any]) -> Origin:
    """Say where all runs come from, by the first that has written it down."""
    results = [record.result for record in records if record.result]
    of_runs = next((result.provenance for result in results if result.provenance), None)
    return Origin(
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        arguments=arguments,
        of="the runs" if of_runs else "the analysis",
        **dict(of_runs or provenance()),
        seconds=sum(result.seconds for result in results),
    )


class _DataSet:
    """The runs of one data set."""

    def __init__(self, losses: Sequence[str], records: Sequence[Record], controls: Mapping[str, Control]) -> None:
        present = {record.run.loss for record in records}
        self.baseline, self.records = losses[0], records
        self.rivals = [loss for loss in losses[1:] if loss in present]
        self.controls = {loss: control for loss, control in controls.items() if control.name in present}
        self.fingerprints = {record.fingerprint for record in records if record.result}
        alike = len(self.fingerprints) == 1
        evaluated = [evaluate_run(record, record.result, alike) for record in records if record.result]
        self.runs = {(run.record.run.loss, run.record.run.seed): run for run in evaluated}
        self.truth = next((run.record.truth for run in evaluated), None)
        self.is_rotated = any("angle" in annotation for annotation in (self.truth["annotations"] if self.truth else ()))
        final = [ap for run in self._of(self.baseline) if math.isfinite(ap := run.record.at_last(AP_COLUMN))]
        self.near = NEAR * (sum(final) / len(final)) if final else math.nan

    def _of(self, loss: str) -> list[EvaluatedRun]:
        """Finished runs of a loss, by seed."""
        return [self.runs[key] for key in sorted(self.runs) if key[0] == loss]

    def analyse(self, warnings: Sequence[str]) -> DataFindings:
        """Compare every loss with the baseline; `warnings` say where runs are no pairs."""
        comparisons = compare_losses(dict.fromkeys(self.rivals, self.baseline), self.records, self.runs)
        by_control = {loss: control.name for loss, control in self.controls.items()}
        controlled = {c.loss: c for c in compare_losses(by_control, self.records, self.runs)}
        truth = self.truth
        crowd = largest_crowd(truth["annotations"]) if truth else 0
        names = self.baseline, *self.rivals, *by_control.values()
        losses = {loss: self._summary(loss) for loss in names if self._of(loss)}
        return DataFindings(
            images=len(truth["images"]) if truth else 0,
            objects=len(truth["annotations"]) if truth else 0,
            **({"is_rotated": True} if self.is_rotated else {}),
            **({"crowd": crowd} if crowd > COCO_LIMIT else {}),
            fingerprint=Fingerprint(
                truth=sorted(self.fingerprints),
                stream={run.record.run.seed: run.result.stream[-1:] for run in self._of(self.baseline)},
            ),
            near=self.near,
            warnings=[*warnings, *self._warnings(), *self._empty_pairs(comparisons)],
            comparisons=[
                self._with_sentence(self._with_control(comparison, controlled), losses, len(comparisons))
                for comparison in comparisons
            ],
            losses=losses,
            runs=[self._report(record) for record in self.records],
        )

    def _with_control(self, comparison: Comparison, controlled: Mapping[str, Comparison]) -> Comparison:
        """Add what came out against the loss's control, where it has one."""
        if not (against := controlled.get(comparison.loss)):
            return comparison
        control = self.controls[comparison.loss]
        against = against.model_copy(
            update={"sentence": finding(against, heavy(self.baseline, control.weight), len(controlled))}
        )
        found = ControlFindings(name=control.name, weight=control.weight, comparison=against)
        return comparison.model_copy(update={"control": found})

    def _with_sentence(self, comparison: Comparison, losses: Mapping[str, LossSummary], comparisons: int) -> Comparison:
        """Add how hard the two box terms pull, where it is known, and the sentence."""
        both = [losses[name].gradient_ratio for name in (self.baseline, comparison.loss) if name in losses]
        base, own = both if len(both) == 2 else (None, None)
        if base and own and base.mean and own.mean:
            comparison = comparison.model_copy(update={"pull": own.mean / base.mean})
        return comparison.model_copy(update={"sentence": sentence(comparison, self.baseline, comparisons)})

    def _warnings(self) -> list[str]:
        """Say which runs no verdict rests on, and whether there is anything to compare."""
        failed = [f"{r.run.loss} seed {r.run.seed}" for r in self.records if r.state == "failed"]
        said = [f"Judged without {', '.join(failed)}, which failed."] if failed else []
        unknown = [f"{loss} seed {seed}" for (loss, seed), run in sorted(self.runs.items()) if run.quoted.AP is None]
        if unknown:
            said.append(f"No AP is known of {', '.join(unknown)}: is there an object in the images that judge?")
        limit = self.records[0].run.arguments.get("max_det")
        fullest = Counter(a["image_id"] for a in self.truth["annotations"]).most_common(1) if self.truth else []
        if limit and fullest and limit < fullest[0][1]:
            said.append(
                f"max_det={limit} keeps fewer detections of an image than the {fullest[0][1]} objects that one holds, "
                "so that AP cannot reach 100."
            )
        known = [run.quoted.AP for run in self.runs.values() if run.quoted.AP is not None]
        if known and max(known) < NOTHING:
            said.append("No loss detects anything yet, AP is 0 for all: train longer, or start from trained weights.")
        far = [] if self.is_rotated else far_from_ultralytics(self.runs.values())  # which is by ProbIoU, far from IoU
        return [*said, *far]

    def _empty_pairs(self, comparisons: Sequence[Comparison]) -> list[str]:
        """Say which pairs are one run twice, where others are not."""
        return [
            f"{c.loss} and {self.baseline} detect exactly the same under {count(len(c.identical), 'seed')} "
            f"({', '.join(map(str, c.identical))}): nothing was compared there."
            for c in comparisons
            if c.identical and not c.nothing
        ]

    def _report(self, record: Record) -> RunReport:
        """Return one run, for report.json and runs.csv."""
        key = {"data": record.run.data, "loss": record.run.loss, "seed": record.run.seed, "state": record.state}
        if not (run := self.runs.get((record.run.loss, record.run.seed))):
            return RunReport(**key, **({"failure": record.failure} if record.failure else {}))
        return RunReport(
            **key,
            seconds=run.result.seconds,
            epochs=run.result.epochs,
            epochs_to_near=self._epochs_to_near(record),
            iou=record.at_last(IOU_COLUMN),
            gain=record.at_last(GAIN_COLUMN),
            metrics=run.metrics,
        )

    def _epochs_to_near(self, record: Record) -> int | None:
        """Epochs until the validation's AP is near the baseline's final one; None where it never is."""
        return next((n for n, ap in enumerate(record.ap_by_epoch, 1) if ap >= self.near > 0), None)

    def _summary(self, loss: str) -> LossSummary:
        """Return mean and spread over the seeds of one loss, and its curves."""
        runs = self._of(loss)
        records = [run.record for run in runs]
        ratio = spread(record.gradient_ratio for record in records)
        return LossSummary(
            **({"gradient_ratio": ratio} if ratio.n else {}),
            seeds=[record.run.seed for record in records],
            metrics={
                checkpoint: {name: spread(getattr(run.metrics[checkpoint], name) for run in runs) for name in METRICS}
                for checkpoint in records[0].run.checkpoints
            },
            by_threshold={
                threshold: spread(run.quoted.by_threshold[threshold] for run in runs)
                for threshold in runs[0].quoted.by_threshold
            },
            seconds=spread(run.result.seconds for run in runs),
            epochs_to_near=spread(map(self._epochs_to_near, records)),
            iou=spread(record.at_last(IOU_COLUMN) for record in records),
            gain=spread(record.at_last(GAIN_COLUMN) for record in records),
            curves={
                "AP": band(record.ap_by_epoch for record in records),
                "iou": band(record.history.get(IOU_COLUMN, []) for record in records),
            },
        )
