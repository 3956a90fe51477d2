"""Run the release suite, the tests marked `release`, over Ultralytics releases; write docs/compatibility/releases.json.

    python scripts/compatibility/releases.py                  # the fixed list and the newest release on the index
    python scripts/compatibility/releases.py 8.4.0 8.4.33     # these alone; the other rows of the table stay
    python scripts/compatibility/releases.py --newest         # the newest alone, for a job that runs every week

Every release gets an environment of its own on top of the present one: pip installs the release there with what its
own metadata asks for and the present environment has not (8.3.0 wants numpy below 2); the rest is shared.
Exit code 1 where a check fails that stock Ultralytics passes.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import sysconfig
import time
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from helpers.release_suite import CHECKS, run_suite

RELEASES = ["8.3.0", "8.3.100", "8.3.253", "8.4.0", "8.4.33", "8.4.95", "8.4.104", "8.4.140", "8.4.154", "8.4.190"]
FACTS = """
import json, platform, numpy, torch
from importlib.metadata import version
facts = {"release": version("ultralytics"), "python": platform.python_version()}
print(json.dumps({**facts, "torch": torch.__version__, "numpy": numpy.__version__}))
"""


def newest() -> str:
    """The newest release of Ultralytics on the index."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--no-deps", "--ignore-installed"]
    report = subprocess.run([*command, "--report", "-", "ultralytics"], check=True, capture_output=True, text=True)
    return str(json.loads(report.stdout)["install"][0]["metadata"]["version"])


def environment(release: str, folder: Path) -> str:
    """Make, or bring up to date, the environment of a release; returns its Python."""
    base = {"base": str(folder), "platbase": str(folder)}
    venv.create(folder, symlinks=os.name != "nt")
    shared = Path(sysconfig.get_path("purelib", vars=base)) / "shared.pth"
    shared.write_text(sysconfig.get_path("purelib") + "\n")
    python = str(Path(sysconfig.get_path("scripts", vars=base)) / Path(sys.executable).name)
    subprocess.run([python, "-m", "pip", "install", "--quiet", f"ultralytics=={release}"], check=True)
    return python


def check(release: str, folder: Path) -> dict[str, Any]:
    """One row of the table."""
    start = time.time()
    today, system = datetime.date.today().isoformat(), f"{platform.system()} {platform.machine()}"
    row: dict[str, Any] = {"release": release, "date": today, "platform": system}
    try:
        python = environment(release, folder / release)
        row |= json.loads(subprocess.run([python, "-c", FACTS], check=True, capture_output=True, text=True).stdout)
        row["checks"] = run_suite(python, ROOT)
    except subprocess.CalledProcessError as error:
        row["checks"] = {name: {"outcome": "failed", "note": f"no environment: {error}"} for name in CHECKS}
    return {**row, "seconds": round(time.time() - start)}


def update(row: dict[str, Any]) -> None:
    """Put a release's row in the place of its former one, and write the page."""
    file = ROOT / "docs" / "compatibility" / "releases.json"
    old = json.loads(file.read_text(encoding="utf-8"))["rows"] if file.exists() else []
    rows = {former["release"]: former for former in old} | {row["release"]: row}
    ordered = sorted(rows.values(), key=lambda r: [int(part) for part in r["release"].split(".")])
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"rows": ordered}, indent=1, ensure_ascii=False) + "\n", "utf-8")
    subprocess.run([sys.executable, str(Path(__file__).with_name("compatibility_page.py"))], check=True)


def main() -> int:
    """Check the releases that are asked for, and bring the table up to date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("releases", nargs="*", metavar="RELEASE", help="e.g. 8.4.0")
    parser.add_argument("--newest", action="store_true", help="the newest release on the index")
    parser.add_argument("--folder", type=Path, default=ROOT / ".releases", help="where the environments are kept")
    options = parser.parse_args()
    releases = options.releases or ([] if options.newest else RELEASES)
    if options.newest or not options.releases:
        releases = [*releases, newest()]

    failed = False
    for release in dict.fromkeys(releases):
        row = check(release, options.folder.resolve())
        update(row)
        seen = {name: result["outcome"] for name, result in row["checks"].items()}
        print(f"{release}, {row['seconds']} s: {seen}", flush=True)
        failed |= "failed" in seen.values()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
