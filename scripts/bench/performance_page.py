"""Write docs/performance.md from what the benchmarks measured.

    python scripts/bench/performance_page.py [--check]

The page is a pure function of docs/bench/*.json, which loss.py, train.py and imports.py write, in the words of
performance.md.j2. With --check nothing is written; exit code 1 where the page is not its data's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, TypeAlias

from timing import OUT

from markdown import render, table, write_or_check  # isort: skip

LEAST = 52
"""Bytes per box that no such term can do without: two boxes and a weight read, a gradient written, float32."""
Report: TypeAlias = dict[str, Any]


def spread(cell: dict[str, float]) -> str:
    """A ratio with the middle half of its rounds."""
    return f"{cell['ratio']:.2f} ({cell['low']:.2f}–{cell['high']:.2f})"


def milliseconds(cell: dict[str, float]) -> str:
    """A time, three digits."""
    return f"{cell['ms']:,.0f}" if cell["ms"] >= 100 else f"{cell['ms']:.3g}"


def slower(cells: Report) -> str:
    """The losses that take longer than stock, three rounds out of four: names and ratios."""
    above = [f"`{name}` {cell['ratio']:.2f}" for name, cell in cells.items() if name != "copy" and cell["low"] > 1]
    return ", ".join(above) or "none"


def more_operators(counts: Report) -> str:
    """The losses whose criterion takes more operators than stock's: names and how many more."""
    more = {name: row["operators"] - counts["stock"]["operators"] for name, row in counts.items()}
    return ", ".join(f"`{name}` ({number:g})" for name, number in more.items() if number > 0) or "none"


def loss_tables(report: Report) -> str:
    """The IoU term: what is counted, then what is timed, by device."""
    counts = report["counts"]
    largest = max(report["times"]["cpu"], key=int)
    cells = report["times"]["cpu"][largest]
    rows = []
    for name, row in counts.items():
        operators = f"{row['operators']} ({row['operators'] / counts['stock']['operators']:.2f})"
        copies = cells[name]["ms"] / cells["copy"]["ms"]
        rows.append([name, operators, f"{row['peak']:.0f}", f"{row['moved']:.0f}", f"{copies:.0f}"])
    text = table(["loss", "operators (to stock)", "peak B/box", "moved B/box", "times a copy"], rows)
    for device, sizes in report["times"].items():
        heads = ["loss", *(f"N = {int(n):,}" for n in sizes)]
        rows = [[name, *(spread(cells[name]) for cells in sizes.values())] for name in counts]
        rows[0] = ["stock, ms", *(milliseconds(cells["stock"]) for cells in sizes.values())]
        text += f"\nTime on {device}, ratio to stock and the middle half of the rounds:\n\n" + table(heads, rows)
    return text + kernel_table(report.get("kernels", {}), list(counts))


def kernel_table(kernels: Report, names: list[str]) -> str:
    """What a GPU does in a step, without the host that launches it."""
    if not kernels:
        return ""
    rows = []
    for name in names:
        cells = [of_size[name] for of_size in kernels.values()]
        rows.append([name, str(cells[0]["launches"]), *(f"{cell['kernel ms']:.3g}" for cell in cells)])
    heads = ["loss", "launches", *(f"N = {int(n):,}, ms" for n in kernels)]
    return "\nKernels on cuda, without the host:\n\n" + table(heads, rows)


def train_tables(report: Report) -> str:
    """The box loss as a module, the whole criterion, and epochs."""
    text = ""
    for device, parts in report["parts"].items():
        rows = []
        for part, cells in parts.items():
            rows += [[part, name, milliseconds(cell), spread(cell)] for name, cell in cells.items()]
        missing = [part for part in ("box loss", "criterion", "epoch") if part not in parts]
        text += f"\nNot measured in this run: {', '.join(missing)}.\n" if missing else ""
        text += f"\n{device}:\n\n" + table(["part", "loss", "ms", "ratio to stock"], rows)
    for device, counts in report["counts"].items():
        rows = [[name, *(f"{value:.4g}" for value in row.values())] for name, row in counts.items()]
        heads = ["loss", *counts["stock"]]
        text += f"\nCounted on {device} in a step of the criterion, forward and backward:\n\n" + table(heads, rows)
    return text


def setting(report: Report) -> str:
    """The machine and the versions, in a line."""
    return ", ".join(f"{key} {value}" for key, value in report["machine"].items())


def read(name: str) -> Report:
    """What a benchmark wrote."""
    report: Report = json.loads((OUT / f"{name}.json").read_text())
    return report


def page() -> str:
    """The whole page."""
    reports = {name: read(name) for name in ("loss", "train", "import")}
    imports = [[f"`{name}`", spread(cell)] for name, cell in list(reports["import"]["times"].items())[1:]]
    return render(
        Path(__file__).with_name("performance.md.j2"),
        settings={name: setting(report) for name, report in reports.items()},
        least=LEAST,
        about=reports["train"]["about"],
        slower={
            **{int(n): slower(cells) for n, cells in reports["loss"]["times"]["cpu"].items()},
            **{part: slower(cells) for part, cells in reports["train"]["parts"]["cpu"].items()},
        },
        tried_on_a_gpu=(OUT.parent / "compatibility" / "gpu.json").exists(),
        more_operators=more_operators(reports["train"]["counts"]["cpu"]),
        loss_tables=loss_tables(reports["loss"]),
        train_tables=train_tables(reports["train"]),
        import_table=table(["import", "ratio"], imports),
    )


if __name__ == "__main__":
    sys.exit(write_or_check(OUT.parent / "performance.md", page()))
