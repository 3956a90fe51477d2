"""A study's figures, tests and verdicts, from what its runs left: report.json.

Fixed beforehand, so that no choice follows the figures: the verdict rests on AP alone (IoU 0.50 to 0.95), of the last
epoch, since the best epoch on the validation set favours the loss whose curve is noisier; Holm's correction counts all
losses of the study, for each data set by itself. Everything else is exploratory.
"""

from __future__ import annotations

import math
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np

from yolo_wiou.storage import STUDY
from yolo_wiou.studies.compare import statistics as st
from yolo_wiou.studies.compare.fairness import warnings_of
from yolo_wiou.studies.compare.matches import average_precision, match, quality, redraw
from yolo_wiou.studies.compare.measure import FIGURES, evaluate, figures
from yolo_wiou.studies.compare.plan import Study
from yolo_wiou.studies.compare.proof import left_out
from yolo_wiou.studies.compare.provenance import provenance
from yolo_wiou.studies.compare.records import AP_COLUMN, GAIN_COLUMN, IOU_COLUMN, Record, read
from yolo_wiou.studies.compare.summaries import band, column, difference, judge_together, mean, spread, tested
from yolo_wiou.studies.compare.words import sentence

PRIMARY, QUOTED = "AP", "last"
STATES = ("finished", "failed", "waiting")
DRAWS = 1000
NEAR = 0.9
"""Share of the baseline's final AP whose epoch is told."""

SIZES = (0.0025, 0.005, 0.01, 0.02)
"""True differences of AP for which the report tells how many seeds they need."""

SHOWN = 2
"""Images shown of each kind, those that a loss sees better and those that it sees worse."""


def analyse(folder: Path, baseline: str | None = None) -> dict[str, Any]:
    """Analyse a study, finished or not; writes nothing.

    Args:
        folder: of the study.
        baseline: the loss that the others are compared with, where it is not the plan's own.

    Returns:
        What report.json holds: every AP in [0, 1], every time in seconds, None for what is unknown.

    Raises:
        ConfigError: the folder holds no study, or the study has no such baseline.
    """
    losses, records = read(folder, baseline)
    names = dict.fromkeys(record.run.data for record in records)
    by_data = {name: [record for record in records if record.run.data == name] for name in names}
    study = Study.load(folder) if (folder / STUDY).is_file() else None
    unused = left_out(folder)
    own = next((record.provenance for record in records if record.provenance), None)
    analysis = {
        "baseline": losses[0],
        "losses": losses,
        "primary": PRIMARY,
        "quoted": QUOTED,
        "alpha": st.ALPHA,
        "power": st.POWER,
        "draws": DRAWS,
        "sizes": SIZES,
        "data": {name: _DataSet(losses, runs, unused.get(name, [])).analyse() for name, runs in by_data.items()},
        "states": {state: sum(record.state == state for record in records) for state in STATES},
        "provenance": {
            "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            "arguments": study.arguments if study else records[0].run.arguments,
            "of": "the runs" if own else "the analysis",
            **(own or provenance()),
            "seconds": sum(record.result.get("seconds", 0.0) for record in records),
        },
    }
    return dict(_clean(analysis))


