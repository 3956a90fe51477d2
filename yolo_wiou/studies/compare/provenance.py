"""What trained a run: versions, machine, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from yolo_wiou.version import __version__

PACKAGES = ("ultralytics", "torch", "torchvision", "numpy", "faster-coco-eval", "scipy")


def provenance() -> dict[str, Any]:
    """Versions, machine and commit of this process, as JSON takes them."""
    import torch

    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "commit": commit(Path(__file__).parents[2]),
        "versions": {"yolo-wiou": __version__} | {name: version for name in PACKAGES if (version := version_of(name))},
    }


def version_of(package: str) -> str | None:
    """Return the installed version of a package, if it is installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def processor() -> str:
    """Return the processor's name, as well as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def commit(package: Path) -> str | None:
    """Return the commit of a package's own checkout, with a + where it was changed; None where there is none."""
    if git(package, "rev-parse", "--show-prefix") != f"{package.name}/":
        return None
    described = git(package, "rev-parse", "--short=12", "HEAD")
    return described and described + ("+" if git(package, "status", "--porcelain", "--untracked-files=no") else "")


def git(folder: Path, *words: str) -> str | None:
    """Return what git prints, None where it fails."""
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
