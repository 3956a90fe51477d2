"""Write docs/compatibility.md from docs/compatibility/*.json, where the checking scripts leave what they saw.

    python scripts/compatibility/compatibility_page.py [DATA PAGE] [--check]

With --check nothing is written; exit code 1 where the page is not its data's. What has no file has no section.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from markdown import render, table, write_or_check

HOLDS = {True: "✓", False: "**fails**"}
SIGNS = {"passed": "✓", "absent": "–", "not run": "not run", "stock fails": "stock fails", "failed": "**fails**"}
Section = dict[str, str]


def releases(seen: dict[str, Any]) -> Section:
    """One row per release, and under it what is not simply passed."""
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
    return {"ran": "; ".join(ran), "table": table(["release", *checks, "NumPy"], cells), "notes": "".join(notes)}


def families(seen: dict[str, Any]) -> Section:
    """One row per model, and the notes under it."""
    rows = seen["rows"]
    names, checks = ("family", "task", "model"), ("parity", "wiou3")
    cells = [[row[key] for key in names] + [HOLDS[row[key]] for key in checks] for row in rows]
    notes = [f"- {row['model']}: {row['note']}\n" for row in rows if row["note"]]
    return {"table": table([*names, *checks], cells), "notes": "".join(notes)}


def gpu(seen: dict[str, Any]) -> Section:
    """One row per check, and the ratios of the times to stock's."""
    rows = seen["rows"]
    ran = ", ".join(f"{key} {value}" for key, value in seen["machine"].items())
    checks = table(["check", "", "seen"], [[row["check"], SIGNS[row["outcome"]], row["note"]] for row in rows])
    times = {name: cells for row in rows for name, cells in row.get("figures", {}).items()}
    names = dict.fromkeys(name for cells in times.values() for name in cells)
    ratios = [[name, *(spread(cells.get(name)) for cells in times.values())] for name in names]
    return {"ran": ran, "table": checks, "times": table(["loss", *times], ratios) if times else ""}


def spread(cell: dict[str, float] | None) -> str:
    """A ratio with the middle half of its rounds."""
    return f"{cell['ratio']:.2f} ({cell['low']:.2f}–{cell['high']:.2f})" if cell else ""


def page(data: Path) -> str:
    """The whole page."""
    sections = {"releases": releases, "families": families, "gpu": gpu}
    seen = {name: data / f"{name}.json" for name in sections}
    found = {name: json.loads(file.read_text(encoding="utf-8")) for name, file in seen.items() if file.exists()}
    template = Path(__file__).with_name("compatibility.md.j2")
    return render(template, **{name: sections[name](content) for name, content in found.items()})


if __name__ == "__main__":
    docs = ROOT / "docs"
    data, file = [Path(word) for word in sys.argv[1:] if word != "--check"] or (
        docs / "compatibility",
        docs / "compatibility.md",
    )
    sys.exit(write_or_check(file, page(data)))
