"""What a study found: report.json, typed. Every AP in [0, 1], every time in seconds, None for what is unknown."""

import math
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from yolo_wiou.compare.provenance import Provenance
from yolo_wiou.compare.run import Stored

Interval: TypeAlias = tuple[float, float]
Verdict: TypeAlias = Literal[
    "better", "worse", "no detectable difference", "nothing compared", "too few seeds", "not finished"
]


def _finite(value: Any) -> Any:
    """A number that is none, or has no end, is unknown."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


Known = Annotated[float | None, BeforeValidator(_finite)]


class Found(Stored):
    """A part of report.json; what was not found is left out of it."""

    def plain(self) -> dict[str, Any]:
        """Return what the file holds."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class Spread(Found):
    """Mean and standard deviation over the seeds of which something is known, and how many these are."""

    mean: Known
    sd: Known
    n: int


class Band(Found):
    """Mean, lowest and highest over the seeds, epoch by epoch."""

    mean: tuple[Known, ...]
    low: tuple[Known, ...]
    high: tuple[Known, ...]


class Difference(Found):
    """Differences to the baseline, one per seed; their mean and its sign-flip interval."""

    differences: tuple[Known, ...]
    mean: Known
    interval: Interval | None


class Metrics(Found):
    """AP of one checkpoint, of the last epoch or the best; unknown where no object has that size, or is of that class.

    At most 100 detections per image and class count, as COCO has it; all of them where an image holds more than 100
    objects of the class.

    Attributes:
        AP: over IoU 0.50 to 0.95; AP50 to AP90 at one IoU, AP_small to AP_large by COCO's sizes.
        by_threshold: AP at IoU "0.50" to "0.95".
        by_class: AP by class name, "ID: NAME" where two classes have one name.
    """

    AP: Known
    AP50: Known
    AP75: Known
    AP80: Known
    AP90: Known
    AP_small: Known
    AP_medium: Known
    AP_large: Known
    by_threshold: dict[str, Known]
    by_class: dict[str, Known]


METRICS = tuple(name for name in Metrics.model_fields if name.startswith("AP"))


class Exploratory(Found):
    """Differences of everything that no verdict rests on."""

    metrics: dict[str, Difference] = Field(alias="figures")
    by_threshold: dict[str, Difference]
    by_class: dict[str, Difference]


class ImageChoice(Found):
    """An image that two losses see differently.

    Attributes:
        image: its number in the ground truth.
        seed: whose detections show it.
        mean: difference of quality over the seeds.
        quality: of the baseline and of the loss, under that seed.
    """

    image: int
    seed: int
    mean: float
    quality: tuple[Known, Known]


class PairedTest(Difference):
    """What the differences of the metric that is judged say.

    Attributes:
        p: of the sign-flip test, uncorrected.
        sd: standard deviation of the differences.
        detectable: smallest true difference that so many seeds find.
    """

    p: float | None
    sd: Known
    detectable: Known


class Comparison(PairedTest):
    """One loss against the baseline, on one data set.

    Attributes:
        loss: its name.
        seeds: both were trained with.
        pairs: AP of the baseline and of the loss, by seed.
        seeds_needed: that a verdict takes.
        seeds_waiting: that are still to come.
        bca: bootstrap interval of the mean.
        student: Student's interval of the mean.
        seeds_and_images: interval for other seeds and other images.
        seeds_for: how many seeds each of the study's `sizes` takes; None where 1000 are too few.
        exploratory: all that was not fixed beforehand.
        images: those that the two see most differently.
        identical: seeds under which the two detect the very same.
        nothing: why the pairs compare nothing, where no AP differs at all; there is no interval and no p then.
        pull: the gradient ratio by the baseline's; None where the runs did not write it down.
        control: the same loss against the baseline made as heavy as it is, where such a control was trained.
        p_holm: p corrected for all losses of the study.
        verdict: in words.
        sentence: the verdict for a reader who is no statistician.
    """

    loss: str
    seeds: tuple[int, ...]
    pairs: tuple[tuple[Known, Known], ...]
    seeds_needed: int
    seeds_waiting: tuple[int, ...]
    bca: Interval | None = None
    student: Interval | None = None
    seeds_and_images: Interval | None = None
    seeds_for: tuple[int | None, ...] = ()
    exploratory: Exploratory | None = None
    images: tuple[ImageChoice, ...] = Field(default=(), alias="pictures")
    pull: float | None = None
    control: "ControlFindings | None" = None
    identical: tuple[int, ...] = ()
    nothing: str = ""
    p_holm: float | None = None
    verdict: Verdict = "not finished"
    sentence: str = ""


class ControlFindings(Found):
    """A loss against its control, the baseline with a constant gain.

    Attributes:
        name: of the control's runs.
        weight: the constant gain: the loss's own gradient ratio.
        comparison: of the two; its Holm's correction counts all losses that have a control, and nothing else.
    """

    name: str
    weight: float
    comparison: Comparison


Comparison.model_rebuild()  # classes derived from it elsewhere do not know the name


class LossSummary(Found):
    """The finished runs of one loss on one data set."""

    seeds: tuple[int, ...]
    metrics: dict[str, dict[str, Spread]] = Field(alias="figures")
    by_threshold: dict[str, Spread]
    seconds: Spread
    epochs_to_near: Spread
    iou: Spread
    gain: Spread
    gradient_ratio: Spread | None = None
    curves: dict[str, Band]


class RunReport(Found):
    """One run, finished or not."""

    data: str
    loss: str
    seed: int
    state: str
    failure: str = ""
    seconds: float | None = None
    epochs: int | None = None
    epochs_to_near: int | None = None
    iou: Known = None
    gain: Known = None
    metrics: dict[str, Metrics] = Field(default={}, alias="figures")


class Fingerprint(Found):
    """Checksums of the ground truth, and of the baseline's training data by seed."""

    truth: tuple[str, ...]
    stream: dict[int, tuple[int, ...]]


class DataFindings(Found):
    """What was found on one data set.

    Attributes:
        images: that are evaluated on.
        objects: in them.
        is_rotated: whether their boxes are rotated, and the IoU is that of rotated boxes.
        crowd: most objects of one class in an image, where they are more than 100.
        fingerprint: of the data.
        near: AP near the baseline's final one, to which epochs are counted.
        warnings: what to know before trusting it.
        comparisons: every loss against the baseline.
        losses: every loss by itself.
        runs: every run.
    """

    images: int
    objects: int
    is_rotated: bool = False
    crowd: int | None = None
    fingerprint: Fingerprint
    near: Known
    warnings: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    losses: dict[str, LossSummary]
    runs: tuple[RunReport, ...]


class Origin(Provenance):
    """Where it all comes from; `of` says whose machine and versions these are, the runs' or the analysis's."""

    command: str
    arguments: dict[str, Any]
    of: str
    seconds: float


class Findings(Found):
    """All of report.json.

    Attributes:
        baseline: the loss that the others are compared with.
        losses: all of them, the baseline first.
        primary: the metric that verdicts rest on.
        quoted: the checkpoint that verdicts rest on.
        alpha: 1 minus the confidence.
        power: with which a detectable difference is found.
        draws: redraws of the images.
        sizes: true differences for which the needed seeds are told.
        data: what was found, by data set.
        states: how many runs are finished, failed and waiting.
        provenance: where it comes from.
    """

    baseline: str
    losses: tuple[str, ...]
    primary: str
    quoted: str
    alpha: float
    power: float
    draws: int
    sizes: tuple[float, ...]
    data: dict[str, DataFindings]
    states: dict[str, int]
    provenance: Origin
