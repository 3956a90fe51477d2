"""Write docs/compatibility.md from docs/compatibility/*.json, where the checking scripts leave what they saw."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent.parent / "docs" / "compatibility.md"
DATA = PAGE.with_suffix("")
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


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def read(name: str) -> list[dict[str, Any]]:
    """The rows that a script left, none where it has not run."""
    file = DATA / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8"))["rows"] if file.exists() else []


def releases(rows: list[dict[str, Any]]) -> str:
    """One row a release, and under it what is not simply passed."""
    checks = list(rows[0]["checks"])
    signs = [[SIGNS[row["checks"][check]["outcome"]] for check in checks] for row in rows]
    cells = [[row["release"], *seen, row.get("numpy", "")] for row, seen in zip(rows, signs, strict=True)]
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


def update_release(row: dict[str, Any]) -> None:
    """Put a release's row in the place of its former one, and write the page."""
    rows = {old["release"]: old for old in read("releases")} | {row["release"]: row}
    ordered = sorted(rows.values(), key=lambda r: [int(part) for part in r["release"].split(".")])
    DATA.mkdir(exist_ok=True)
    (DATA / "releases.json").write_text(json.dumps({"rows": ordered}, indent=1, ensure_ascii=False) + "\n", "utf-8")
    write()


def page() -> str:
    """The whole page."""
    sections = {"releases": releases}
    return HEAD + "".join(render(rows) for name, render in sections.items() if (rows := read(name)))


def write() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write()
