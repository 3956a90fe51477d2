"""Run the release suite, the tests marked `release`, over Ultralytics releases; write docs/compatibility/releases.json.

    python scripts/check_releases.py                  # the fixed list and the newest release on the index
    python scripts/check_releases.py 8.4.0 8.4.33     # these alone; the other rows of the table stay
    python scripts/check_releases.py --newest         # the newest alone, for a job that runs every week

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
import tempfile
import time
import venv
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import compatibility

ROOT = Path(__file__).parent.parent
RELEASES = ["8.3.0", "8.3.100", "8.3.253", "8.4.0", "8.4.33", "8.4.95", "8.4.104", "8.4.140", "8.4.154", "8.4.190"]
TASKS = ["detect", "segment", "pose", "obb"]
CHECKS = [*(f"parity {task}" for task in TASKS), "wiou3", "resume", "portable", "safe load"]
OUTCOMES = ["passed", "absent", "stock fails", "failed"]
"""From good to bad; a check is as good as the worst of its tests. `absent`: the release has no such thing."""
LIMIT = 1800  # seconds a release
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


def run_suite(python: str) -> dict[str, dict[str, str]]:
    """Run the suite with a Python; returns outcome and note of every check, whatever happens."""
    with tempfile.TemporaryDirectory() as folder:
        junit = Path(folder) / "junit.xml"
        command = [python, "-m", "pytest", "-m", "release", "-n", "0", "-q", "-p", "no:cacheprovider", "--tb=short"]
        more = ["--show-capture=no", "--continue-on-collection-errors", f"--junitxml={junit}", "tests/training"]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        try:
            done = subprocess.run([*command, *more], cwd=ROOT, env=env, capture_output=True, text=True, timeout=LIMIT)
            said = (done.stdout + done.stderr).strip()
        except subprocess.TimeoutExpired:
            said = f"not done after {LIMIT} s"
        print(said, flush=True)
        results = outcomes(junit.read_text(encoding="utf-8")) if junit.exists() else {}
    missing = {"outcome": "failed", "note": "did not run: " + (said.splitlines() or ["no output"])[-1]}
    return {check: results.get(check, missing) for check in CHECKS}


def outcomes(junit: str) -> dict[str, dict[str, str]]:
    """Outcome and note of the checks in a JUnit report."""
    results: dict[str, dict[str, str]] = {}
    for case in ElementTree.fromstring(junit).iter("testcase"):
        named = case.find("properties/property[@name='check']")
        if named is None:
            continue
        result = outcome(case)
        worst = results.get(named.attrib["value"], result)
        results[named.attrib["value"]] = max(worst, result, key=lambda r: OUTCOMES.index(r["outcome"]))
    return results


def outcome(case: ElementTree.Element) -> dict[str, str]:
    """Outcome and note of one test."""
    for tag in ("failure", "error", "skipped"):
        found = case.find(tag)
        if found is not None:
            kind, _, said = found.attrib["message"].partition(": ")
            if kind.endswith("StockFails"):
                return {"outcome": "stock fails", "note": first_line(said)}
            return {"outcome": "absent" if tag == "skipped" else "failed", "note": first_line(found.attrib["message"])}
    return {"outcome": "passed"}


def first_line(text: str) -> str:
    """The first line of a message, not too long for a table's footnote."""
    return text.strip().partition("\n")[0][:200]


def check(release: str, folder: Path) -> dict[str, Any]:
    """One row of the table."""
    start = time.time()
    today, system = datetime.date.today().isoformat(), f"{platform.system()} {platform.machine()}"
    row: dict[str, Any] = {"release": release, "date": today, "platform": system}
    try:
        python = environment(release, folder / release)
        row |= json.loads(subprocess.run([python, "-c", FACTS], check=True, capture_output=True, text=True).stdout)
        row["checks"] = run_suite(python)
    except subprocess.CalledProcessError as error:
        row["checks"] = {name: {"outcome": "failed", "note": f"no environment: {error}"} for name in CHECKS}
    return {**row, "seconds": round(time.time() - start)}


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
        compatibility.update_release(row)
        seen = {name: result["outcome"] for name, result in row["checks"].items()}
        print(f"{release}, {row['seconds']} s: {seen}", flush=True)
        failed |= "failed" in seen.values()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
