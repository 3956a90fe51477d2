"""Write docs/reliability.md from docs/reliability/*.json, where reliability.py leaves what it saw.

    python scripts/reliability/reliability_page.py [DATA PAGE] [--check]

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

SECTIONS = {
    "random-kills": (
        "Killed at random moments",
        "One run is killed with SIGKILL again and again, and resumed: each time at a moment drawn over three epochs, "
        "counted from when its loss is in place.",
    ),
    "kills-at-saves": (
        "Killed while it saves",
        "SIGKILL before the first file operation in the run's folder after the last batch of an epoch, in the next run "
        "before the second, and so on until there is none left.",
    ),
    "kills-at-the-end": (
        "Killed at its end",
        "Likewise from when the last epoch is saved, while Ultralytics takes the optimizer out of both checkpoints; "
        "and by the clock, in the middle of whatever is going on.",
    ),
    "full-disk": (
        "A full disk",
        "The disk fills up while a run trains, which must end with an error and keep its last checkpoint. Then there "
        "is room again.",
    ),
    "two-processes": (
        "Two processes, one folder",
        "The second has to be refused with exit code 2, and the first to end as if it had been alone.",
    ),
    "moved-and-copied": (
        "Moved and copied runs",
        "A run goes on where its checkpoint lies; the original of a copy stays as it is, byte for byte.",
    ),
    "hostile-losses": (
        "Losses by strangers",
        "Each file is given to `train loss=FILE`, some to `compare`. It trains or is refused with exit code 2, within "
        "1.5 GB, 90 s and 5,000 characters; it writes nothing where it is refused, and nothing outside the run's "
        "folder.",
    ),
    "odd-data-files": (
        "Data files in odd encodings",
        "Where stock Ultralytics trains, so must `yolo-wiou`.",
    ),
    "damaged-results": (
        "A damaged results.csv",
        "Beside a checkpoint that is whole: the run must go on and end with the right weights.",
    ),
    "foreign-checkpoints": (
        "Checkpoints by strangers",
        "Each has to be refused with exit code 2, whatever names it. `checks` may say what is in it, but never run "
        "anything of it; a training loads weights as Ultralytics does, which runs what is in them unless "
        "`ULTRALYTICS_SAFE_LOAD=1` is set.",
    ),
    "dead-ranks": (
        "Ranks that die",
        "SIGKILL to one rank or both after the first batch of the second epoch. Who is left has to end with an error, "
        "and the run has to go on from the first epoch.",
    ),
    "thousand-classes": (
        "Many classes",
        "The report of `compare`; half a gigabyte more than for a single image is allowed.",
    ),
    "two-hundred-epochs": (
        "Memory and descriptors over many epochs",
        "Slope of the resident memory by Theil and Sen with its 95 % interval, beside stock Ultralytics on the same "
        "data. The interval is within a run: in another run stock grew by 3 kB an epoch.",
    ),
}


def section(name: str, seen: dict[str, Any]) -> dict[str, str]:
    """One experiment."""
    title, words = SECTIONS[name]
    rows = [[row["tried"], row["seen"], f"**{row['lost']}**" if row["lost"] else "nothing"] for row in seen["rows"]]
    ran = f"{seen['date']}, {seen['platform']}."
    return {"title": title, "words": words, "table": table(["tried", "seen", "lost"], rows), "ran": ran}


def page(data: Path) -> str:
    """The whole page."""
    files = {name: data / f"{name}.json" for name in SECTIONS}
    found = {name: json.loads(file.read_text(encoding="utf-8")) for name, file in files.items() if file.exists()}
    sections = [section(name, seen) for name, seen in found.items()]
    return render(Path(__file__).with_name("reliability.md.j2"), sections=sections)


if __name__ == "__main__":
    docs = ROOT / "docs"
    words = [Path(word) for word in sys.argv[1:] if word != "--check"]
    data, file = words or (docs / "reliability", docs / "reliability.md")
    sys.exit(write_or_check(file, page(data)))
