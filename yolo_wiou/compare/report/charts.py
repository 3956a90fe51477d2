"""The report's interactive charts (plotly), as pieces of HTML without the library itself."""

from collections.abc import Iterable, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.io import to_html

from yolo_wiou.compare.findings import DataFindings
from yolo_wiou.compare.report.text import interval, points
from yolo_wiou.palette import BASELINE, COLOURS

VERDICTS = {"better": COLOURS[0], "worse": COLOURS[1]}
UNDECIDED = "#6B7280"
AT_ONCE = 5
"""Losses drawn at first, those that differ most; the others wait in the legend."""

CLASSES = 12
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"
LAYOUT = {
    "template": "none",
    "font": {"family": FONT, "size": 13, "color": "#374151"},
    "margin": {"l": 8, "r": 12, "t": 12, "b": 24},
    "dragmode": False,
    "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
}


def draw_charts(data: DataFindings, losses: Sequence[str]) -> dict[str, str]:
    """Draw a data set's charts of some losses, by name; without those that nothing is known for."""
    data = data.model_copy(update={"losses": {loss: data.losses[loss] for loss in losses if loss in data.losses}})
    palette = _Palette(data, losses)
    drawn = {
        "differences": differences(data),
        "thresholds": thresholds(data, palette),
        "threshold_differences": threshold_differences(data, palette),
        "curves": curves(data, palette, "AP", "AP of the validation, points"),
        "iou": curves(data, palette, "iou", "mean IoU of the positives", scale=1),
        "classes": classes(data, palette),
    }
    return {name: _html(figure) for name, figure in drawn.items() if figure.data}


class _Palette:
    """Which colour each loss has, and which losses are drawn at first."""

    def __init__(self, data: DataFindings, losses: Sequence[str]) -> None:
        self.colours = {loss: COLOURS[i % len(COLOURS)] for i, loss in enumerate(losses[1:])} | {losses[0]: BASELINE}
        by_size = sorted(data.comparisons, key=lambda comparison: -abs(comparison.mean or 0))
        self.first = {losses[0], *(comparison.loss for comparison in by_size[:AT_ONCE])}

    def line(self, figure: Any, loss: str, x: list[Any], mean: Any, low: Any = None, high: Any = None) -> None:
        """Draw a line with a marker per value, and its band."""
        colour, shown = self.colours[loss], True if loss in self.first else "legendonly"
        group = {"legendgroup": loss, "visible": shown}
        if low and None not in low:
            fill = {"fill": "toself", "fillcolor": _faint(colour), "line": {"width": 0}, "hoverinfo": "skip"}
            figure.add_scatter(x=[*x, *x[::-1]], y=[*high, *low[::-1]], showlegend=False, mode="lines", **fill, **group)
        mode = "lines+markers" if len(x) < 15 else "lines"
        figure.add_scatter(x=x, y=mean, name=loss, mode=mode, line={"color": colour, "width": 2}, **group)


def differences(data: DataFindings) -> Any:
    """Every loss's difference to the baseline: a dot per seed, the mean and its two intervals."""
    figure = go.Figure()
    compared = [comparison for comparison in data.comparisons if comparison.mean is not None][::-1]
    for row, comparison in enumerate(compared):
        colour = VERDICTS.get(comparison.verdict, UNDECIDED)
        for bounds, width, above in ((comparison.interval, 7, 0), (comparison.seeds_and_images, 2, 0.2)):
            if bounds:
                _bar(figure, bounds, row + above, colour, width)
        diamond = {"color": "white", "size": 11, "symbol": "diamond", "line": {"color": colour, "width": 2.5}}
        said = f"{comparison.loss}: mean {points(comparison.mean)} {interval(comparison.interval)}"
        _dots(figure, [comparison.mean], [row], said, marker=diamond)
        by_seed = zip(comparison.seeds, comparison.pairs, comparison.differences, strict=True)
        said_of_seeds = [
            f"seed {seed}: {points(base, False)} → {points(rival, False)} ({points(difference)})"
            for seed, (base, rival), difference in by_seed
        ]
        dot = {"color": colour, "size": 8, "opacity": 0.6}
        _dots(figure, comparison.differences, [row - 0.27] * len(comparison.seeds), said_of_seeds, marker=dot)
    return _rows(figure, [comparison.loss for comparison in compared]).update_layout(showlegend=False)


def thresholds(data: DataFindings, palette: _Palette) -> Any:
    """AP by IoU threshold."""
    figure = go.Figure()
    for loss, summary in data.losses.items():
        mean = [ap.mean for ap in summary.by_threshold.values()]
        palette.line(figure, loss, [float(key) for key in summary.by_threshold], _points(mean))
    figure.update_xaxes(title="IoU that a detection must reach", tickformat=".2f")
    return figure.update_yaxes(title="AP, points", rangemode="tozero")


