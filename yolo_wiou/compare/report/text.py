"""Verdicts in words, for the report and for the terminal."""

from collections.abc import Iterator, Sequence

from yolo_wiou.compare.control import ALIKE
from yolo_wiou.compare.findings import Comparison, DataFindings, Findings, Interval

UNKNOWN = "—"
UNEVEN = "AP is the mean of the seeds so far, which are not the same for all losses; ΔAP compares equal seeds."
MANY = 4
"""Undecided losses that have a headline each."""
CONCLUSIONS = {
    ("better", "better"): "So it is more than weight.",
    ("better", "no detectable difference"): "So what it won may be weight.",
    ("better", "worse"): "So what it won is no more than weight.",
    ("worse", "worse"): "So it is more than weight.",
    ("worse", "no detectable difference"): "So what it lost may be weight.",
    ("worse", "better"): "So what it lost is no more than weight.",
}
"""What follows from a loss's verdicts against the baseline and against its control."""


def points(value: float | None, sign: bool = True) -> str:
    """AP in points, hundredths; a dash where it is unknown.

    >>> points(0.0123), points(-0.5, sign=False), points(None)
    ('+1.23', '−50.00', '—')
    """
    if value is None:
        return UNKNOWN
    text = f"{100 * value:{'+' if sign else ''}.2f}"
    return text.replace("-", "−") if float(text) else "0.00"


def interval(bounds: Interval | None) -> str:
    """An interval in points: [−0.41, 2.03]."""
    return f"[{points(bounds[0], False)}, {points(bounds[1], False)}]" if bounds else UNKNOWN


def p_value(p: float | None) -> str:
    """A p value with two digits: 0.03."""
    return UNKNOWN if p is None else "< 0.001" if p < 0.001 else f"{p:.2g}"


def duration(seconds: float | None) -> str:
    """Return a time as people say it.

    >>> duration(42), duration(366), duration(43_200)
    ('42 s', '6.1 min', '12 h')
    """
    if seconds is None:
        return UNKNOWN
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}" if seconds < 10 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def count(number: int, singular: str, plural: str = "") -> str:
    """Return a number of things.

    >>> count(1, "run"), count(2, "loss", "losses")
    ('1 run', '2 losses')
    """
    return f"{number} {singular if number == 1 else plural or f'{singular}s'}"


def sentence(comparison: Comparison, baseline: str, comparisons: int) -> str:
    """Say what a comparison found, for a reader who is no statistician."""
    return " ".join(filter(None, (finding(comparison, baseline, comparisons), weight(comparison, baseline))))


def weight(comparison: Comparison, baseline: str) -> str:
    """Say whether weight may be what was found: by the loss's control, or by how hard its gain makes it pull."""
    if control := comparison.control:
        both = comparison.verdict, control.comparison.verdict
        return f"{control.comparison.sentence} {CONCLUSIONS.get(both, '')}".strip()
    pull = comparison.pull
    if pull is None or ALIKE[0] <= pull <= ALIKE[1] or comparison.nothing:
        return ""
    return (
        f"By its gain the box term of {comparison.loss} pulls {pull:.2g} times as hard as that of {baseline}: some of "
        f"the difference may be weight. Compare with {baseline} at a constant gain of {pull:.2g}."
    )


def heavy(baseline: str, weight: float) -> str:
    """What a sentence calls the control of a loss.

    >>> heavy("ciou", 1.66)
    'an equally heavy ciou (a constant gain of 1.66)'
    """
    return f"an equally heavy {baseline} (a constant gain of {weight:.3g})"


def finding(comparison: Comparison, baseline: str, comparisons: int) -> str:
    """Say what a comparison with one baseline found, without what weight has to do with it."""
    loss, seeds, mean = comparison.loss, len(comparison.seeds), comparison.mean
    if not seeds:
        return f"No AP is known of {loss} and {baseline} under one seed."
    verdict = comparison.verdict
    if verdict == "nothing compared":
        return f"Nothing was compared between {loss} and {baseline}: {comparison.nothing}"
    if verdict == "not finished":
        planned = seeds + len(comparison.seeds_waiting)
        so_far = f"{seeds} of {planned} seeds so far, {points(mean)} AP points"
        return f"{loss} against {baseline} is not finished: {so_far}. The verdict comes with the last."
    if verdict == "too few seeds":
        family = "a verdict" if comparisons == 1 else f"a verdict on {comparisons} losses"
        counted = f"{seeds} of the {comparison.seeds_needed} seeds that {family} takes"
        return f"Too few seeds to tell {loss} from {baseline}: {counted}. So far {points(mean)} AP points."
    corrected = f" (corrected for {comparisons} losses)" if comparisons > 1 else ""
    evidence = f"{interval(comparison.interval)}, p = {p_value(comparison.p_holm)}{corrected} over {seeds} seeds"
    evidence = evidence.replace("p = <", "p <")
    if verdict == "no detectable difference":
        detectable = points(comparison.detectable, False)
        seen = f"Going by the spread of these seeds, such a study finds {detectable} points four times out of five."
        return f"No detectable difference between {loss} and {baseline}: {points(mean)} AP points {evidence}. {seen}"
    found = f"{loss} is {verdict} than {baseline} by {points(abs(mean or 0), False)} AP points {evidence}."
    wider = comparison.seeds_and_images
    is_lost = wider and wider[0] <= 0 <= wider[1]
    return f"{found} On other images it may be otherwise: {interval(wider)}." if is_lost else found


