"""Write the tables of docs/audit-study.md, from what audit.py, loop.py and audit_real.py found.

    python scripts/study/audit_page.py [FILE.json ...] [--check]

The files are theirs, and are copied to docs/study/. With --check the page is not written; exit code 1 where its tables
are not those of docs/study/.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from markdown import table, write_or_check

from yolo_wiou.compare.statistics import sign_flip_interval
from yolo_wiou.files import read_json

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "audit-study.md"
Results: TypeAlias = list[dict[str, Any]]
SETS = {"shapes": "rendered", "bccd": "BCCD"}
METHODS = {
    "audit": "`audit`, one pass",
    "audit, with the run": "`audit run=…` (`audit=true`)",
    "FiftyOne, unmatched first": "FiftyOne's mistakenness, labels without a match first",
    "FiftyOne, unmatched last": "the same, labels without a match last",
    "ObjectLab": "cleanlab's ObjectLab, its own thresholds",
    "ObjectLab, tuned with the truth": "ObjectLab, the thresholds that are best with the truth at hand",
}
RANKING = ("AUROC", "AP", "first tenth")
Arm: TypeAlias = tuple[str, str]
"""What a training of the loop is told apart by: its labels and its loss."""
CLEAN, PLANTED = ("clean", "ciou"), ("planted", "ciou")
ARMS: dict[Arm, str] = {
    CLEAN: "right",
    PLANTED: "with errors",
    ("planted", "trust"): "with errors, `loss=trust`",
    ("corrected", "ciou"): "audited, `fix=`",
    ("corrected", "trust"): "audited, `fix=`, `loss=trust`",
    ("corrected-in-full", "ciou"): "audited, `fix= fix.remove=true fix.add=true`",
}


def rankings(results: Results) -> str:
    """How well every method ranks, means over the seeds."""
    heads = [f"{name}: {key}" if key == "AUROC" else key for name in SETS.values() for key in RANKING]
    rows = [
        [words, *(cell for name in SETS for cell in cells(of_set(results, name, method)))]
        for method, words in METHODS.items()
    ]
    return table(["", *heads], rows)


def memorised(results: Results) -> str:
    """The same of a training that is long for how few images it has."""
    return table(["", *RANKING], [[words, *cells(of_set(results, "few", method))] for method, words in METHODS.items()])


def of_set(results: Results, name: str, method: str) -> Results:
    """The results of a method on the planted copies of a set."""
    return [row for row in results if row["case"].startswith(name) and row["method"] == method and "AP" in row]


def cells(rows: Results) -> list[str]:
    """Mean of each figure."""
    return [f"{np.mean([row[key] for row in rows]):.3f}" if rows else "" for key in RANKING]


def changes(results: Results) -> str:
    """What the audit flags and would move, over all seeds; "closer" is of the loose and shifted among the moved."""
    heads = ["", "labels", "wrong", "flagged", "of them wrong", "boxes moved unasked", "closer to the truth"]
    rows = []
    for name, words in SETS.items():
        of = of_set(results, name, "audit")
        total = {key: sum(row[key] for row in of) for key in (of[0] if of else ()) if key not in ("case", "method")}
        if total:
            counts = [f"{total[key]:,}" for key in ("labels", "wrong", "flagged", "flagged wrong", "moved")]
            before, after, closer = (total[key] / total["moved wrong"] for key in ("IoU before", "IoU after", "closer"))
            harm = total["moved right"] / (total["labels"] - total["wrong"])
            rows.append([words, *counts, f"{closer:.1%}", f"{before:.2f} → {after:.2f}", f"{harm:.2%}"])
    return table([*heads, "mean IoU with it", "right boxes moved"], rows)


def loop(results: Results) -> str:
    """What correcting and trust bring, each over the seeds that were also trained on right labels and with errors."""
    ap = {(row["labels"], row["loss"], row["seed"]): 100 * row["AP"] for row in results}
    rows = []
    for arm, words in ARMS.items():
        seeds = [
            seed for labels, loss, seed in ap if (labels, loss) == arm and {(*CLEAN, seed), (*PLANTED, seed)} <= set(ap)
        ]
        here, right, spoilt = (np.array([ap[(*of, seed)] for seed in seeds]) for of in (arm, CLEAN, PLANTED))
        if seeds:
            gain, cost = here - spoilt, right - spoilt
            back = [signed(gain), f"{gain.mean() / cost.mean():.0%}"] if arm != PLANTED else ["", ""]
            rows.append([words, str(len(seeds)), f"{here.mean():.1f}", *back])
    return table(["training labels", "seeds", "AP", "beside errors (95 % interval)", "of the cost back"], rows)


def signed(differences: Any) -> str:
    """Mean and interval of differences; a few have no interval."""
    interval = sign_flip_interval(differences)
    return f"{differences.mean():+.1f}" + (f" ({interval[0]:+.1f} to {interval[1]:+.1f})" if interval else "")


def real(results: Results) -> str:
    """How many labels that a second annotator contradicts stand in the first tenth, in sum over the seeds."""
    heads = ["no box of the second annotation at", "", "of all labels", "of the first tenth", "of these labels there"]
    rows, said = [], []
    for method in dict.fromkeys(row["method"] for row in results):
        of = [row for row in results if row["method"] == method]
        total = {key: sum(row[key] for row in of) for key in of[0] if key != "method"}
        for least in (0.5, 0.8):
            every, first = (total[f"{part} < {least}"] for part in ("all", "first tenth"))
            shares = [every / total["all"], first / total["first tenth"], first / max(every, 1)]
            rows.append([f"IoU {least}", METHODS[method], *(f"{share:.0%}" for share in shares)])
        before, after = (total[key] / max(total["moved"], 1) for key in ("moved from", "moved to"))
        moved = (
            f", and {total['moved']} boxes move from IoU {before:.2f} to {after:.2f} with it" if total["moved"] else ""
        )
        has = f"the second annotation has {total['confirmed']} of {total['missing']} missing objects"
        said.append(f"{METHODS[method]}: {total['flagged']} of {total['all']:,} labels are flagged; {has}{moved}.\n")
    return table(heads, rows) + "\n" + "\n".join(said)


TABLES: dict[str, tuple[str, Callable[[Results], str]]] = {
    "rankings": ("audit", rankings),
    "changes": ("audit", changes),
    "memorised": ("audit", memorised),
    "loop": ("loop", loop),
    "real": ("audit_real", real),
}
"""By the name that the page marks its place with: whose results, and how they are shown."""


def page(text: str) -> str:
    """The page with its tables."""
    for name, (study, make) in TABLES.items():
        start, end = f"<!-- {name} -->\n", "<!-- end -->\n"
        before, found, rest = text.partition(start)
        if found:
            shown = make(read_json(DOCS / "study" / f"{study}.json"))
            text = f"{before}{start}\n{shown}\n{end}{rest.partition(end)[2]}"
    return text


def main(argv: list[str]) -> int:
    """Publish, and write the page or check it."""
    for word in argv:
        if word != "--check":
            shutil.copy(word, DOCS / "study" / Path(word).name)
    return write_or_check(PAGE, page(PAGE.read_text(encoding="utf-8")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
