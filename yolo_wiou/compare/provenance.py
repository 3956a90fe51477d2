"""What trained a run: versions, machine, commit."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from yolo_wiou.version import __version__

PACKAGES = ("ultralytics", "torch", "torchvision", "numpy", "faster-coco-eval", "scipy")


class Provenance(BaseModel):
    """Versions, machine and commit of a process; what a file of another release lacks is None, or empty."""

    model_config = ConfigDict(frozen=True)

    python: str | None = None
    system: str | None = None
    processor: str | None = None
    cores: int | None = None
    gpus: tuple[str, ...] = ()
    commit: str | None = None
    versions: dict[str, str] = {}


def provenance() -> Provenance:
    """Return the versions, machine and commit of this process."""
    import torch

    versions: dict[str, str | None] = {name: version_of(name) for name in PACKAGES}
    return Provenance(
        python=platform.python_version(),
        system=platform.platform(),
        processor=processor(),
        cores=os.cpu_count(),
        gpus=tuple(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())),
        commit=commit(Path(__file__).parents[1]),
        versions={"yolo-wiou": __version__} | {name: version for name, version in versions.items() if version},
    )


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


def git(folder: Path, *arguments: str) -> str | None:
    """Return what git prints, None where it fails."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
