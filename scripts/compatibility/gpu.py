"""What works on a CUDA GPU, and what it costs there: one command, eight minutes.

    python scripts/compatibility/gpu.py               writes docs/compatibility/gpu.json and its pages
    python scripts/compatibility/gpu.py device=cpu    a rehearsal without a GPU: tells the same, and writes nothing

gpu_checks.py has the checks; each runs in a process of its own, since after an error on a GPU nothing else works in
that one. What is not there (a second GPU, time) is told, and no figure is written that was not measured on a GPU.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import torch
from gpu_checks import CHECKS, ROOT
from timing import machine

MINUTES = 8
OUT = ROOT / "docs" / "compatibility" / "gpu.json"
PAGES = [ROOT / "scripts" / name for name in ("compatibility/compatibility_page.py", "bench/performance_page.py")]


def run(command: list[str], seconds: float) -> subprocess.CompletedProcess[str] | None:
    """Run a command; None where it is not done in time, and all that it has started is ended with it."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except BaseException as error:  # the ranks of a training would hold a GPU that the next checks measure
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                return None
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def look(name: str, device: str, seconds: float) -> dict[str, Any]:
    """Run a check; its row: outcome, note and figures."""
    gpus = torch.cuda.device_count() if device == "cuda" else 0
    if CHECKS[name].gpus > gpus:
        return {"check": name, "outcome": "not run", "note": f"needs {CHECKS[name].gpus} GPU(s), and there are {gpus}"}
    if seconds <= 0:
        return {"check": name, "outcome": "not run", "note": "the time was over"}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(ROOT / "scripts" / "compatibility" / "gpu_checks.py"), name, device, folder]
        done = run(command, seconds)
    if not done:
        return {"check": name, "outcome": "not run", "note": "not done when its time was over"}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {"check": name, "outcome": "failed", "note": last[:300]}
    return {"check": name, "outcome": "passed", **json.loads(done.stdout.strip().splitlines()[-1])}


def main(argv: list[str]) -> int:
    """Check, tell, and write what a GPU has said; 1 where a check fails, 2 where there is no GPU."""
    device = "cpu" if argv == ["device=cpu"] else "cuda"
    if (argv and device == "cuda") or (device == "cuda" and not torch.cuda.is_available()):
        print("gpu.py needs a CUDA GPU; without one `device=cpu` rehearses it, and nothing else", file=sys.stderr)
        return 2
    limit = 60 * (MINUTES if device == "cuda" else 10 * MINUTES)
    end, longest = time.monotonic() + limit, limit / 2  # a check that hangs leaves time for the others
    rows = []
    for name in CHECKS:
        start = time.monotonic()
        rows.append({**look(name, device, min(end - start, longest)), "seconds": round(time.monotonic() - start)})
        print(f"{name}: {rows[-1]['outcome']}, {rows[-1]['note']} ({rows[-1]['seconds']} s)", flush=True)
        if device == "cuda":  # a run may be cut short
            OUT.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n", encoding="utf-8")
    if device == "cuda":
        for page in PAGES:
            subprocess.run([sys.executable, str(page)], check=True)
    else:
        print("A rehearsal: nothing is written, for nothing of it was seen on a GPU.")
    return int(any(row["outcome"] == "failed" for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
