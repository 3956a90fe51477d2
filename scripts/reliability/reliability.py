"""Try to lose something: kill runs, fill disks, start two processes on one folder, feed hostile files.

    python scripts/reliability/reliability.py [NAME ...] [jobs=2] [kills=56] [out=docs/reliability]

NAME is one of the experiments below; without a name, all whose figures are not there yet, and those that lost something
again. Each writes OUT/NAME.json when it is over; reliability_page.py makes a page of them. Exit code 1 where anything
was lost. On a machine of two cores that was busy with other work, their times added up to 80 minutes.
"""

from __future__ import annotations

import datetime
import functools
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ["YOLO_OFFLINE"] = "true"  # before the first import of ultralytics
os.environ.setdefault("YOLO_CONFIG_DIR", tempfile.mkdtemp(prefix="yolo-wiou-"))

import torch
import ultralytics

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests")]
import folders
import growth
import hostile
import kills
import ranks
from runs import Row

EXPERIMENTS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "random-kills": kills.random_moments,
    "kills-at-saves": kills.every_save,
    "kills-at-the-end": kills.every_end,
    "full-disk": folders.full_disk,
    "two-processes": folders.two_processes,
    "moved-and-copied": folders.moved_and_copied,
    "hostile-losses": hostile.losses,
    "odd-data-files": hostile.data_files,
    "damaged-results": hostile.results,
    "foreign-checkpoints": hostile.checkpoints,
    "dead-ranks": ranks.dead_ranks,
    "thousand-classes": growth.thousand_classes,
    "two-hundred-epochs": growth.two_hundred_epochs,
}


def experiment(name: str, try_: Callable[[Path], Iterator[Row]], out: Path) -> bool:
    """Run one, and write down what was seen; returns whether nothing was lost."""
    start, found = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder:
        for row in try_(Path(folder).resolve()):
            print(f"{name}: {row.tried}: {row.seen}. Lost: {row.lost or 'nothing'}.", flush=True)
            found.append({key: text.replace(f"{Path(folder).resolve()}/", "") for key, text in asdict(row).items()})
    seen: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "platform": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, torch "
        f"{torch.__version__}, Ultralytics {ultralytics.__version__}",
        "seconds": round(time.monotonic() - start),
        "rows": found,
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(seen, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return not any(row["lost"] for row in found)


def is_done(file: Path) -> bool:
    """Whether an experiment has been run and lost nothing."""
    return file.exists() and not any(row["lost"] for row in json.loads(file.read_text(encoding="utf-8"))["rows"])


def main(argv: list[str]) -> int:
    """Run those that are asked for, or that are missing."""
    options = {"jobs": "2", "kills": "56", "out": str(ROOT / "docs" / "reliability")}
    options |= dict(word.split("=", 1) for word in argv if "=" in word)
    out, names = Path(options["out"]), [word for word in argv if "=" not in word]
    if unknown := set(names) - set(EXPERIMENTS):
        print(f"unknown: {', '.join(unknown)}. Valid: {', '.join(EXPERIMENTS)}.", file=sys.stderr)
        return 2
    tried = dict(EXPERIMENTS)
    tried["random-kills"] = functools.partial(kills.random_moments, kills=int(options["kills"]))
    names = names or [name for name in EXPERIMENTS if not is_done(out / f"{name}.json")]
    with ThreadPoolExecutor(int(options["jobs"])) as pool:
        return 0 if all(list(pool.map(lambda name: experiment(name, tried[name], out), names))) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
