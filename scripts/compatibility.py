"""Write docs/compatibility.md from docs/compatibility/*.json, where the checking scripts leave what they saw."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent.parent / "docs" / "compatibility.md"
DATA = PAGE.with_suffix("")
HOLDS = {True: "✓", False: "**fails**"}
SIGNS = {"passed": "✓", "absent": "–", "stock fails": "stock fails", "failed": "**fails**"}
HEAD = """# Compatibility

Written by `python scripts/compatibility.py` from `docs/compatibility/*.json`; run the checks, don't edit this page.
"""
RELEASES = """
## Ultralytics releases

What `python scripts/check_releases.py` saw: it runs the tests marked `release` in an environment of the release's own,
with what its metadata asks for. Ran on {ran}.

- **parity**: `loss=ciou` and stock Ultralytics give the same weights and the same metrics in `results.csv`, bit for bit
  on the CPU; for segment, pose and obb, wiou3 also trains for an epoch, and its boxes' loss differs.
- **wiou3**: a run by the command line, with its columns in `results.csv`.
- **resume**: a run that was stopped and resumed has the loss state of one that was not.
- **portable**: best and last checkpoint, and the last of a run that was killed, load and validate where `yolo_wiou`
  cannot be imported, and export; **safe load**: likewise with `ULTRALYTICS_SAFE_LOAD=1`, where the release knows it.

✓ passed; – the release has no such thing; "stock fails": Ultralytics alone fails here, without this package.

"""


FAMILIES = """
## Models

What `python scripts/check_families.py` saw: every model trains a tiny epoch with stock Ultralytics, with its own loss
by name and with wiou3.

- **parity**: its own loss by name (`giou` for RT-DETR, `ciou` for all others) gives the results and the weights of
  stock, bit for bit on the CPU.
- **wiou3**: it trains, and its box loss differs.

"""
CHAOS = """
## Killed and resumed

What `python scripts/chaos.py` saw: one training, killed with SIGKILL at random moments and resumed every time.

"""


def table(heads: list[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def read(name: str) -> dict[str, Any]:
    """What a script left, nothing where it has not run."""
    file = DATA / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def releases(seen: dict[str, Any]) -> str:
    """One row a release, and under it what is not simply passed."""
    rows = seen["rows"]
    checks = list(rows[0]["checks"])
    signs = [[SIGNS[row["checks"][check]["outcome"]] for check in checks] for row in rows]
    cells = [[row["release"], *cell, row.get("numpy", "")] for row, cell in zip(rows, signs, strict=True)]
    ran = dict.fromkeys(
        f"{row['date']}, {row['platform']}, Python {row.get('python')}, torch {row.get('torch')}" for row in rows
    )
    notes = [
        f"- {row['release']}, {check}: {result['note']}\n"
        for row in rows
        for check, result in row["checks"].items()
        if result["outcome"] in {"stock fails", "failed"}
    ]
    return RELEASES.format(ran="; ".join(ran)) + table(["release", *checks, "NumPy"], cells) + "\n" + "".join(notes)


def families(seen: dict[str, Any]) -> str:
    """One row a model, and the notes under it."""
    rows = seen["rows"]
    names, checks = ("family", "task", "model"), ("parity", "wiou3")
    cells = [[row[key] for key in names] + [HOLDS[row[key]] for key in checks] for row in rows]
    notes = [f"- {row['model']}: {row['note']}\n" for row in rows if row["note"]]
    return FAMILIES + table([*names, *checks], cells) + "\n" + "".join(notes)


def chaos(seen: dict[str, Any]) -> str:
    """The summary of the killed run, number by number."""
    return CHAOS + table(["", "seen"], [[key.replace("_", " "), told(seen[key])] for key in seen if key != "report"])


def told(value: Any) -> str:
    """A value as a reader likes it."""
    if isinstance(value, dict):
        return ", ".join(f"{told(one)} × {key}" for key, one in value.items())
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def update_release(row: dict[str, Any]) -> None:
    """Put a release's row in the place of its former one, and write the page."""
    rows = {old["release"]: old for old in read("releases").get("rows", [])} | {row["release"]: row}
    ordered = sorted(rows.values(), key=lambda r: [int(part) for part in r["release"].split(".")])
    DATA.mkdir(exist_ok=True)
    (DATA / "releases.json").write_text(json.dumps({"rows": ordered}, indent=1, ensure_ascii=False) + "\n", "utf-8")
    write()


def page() -> str:
    """The whole page."""
    sections = {"releases": releases, "families": families, "chaos": chaos}
    return HEAD + "".join(render(seen) for name, render in sections.items() if (seen := read(name)))


def write() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write()