def headlines(comparisons: Sequence[Comparison], baseline: str) -> list[tuple[str, str]]:
    """Verdicts and their sentences, the decided ones first; undecided losses share one where they are many."""
    decided = ("better", "worse", "nothing compared")
    lines: list[tuple[str, str]] = [(c.verdict, c.sentence) for c in comparisons if c.verdict in decided]
    for verdict in ("no detectable difference", "too few seeds", "not finished"):
        alike = [comparison for comparison in comparisons if comparison.verdict == verdict]
        if len(alike) <= MANY:
            lines += [(verdict, comparison.sentence) for comparison in alike]
        else:
            names = ", ".join(comparison.loss for comparison in alike)
            lines.append((verdict, f"{verdict.capitalize()} for {len(alike)} losses against {baseline}: {names}."))
    return lines


def evaluated_on(data: DataFindings) -> str:
    """Say how much a data set's verdicts rest on."""
    if not data.losses:
        return "no run has finished"
    objects = "rotated object" if data.is_rotated else "object"
    crowd = f", up to {data.crowd} of a class in an image, where all detections count and not COCO's 100 alone"
    return f"{count(data.images, 'image')}, {count(data.objects, objects)}{crowd if data.crowd else ''}"


def note(data: DataFindings) -> str:
    """Say what is to know about the verdicts where losses have finished under different seeds."""
    return UNEVEN if len({summary.seeds for summary in data.losses.values()}) > 1 else ""


def table(findings: Findings) -> str:
    """Lay out the verdicts as text, a block per data set."""
    blocks = []
    for name, data in findings.data.items():
        cells = [["loss", "seeds", "AP", "ΔAP", "95 % interval", "p", "ΔAP75", "verdict"]]
        cells += [[findings.baseline, *_seeds_and_ap(data, findings.baseline), "", "", "", "", "baseline"]]
        cells += [_row(data, *row) for row in rows(data.comparisons, findings.baseline)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
        notes = [note(data)] * bool(note(data)) + [f"WARNING: {warning}" for warning in data.warnings]
        sentences = [comparison.sentence for comparison in data.comparisons]
        blocks.append("\n".join([f"{name}: {evaluated_on(data)}", *lines, "", *sentences, *notes]))
    return "\n\n".join(blocks)


def rows(comparisons: Sequence[Comparison], baseline: str) -> Iterator[tuple[str, str, Comparison]]:
    """Give the rows of a table of verdicts: what to call it, whose AP belongs there, and the comparison.

    A loss that has a control has a second row, against that, with the control's AP.
    """
    for comparison in comparisons:
        yield comparison.loss, comparison.loss, comparison
        if control := comparison.control:
            yield f"- against {baseline} x {control.weight:.3g}", control.name, control.comparison


def _row(data: DataFindings, name: str, loss: str, comparison: Comparison) -> list[str]:
    ap75 = comparison.exploratory.metrics["AP75"].mean if comparison.exploratory else None
    return [
        name,
        str(len(comparison.seeds)),
        _seeds_and_ap(data, loss)[1],
        points(comparison.mean),
        interval(comparison.interval),
        p_value(comparison.p_holm if comparison.seeds else None),
        points(ap75),
        comparison.verdict,
    ]


def _seeds_and_ap(data: DataFindings, loss: str) -> tuple[str, str]:
    """Return the number of seeds of a loss and its mean AP."""
    summary = data.losses.get(loss)
    return (str(len(summary.seeds)), points(summary.metrics["last"]["AP"].mean, False)) if summary else ("0", UNKNOWN)
