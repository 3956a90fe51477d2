"""Verdicts in words, for the report and for the terminal."""

from __future__ import annotations

from typing import Any

UNKNOWN = "—"
UNEVEN = "AP is the mean of the seeds so far, which are not the same for all losses; ΔAP compares equal seeds."
MANY = 4
"""Undecided losses that have a headline each."""


def points(value: float | None, sign: bool = True) -> str:
    """AP in points, hundredths: +1.23; a dash where it is unknown."""
    if value is None or value != value:
        return UNKNOWN
    text = f"{100 * value:{'+' if sign else ''}.2f}"
    return text.replace("-", "−") if float(text) else "0.00"


def interval(bounds: Any) -> str:
    """An interval in points: [−0.41, 2.03]."""
    return f"[{points(bounds[0], False)}, {points(bounds[1], False)}]" if bounds else UNKNOWN


def p_value(p: float | None) -> str:
    """A p value with two digits: 0.03."""
    return UNKNOWN if p is None else "< 0.001" if p < 0.001 else f"{p:.2g}"


def duration(seconds: float | None) -> str:
    """Return a time as people say it: 42 s, 6.1 min, 12 h."""
    if seconds is None:
        return UNKNOWN
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}" if seconds < 10 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def count(number: int, one: str, many: str = "") -> str:
    """Return a number of things: 1 run, 2 runs."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def sentence(comparison: dict[str, Any], baseline: str, comparisons: int) -> str:
    """Say what a comparison found, for a reader who is no statistician."""
    loss, seeds, mean = comparison["loss"], len(comparison["seeds"]), comparison["mean"]
    if not seeds:
        return f"No AP is known of {loss} and {baseline} under one seed."
    verdict = comparison["verdict"]
    if verdict == "not finished":
        planned = seeds + len(comparison["seeds_waiting"])
        so_far = f"{seeds} of {planned} seeds so far, {points(mean)} AP points"
        return f"{loss} against {baseline} is not finished: {so_far}. The verdict comes with the last."
    if verdict == "too few seeds":
        family = "a verdict" if comparisons == 1 else f"a verdict on {comparisons} losses"
        counted = f"{seeds} of the {comparison['seeds_needed']} seeds that {family} takes"
        return f"Too few seeds to tell {loss} from {baseline}: {counted}. So far {points(mean)} AP points."
    corrected = f" (corrected for {comparisons} losses)" if comparisons > 1 else ""
    evidence = f"{interval(comparison['interval'])}, p = {p_value(comparison['p_holm'])}{corrected} over {seeds} seeds"
    evidence = evidence.replace("p = <", "p <")
    if verdict == "no detectable difference":
        detectable = points(comparison["detectable"], False)
        seen = f"Going by the spread of these seeds, such a study finds {detectable} points four times out of five."
        return f"No detectable difference between {loss} and {baseline}: {points(mean)} AP points {evidence}. {seen}"
    found = f"{loss} is {verdict} than {baseline} by {points(abs(mean), False)} AP points {evidence}."
    wider = comparison["seeds_and_images"]
    is_lost = wider and wider[0] <= 0 <= wider[1]
    return f"{found} On other images it may be otherwise: {interval(wider)}." if is_lost else found


def headlines(comparisons: list[dict[str, Any]], baseline: str) -> list[tuple[str, str]]:
    """Verdicts and their sentences, the decided ones first; undecided losses share one where they are many."""
    found = [(one["verdict"], one["sentence"]) for one in comparisons if one["verdict"] in ("better", "worse")]
    for verdict in ("no detectable difference", "too few seeds", "not finished"):
        alike = [one for one in comparisons if one["verdict"] == verdict]
        if len(alike) <= MANY:
            found += [(verdict, one["sentence"]) for one in alike]
        else:
            names = ", ".join(one["loss"] for one in alike)
            found.append((verdict, f"{verdict.capitalize()} for {len(alike)} losses against {baseline}: {names}."))
    return found


def judged_by(data: dict[str, Any]) -> str:
    """Say how large a data set's judgement is."""
    if not data["losses"]:
        return "no run has finished"
    return f"{count(data['images'], 'image')}, {count(data['objects'], 'object')}"


def is_uneven(data: dict[str, Any]) -> bool:
    """Whether losses have finished under different seeds."""
    return len({tuple(one["seeds"]) for one in data["losses"].values()}) > 1


def table(analysis: dict[str, Any]) -> str:
    """Lay out the verdicts as text, a block a data set."""
    blocks = []
    for name, data in analysis["data"].items():
        heads = ["loss", "seeds", "AP", "ΔAP", "95 % interval", "p", "ΔAP75", "verdict"]
        base = analysis["baseline"]
        rows = [[base, *_counted(data, base), "", "", "", "", "baseline"]]
        rows += [
            [
                one["loss"],
                str(len(one["seeds"])),
                _counted(data, one["loss"])[1],
                points(one["mean"]),
                interval(one["interval"]),
                p_value(one["p_holm"] if one["seeds"] else None),
                points(one["exploratory"]["figures"]["AP75"]["mean"]) if one["seeds"] else UNKNOWN,
                one["verdict"],
            ]
            for one in data["comparisons"]
        ]
        widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
        lines = [
            "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()
            for row in [heads, *rows]
        ]
        title = f"{name}: {judged_by(data)}"
        notes = [UNEVEN] * is_uneven(data) + [f"WARNING: {warning}" for warning in data["warnings"]]
        blocks.append("\n".join([title, *lines, "", *(one["sentence"] for one in data["comparisons"]), *notes]))
    return "\n\n".join(blocks)


def _counted(data: dict[str, Any], loss: str) -> tuple[str, str]:
    """Seeds of a loss and its mean AP."""
    summary = data["losses"].get(loss)
    if not summary:
        return "0", UNKNOWN
    return str(len(summary["seeds"])), points(summary["figures"]["last"]["AP"]["mean"], False)
