"""The suite of tests marked `release`: what it checks, and its outcome with the Ultralytics of a Python."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from xml.etree import ElementTree

TASKS = ["detect", "segment", "pose", "obb"]
CHECKS = [*(f"parity {task}" for task in TASKS), "wiou3", "resume", "portable", "safe load"]
OUTCOMES = ["passed", "absent", "stock fails", "failed"]
"""From good to bad; a check is as good as the worst of its tests. `absent`: the release has no such thing."""
LIMIT = 1800  # seconds per release


def run_suite(python: str, root: Path) -> dict[str, dict[str, str]]:
    """Run the suite with a Python; returns outcome and note of every check, whatever happens."""
    with tempfile.TemporaryDirectory() as folder:
        junit = Path(folder) / "junit.xml"
        command = [python, "-m", "pytest", "-m", "release", "-n", "0", "-q", "-p", "no:cacheprovider", "--tb=short"]
        more = ["--show-capture=no", "--continue-on-collection-errors", f"--junitxml={junit}", "tests/training"]
        env = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
        try:
            done = subprocess.run([*command, *more], cwd=root, env=env, capture_output=True, text=True, timeout=LIMIT)
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