def _clean(value: Any) -> Any:
    """Make plain Python of it, as JSON has it: None for what is no finite number."""
    if isinstance(value, dict):
        return {str(key): _clean(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


class _DataSet:
    """The runs of one data set."""

    def __init__(self, losses: list[str], records: list[Record], warnings: list[str]) -> None:
        present = {record.run.loss for record in records}
        self.losses, self.records = [losses[0], *(loss for loss in losses[1:] if loss in present)], records
        self.warnings = warnings
        self.runs = {(record.run.loss, record.run.seed): record for record in records if record.is_finished}
        self.is_same_truth = len({record.fingerprint for record in self.runs.values()}) == 1
        self.figures: dict[tuple[str, int], dict[str, Any]] = {}
        self.redrawn: dict[tuple[str, int], Any] = {}
        self.quality: dict[tuple[str, int], Any] = {}
        self.near = NEAR * mean(record.at_last(AP_COLUMN) for record in self._of(losses[0]))

    def _of(self, loss: str) -> list[Record]:
        """Finished runs of a loss, by seed."""
        return [record for (name, _), record in sorted(self.runs.items()) if name == loss]

    def analyse(self) -> dict[str, Any]:
        """Measure every finished run, compare every loss with the baseline."""
        for key, record in self.runs.items():
            self._measure(key, record)
        comparisons = [self._compare(loss) for loss in self.losses[1:]]
        judge_together(comparisons)
        for one in comparisons:
            one["sentence"] = sentence(one, self.losses[0], len(comparisons))
        truth = next(iter(self.runs.values())).truth if self.runs else {"images": [], "annotations": []}
        return {
            "images": len(truth["images"]),
            "objects": len(truth["annotations"]),
            "fingerprint": {
                "truth": sorted({record.fingerprint for record in self.runs.values()}),
                "stream": {record.run.seed: record.result["stream"][-1:] for record in self._of(self.losses[0])},
            },
            "near": self.near,
            "warnings": [
                *warnings_of(self.records),
                *self.warnings,
                *self._failed(),
                *self._unknown(),
                *self._nothing_learnt(),
            ],
            "comparisons": comparisons,
            "losses": {loss: self._summary(loss) for loss in self.losses if self._of(loss)},
            "runs": [self._run(record) for record in self.records],
        }

    def _is_known(self, loss: str, seed: int) -> bool:
        """Whether a run has the figure that the verdict rests on."""
        return math.isfinite(self.figures.get((loss, seed), {}).get(QUOTED, {}).get(PRIMARY, math.nan))

    def _failed(self) -> list[str]:
        """Name the runs that are missing in the verdict because they failed, as a loss that diverges does."""
        runs = [f"{record.run.loss} seed {record.run.seed}" for record in self.records if record.state == "failed"]
        return [f"Judged without {', '.join(runs)}, which failed."] if runs else []

    def _unknown(self) -> list[str]:
        """Name the finished runs that no verdict can rest on."""
        runs = [f"{loss} seed {seed}" for loss, seed in sorted(self.runs) if not self._is_known(loss, seed)]
        return [f"No AP is known of {', '.join(runs)}: is there an object in the images that judge?"] if runs else []

    def _nothing_learnt(self) -> list[str]:
        """Say so where no run detects anything: there is nothing to compare then."""
        found = [self.figures[run][QUOTED][PRIMARY] for run in self.runs if self._is_known(*run)]
        if not found or max(found) >= 0.001:
            return []
        return ["No loss detects anything yet, AP is 0 for all: train longer, or start from trained weights."]

    def _measure(self, key: tuple[str, int], record: Record) -> None:
        self.figures[key] = {}
        for checkpoint in record.run.checkpoints:
            evaluation = evaluate(record.folder, checkpoint)
            self.figures[key][checkpoint] = figures(evaluation)
            if checkpoint == QUOTED and self.is_same_truth:
                classes = match(evaluation)
                images = len(classes[0].objects)
                self.redrawn[key] = average_precision(classes, redraw(images, DRAWS)).mean(1)
                self.quality[key] = quality(classes)

    def _run(self, record: Record) -> dict[str, Any]:
        """One run, for report.json and runs.csv."""
        key = (record.run.loss, record.run.seed)
        told: dict[str, Any] = {"data": record.run.data, "loss": key[0], "seed": key[1], "state": record.state}
        if record.failure:
            told["failure"] = record.failure
        if key in self.figures:
            told |= {"seconds": record.result["seconds"], "epochs": record.result["epochs"]}
            told |= {"epochs_to_near": self._epochs_to_near(record)}
            told |= {"iou": record.at_last(IOU_COLUMN), "gain": record.at_last(GAIN_COLUMN)}
            told["figures"] = self.figures[key]
        return told

    def _epochs_to_near(self, record: Record) -> float:
        """Epochs until the validation's AP is near the baseline's final one; NaN where it never is."""
        values = record.history.get(AP_COLUMN, []) if record.is_validated else []
        return next((epoch for epoch, value in enumerate(values, 1) if value >= self.near > 0), math.nan)

    def _summary(self, loss: str) -> dict[str, Any]:
        """Mean and spread over the seeds of one loss, and its curves."""
        records = self._of(loss)
        measured = [self.figures[loss, record.run.seed] for record in records]
        return {
            "seeds": [record.run.seed for record in records],
            "figures": {
                checkpoint: {name: spread(one[checkpoint][name] for one in measured) for name in FIGURES}
                for checkpoint in records[0].run.checkpoints
            },
            "by_threshold": {
                name: spread(one[QUOTED]["by_threshold"][name] for one in measured)
                for name in measured[0][QUOTED]["by_threshold"]
            },
            "seconds": spread(record.result["seconds"] for record in records),
            "epochs_to_near": spread(self._epochs_to_near(record) for record in records),
            "iou": spread(record.at_last(IOU_COLUMN) for record in records),
            "gain": spread(record.at_last(GAIN_COLUMN) for record in records),
            "curves": {
                "AP": band(record.history.get(AP_COLUMN, []) for record in records if record.is_validated),
                "iou": band(record.history.get(IOU_COLUMN, []) for record in records),
            },
        }

    def _compare(self, loss: str) -> dict[str, Any]:
        """Compare with the baseline, seed by seed."""
        base = self.losses[0]
        planned = sorted({record.run.seed for record in self.records if record.run.loss == loss})
        waiting = {r.run.seed for r in self.records if r.run.loss in (loss, base) and r.state == "waiting"}
        seeds = [seed for seed in planned if self._is_known(base, seed) and self._is_known(loss, seed)]
        pairs = [(self.figures[base, seed][QUOTED], self.figures[loss, seed][QUOTED]) for seed in seeds]
        primary = np.array([other[PRIMARY] - one[PRIMARY] for one, other in pairs])
        comparisons = len(self.losses) - 1
        told: dict[str, Any] = {
            "loss": loss,
            "seeds": seeds,
            "pairs": [[one[PRIMARY], other[PRIMARY]] for one, other in pairs],
            **tested(primary, comparisons),
            "seeds_needed": st.fewest_seeds(comparisons),
            "seeds_waiting": sorted(waiting),
        }
        if not seeds:
            return told
        by_class = pairs[0][0]["by_class"]
        return told | {
            "bca": st.bca_interval(primary),
            "student": st.student_interval(primary),
            "seeds_and_images": self._seeds_and_images(loss, seeds, primary),
            "seeds_for": [st.seeds_for(size / told["sd"], comparisons) if told["sd"] > 0 else None for size in SIZES],
            "exploratory": {
                "figures": {name: difference(column(pairs, name)) for name in FIGURES},
                "by_threshold": {
                    name: difference(column(pairs, "by_threshold", name)) for name in pairs[0][0]["by_threshold"]
                },
                "by_class": {name: difference(column(pairs, "by_class", name)) for name in by_class},
            },
            "pictures": self._pictures(loss, seeds),
        }

    def _seeds_and_images(self, loss: str, seeds: list[int], differences: Any) -> st.Interval | None:
        if not self.is_same_truth:
            return None
        redrawn = np.stack([self.redrawn[loss, seed] - self.redrawn[self.losses[0], seed] for seed in seeds])
        redrawn = redrawn[:, ~np.isnan(redrawn).any(0)]  # a draw without any object tells nothing
        images = len(self.quality[loss, seeds[0]])
        return st.seeds_and_images_interval(differences, redrawn, images) if redrawn.shape[1] > 1 else None

    def _pictures(self, loss: str, seeds: list[int]) -> list[dict[str, Any]]:
        """Choose the images that a loss sees most differently, mean over seeds, each by its most typical seed."""
        if not self.is_same_truth:
            return []
        base = self.losses[0]
        each = np.stack([self.quality[loss, seed] - self.quality[base, seed] for seed in seeds])
        each = np.where(np.isnan(each), 0.0, each)
        mean = each.mean(0)
        order = np.argsort(mean, kind="stable")
        chosen = [int(i) for i in order[::-1][:SHOWN] if mean[i] > 0] + [int(i) for i in order[:SHOWN] if mean[i] < 0]
        pictures = []
        for i in chosen:
            is_alike = each[:, i] * mean[i] > 0  # a seed that shows what is said of all
            seed = seeds[int(np.where(is_alike, np.abs(each[:, i] - mean[i]), np.inf).argmin())]
            both = [float(self.quality[name, seed][i]) for name in (base, loss)]
            pictures.append({"image": i, "seed": seed, "mean": float(mean[i]), "quality": both})
        return pictures
