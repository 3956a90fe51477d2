"""How often a 95 % interval holds the truth, in simulated studies: the quoted ones and those that were not chosen.

    python scripts/study/coverage.py [replicates=2000]

First over seeds alone, for differences of several shapes; then over seeds and images, in a linear model and for AP
itself, of simulated detections; last, the smallest difference a study finds with 80 %. Prints tables; a standard error
of a share near 95 % is 0.5 points over seeds, 0.7 over seeds and images, 1.4 for AP. About 8 minutes on one core.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))  # the simulated studies are the tests' own
from helpers.coverage import FEW_SEEDS, MODELS, SEEDS, SHAPES, linear, of_ap, over_both, over_seeds, power


def show(title: str, rows: dict[str, dict[str, float]]) -> None:
    """Print a table of shares."""
    heads = list(next(iter(rows.values())))
    width = max(map(len, [*rows, title])) + 2
    print(f"\n{title:<{width}}" + "".join(f"{head:>16}" for head in heads))
    for name, row in rows.items():
        print(f"{name:<{width}}" + "".join(f"{100 * value:>14.1f} %" for value in row.values()), flush=True)


def main(*argv: str) -> None:
    """Simulate and print."""
    replicates = int(dict(word.split("=") for word in argv).get("replicates", 2000))
    rng = np.random.default_rng(1)
    for name, draw in SHAPES.items():
        show(f"Over seeds: {name}", {f"{n} seeds": over_seeds(draw, n, replicates, rng) for n in SEEDS})
    for name, model in MODELS.items():
        rows = {f"{n} seeds": over_both(partial(linear, model, n, rng), replicates // 2, rng) for n in FEW_SEEDS}
        show(f"Over seeds and images: {name}", rows)
    rows = {f"{n} seeds": over_both(partial(of_ap, n, rng), replicates // 8, rng) for n in FEW_SEEDS}
    show("Over seeds and images: AP itself", rows)
    rows = {f"{n} seeds": {str(m): power(n, m, replicates, rng) for m in (1, 3)} for n in (7, 8, 10, 11, 12)}
    show("Power at the detectable difference, by losses", rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