def threshold_differences(data: DataFindings, palette: _Palette) -> Any:
    """Difference of AP to the baseline by IoU threshold, with its interval."""
    figure = go.Figure()
    for comparison in data.comparisons:
        if comparison.exploratory:
            by_threshold = comparison.exploratory.by_threshold
            bounds = [difference.interval or (None, None) for difference in by_threshold.values()]
            low, high = (_points([bound[i] for bound in bounds]) for i in (0, 1))
            mean = _points([difference.mean for difference in by_threshold.values()])
            palette.line(figure, comparison.loss, [float(key) for key in by_threshold], mean, low, high)
    if figure.data:
        figure.add_hline(y=0, line={"color": BASELINE, "width": 1})
    figure.update_xaxes(title="IoU that a detection must reach", tickformat=".2f")
    return figure.update_yaxes(title="difference, points").update_layout(showlegend=True)


def curves(data: DataFindings, palette: _Palette, name: str, title: str, scale: float = 100) -> Any:
    """A value by epoch: mean over the seeds, and a band from the lowest to the highest."""
    figure = go.Figure()
    for loss, summary in data.losses.items():
        band = summary.curves[name]
        mean, low, high = (_points(values, scale) for values in (band.mean, band.low, band.high))
        if any(mean[1:]):  # one epoch is no curve, and nothing detected is none to look at
            palette.line(figure, loss, list(range(1, len(mean) + 1)), mean, low, high)
    figure.update_xaxes(title="epoch")
    return figure.update_yaxes(title=title)


def classes(data: DataFindings, palette: _Palette) -> Any:
    """The classes whose AP differs most, with intervals."""
    figure = go.Figure()
    found = {c.loss: c.exploratory.by_class for c in data.comparisons if c.exploratory}
    size: dict[str, float] = {}
    for by_class in found.values():
        for name, difference in by_class.items():
            if difference.mean is not None:
                size[name] = max(size.get(name, 0), abs(difference.mean))
    names = sorted(size, key=lambda name: -size[name])[:CLASSES][::-1]
    for i, (loss, by_class) in enumerate(found.items()):
        offset = (0.5 - (i + 0.5) / len(found)) * 0.7
        shown: dict[str, Any] = {"legendgroup": loss, "visible": True if loss in palette.first else "legendonly"}
        known = [
            (row + offset, by_class[name])
            for row, name in enumerate(names)
            if name in by_class and by_class[name].mean is not None
        ]
        for row, difference in known:
            _bar(figure, difference.interval or (), row, palette.colours[loss], 3, showlegend=False, **shown)
        said = [f"{loss}: {points(d.mean)} {interval(d.interval)}" for _, d in known]
        dot = {"color": palette.colours[loss], "size": 9}
        _dots(figure, [d.mean for _, d in known], [row for row, _ in known], said, name=loss, marker=dot, **shown)
    return _rows(figure, names).update_layout(showlegend=True)


def _bar(figure: Any, bounds: Sequence[float], row: float, colour: str, width: float, **more: Any) -> None:
    """Draw an interval."""
    line = {"color": colour, "width": width}
    y = [row] * len(bounds)
    figure.add_scatter(x=_points(bounds), y=y, mode="lines", line=line, hoverinfo="skip", **more)


def _dots(figure: Any, values: Sequence[float | None], y: list[float], said: Any, **more: Any) -> None:
    """Draw values that say something where the mouse points at them."""
    figure.add_scatter(x=_points(values), y=y, mode="markers", hovertext=said, hoverinfo="text", **more)


def _rows(figure: Any, names: list[str]) -> Any:
    """Name the rows of a figure of differences, from below, and leave some room at the sides."""
    known = [x for trace in figure.data for x in trace.x if x is not None] + [0.0]
    room = 0.05 * (max(known) - min(known) or 1.0)
    figure.update_xaxes(title="difference of AP to the baseline, points", range=[min(known) - room, max(known) + room])
    ticks = {"tickvals": list(range(len(names))), "ticktext": names}
    figure.update_yaxes(range=[-0.6, len(names) - 0.4], showgrid=False, **ticks)
    if figure.data:
        figure.add_vline(x=0, line={"color": BASELINE, "width": 1})
    return figure.update_layout(hovermode="closest", height=110 + 64 * len(names))


def _points(values: Iterable[float | None], scale: float = 100) -> list[float | None]:
    return [None if value is None else round(scale * value, 4) for value in values]


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.15)"


def _html(figure: Any) -> str:
    """Give all figures one look; return a piece of HTML that needs the library on its page."""
    axis = {"gridcolor": "#E5E7EB", "linecolor": "#9CA3AF", "zeroline": False, "automargin": True, "fixedrange": True}
    axis |= {"title_font_size": 13}
    figure.update_xaxes(**axis).update_yaxes(**axis)
    height, hovermode = figure.layout.height or 340, figure.layout.hovermode or "x unified"
    figure.update_layout(**LAYOUT, height=height, hovermode=hovermode)
    config = {"displayModeBar": False, "responsive": True}
    return str(to_html(figure, full_html=False, include_plotlyjs=False, config=config))
