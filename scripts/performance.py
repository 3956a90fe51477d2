"""Write docs/performance.md from what the benchmarks measured.

    python scripts/performance.py

The tables are a pure function of docs/bench/*.json, which bench_loss.py and bench_train.py write.
"""

from __future__ import annotations

import json
from typing import Any

from bench_loss import LEAST, OUT
from compatibility import table

PAGE = OUT.parent / "performance.md"
Report = dict[str, Any]


def spread(cell: dict[str, float]) -> str:
    """A ratio with the middle half of its rounds."""
    return f"{cell['ratio']:.2f} ({cell['low']:.2f}–{cell['high']:.2f})"


def milliseconds(cell: dict[str, float]) -> str:
    """A time, three digits."""
    return f"{cell['ms']:,.0f}" if cell["ms"] >= 100 else f"{cell['ms']:.3g}"


def loss_tables(report: Report) -> str:
    """The IoU term: what is counted, then what is timed, by device."""
    counts = report["counts"]
    largest = max(report["times"]["cpu"], key=int)
    cells = report["times"]["cpu"][largest]
    rows = []
    for name, row in counts.items():
        operators = f"{row['operators']} ({row['operators'] / counts['stock']['operators']:.2f})"
        figures = f"{row['peak']:.0f}", f"{row['moved']:.0f}", f"{cells[name]['ms'] / cells['copy']['ms']:.0f}"
        rows.append([name, operators, *figures])
    text = table(["loss", "operators (to stock)", "peak B/box", "moved B/box", "times a copy"], rows)
    for device, sizes in report["times"].items():
        heads = ["loss", *(f"N = {int(n):,}" for n in sizes)]
        rows = [[name, *(spread(cells[name]) for cells in sizes.values())] for name in counts]
        rows[0] = ["stock, ms", *(milliseconds(cells["stock"]) for cells in sizes.values())]
        text += f"\nTime on {device}, ratio to stock and the middle half of the rounds:\n\n" + table(heads, rows)
    return text


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
        rows = [[name, *(str(value) for value in row.values())] for name, row in counts.items()]
        heads = ["loss", *counts["stock"]]
        text += f"\nCounted on {device} in a step of the criterion, forward and backward:\n\n" + table(heads, rows)
    return text


def setting(report: Report) -> str:
    """The machine and the versions, in a line."""
    return ", ".join(f"{key} {value}" for key, value in report["machine"].items())


HEAD = """# Performance

Written by `python scripts/performance.py` from `docs/bench/`; `scripts/bench_loss.py`, `scripts/bench_train.py` and
`scripts/bench_import.py` measure. Ratios are medians over paired rounds, ours against stock in turn, with the middle
half of the rounds.
"""

LOSS = """
## The IoU term

Forward and backward from the gathered positives to the scalar, one thread, float32; gathering is the same for all.
Measured on: {setting}. "Times a copy" is the time at the largest N over that of copying the least a box needs ({least}
bytes: boxes and weight read, gradient written), timed in the same rounds: how far the term is from what memory allows.

The aim was half of stock's time for `wiou1` to `wiou3` and no more than stock's for any other. From 10,000 positives on
the Wise-IoU presets are there; on a few hundred they are not, because there every call costs about the same, however
little it does. Above stock on a few hundred boxes are `siou` and `siou-v3`, which have two costs of their own, and most
presets that look at two pairs of boxes at once (`inner-…`, `uiou`); `inner-siou` is both, and stays there for longer.
`focal-l1` moves much memory, and gains nothing on very many boxes.
`ciou` and the switches over it (`iou-balanced-cls`, `alwa`) keep the stock term, bit for bit, and observe the plain IoU
beside it, so that they cannot cost less than stock here.

Memory: every preset holds some bytes more a positive than stock does ("peak"), of the gigabytes that a batch takes. The
peak of a whole training step is stock's within a hundredth, which a test holds.

"""

TRAIN = """
## The whole criterion, and training

Measured on: {setting}. {about} A time is the median over rounds, a ratio that of paired rounds: the two need not agree.
No box loss can be told from stock here. IoU-balanced classification (`iou-balanced`) costs the criterion some per cent:
the gradient of the positives' logits is a tensor as large as that of all of them. In an epoch that does not show.
"""

IMPORT = """
## Imports

Whole processes, against `from ultralytics import YOLO`. Measured on: {setting}.

"""

NOTES = """
## What was tried

What paid:

- An autograd function for all that a pair of boxes is made of, in place of a graph, centre distance and enclosing
  diagonal included (`Corners` in `losses/boxes.py`); a second one that takes centres and sizes, for the losses that
  scale or move the boxes (`Centres`). Both share one comparison and one set of gradients.
- Boxes taken as (N, 4) and turned into rows inside that function: views outside of it are nodes of the graph.
- Loss and weight in one `dot`, which autocast leaves alone, in place of product, sum and division.
- No side of a box shorter than 1e-7, once, in place of a constant on every denominator.
- No Python number in an operator where one of tensors does, and nothing asked once a step that can be known before:
  whether a preset is the stock loss was a comparison of two configurations.
- Adding two rows in place of `sum(0)`; `exp` of a product in place of `pow`; |w - g|/max(w, g) as 1 - exp(-|ln(w/g)|),
  since the gradient of `maximum` is five operators.
- IoU-balanced classification added to the positives' rows of the BCE in place, and not multiplied into a copy, whose
  gradient is one more copy.
- The gain multiplied to the weight, which has no gradient, and not to the loss.

What did not:

- The stock code computes its own CIoU of the positives beside the distance term, and we throw it away. Handing it boxes
  of shape (0, 1, 4), so that every operator of it is empty, is correct and changed the module's time by less than its
  spread on a CPU, where dispatch is what those operators cost. Not kept.
- Saving the derivative of the IoU loss in the forward pass, so that the backward pass is one product: as many
  operators when counted on paper, and work done where no gradient is asked for.
- `torch.linalg.vector_norm` over two rows: far slower than squaring and adding.
- `torch.compile` over the term: on a CPU a little faster on a few hundred boxes and slower on ten thousand, and for the
  losses with more terms slower everywhere. Ultralytics' `compile=True` compiles the model and leaves the criterion as
  it is, and so does this package; on a GPU it was not tried.
- The whole of WIoU v3 in one function: faster on few boxes, but a second copy of a formula, which can drift.
- Observing the plain IoU of `ciou` with Ultralytics' own `bbox_iou` in place of the whole geometry: somewhat less work,
  which no step of training would show, and one more path.
"""


def read(name: str) -> Report:
    """What a benchmark wrote."""
    report: Report = json.loads((OUT / f"{name}.json").read_text())
    return report


def page() -> str:
    """The whole page."""
    loss, train, imports = read("loss"), read("train"), read("import")
    return (
        HEAD
        + LOSS.format(setting=setting(loss), least=LEAST)
        + loss_tables(loss)
        + TRAIN.format(setting=setting(train), about=train["about"])
        + train_tables(train)
        + IMPORT.format(setting=setting(imports))
        + table(["import", "ratio"], [[f"`{name}`", spread(cell)] for name, cell in list(imports["times"].items())[1:]])
        + NOTES
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
