"""The runs of a study on a Ray cluster.

Every node needs this package and the data set and model at the same path as here; what a run writes comes back through
Ray. A run asks for one GPU where the cluster has any, else for one CPU. A run whose node dies starts again on another.
"""

from __future__ import annotations

import contextlib
import io
import os
import socket
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # read once: a new cluster then listens on loopback

import ray

from yolo_wiou.compare.run import LOG
from yolo_wiou.compare.runner import PAUSE, ROOT, WORKER, LocalJob, RunnerError
from yolo_wiou.errors import ConfigError

RETRIES = 3
"""How often a run is started again whose node or worker died."""


class RayRunner:
    """Starts jobs on a cluster.

    Args:
        address: as `ray.init` takes it; where it is empty, a running cluster of this machine or a new one, which no
            other machine reaches.
        module: what does a job.

    Attributes:
        room: how many runs the cluster takes at a time.

    Raises:
        ConfigError: no cluster answers.
    """

    def __init__(self, address: str = "", module: str = WORKER) -> None:
        """Connect."""
        try:
            check_reachable(address)
            with working_directory(ROOT):  # which Ray puts first on its workers' path
                ray.init(
                    address=address or None, log_to_driver=False, include_dashboard=False, ignore_reinit_error=True
                )
            resources = ray.cluster_resources()
        except Exception as error:  # Ray raises a bare one where a cluster does not start in time
            missing = f"no Ray cluster answers at '{address}'" if address else "no Ray cluster starts here"
            raise ConfigError(f"{missing}: {first_line(error)}") from error
        gpus = 1 if resources.get("GPU") else 0
        self.room = int(resources.get("GPU" if gpus else "CPU", 0))
        if not self.room:
            raise ConfigError("the Ray cluster has neither a GPU nor a CPU for a run.")
        self.module = module
        self.work = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES, scheduling_strategy="SPREAD")(work)

    def __call__(self, folder: Path) -> RayJob:
        """Start a job somewhere."""
        with ray_may_fail():
            return RayJob(self.work.remote(self.module, pack(folder), os.getcwd()), folder)


@contextlib.contextmanager
def ray_may_fail() -> Iterator[None]:
    """Around a call of Ray, whose errors have no type in common.

    Raises:
        RunnerError: Ray, or the cluster, is gone.
    """
    try:
        yield
    except Exception as error:
        raise RunnerError(f"Ray: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """Return what an error says first."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


@contextlib.contextmanager
def working_directory(folder: Path) -> Iterator[None]:
    """Work in another folder for a moment."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def check_reachable(address: str) -> None:
    """See that something answers at `[ray://]HOST:PORT`; Ray itself would wait for minutes.

    Raises:
        OSError: nothing does.
        ValueError: the port is no number.
    """
    host, colon, port = address.rpartition("//")[2].rpartition(":")
    if colon:
        socket.create_connection((host, int(port)), timeout=10).close()


class RayJob:
    """A process somewhere in the cluster."""

    def __init__(self, result: Any, folder: Path) -> None:
        """Wait for a result, which is to lie in a folder of this machine."""
        self.result, self.folder = result, folder

    def has_ended(self) -> bool:
        """Whether the result has come; it lies in the folder then."""
        with ray_may_fail():
            if not ray.wait([self.result], timeout=0)[0]:
                return False
            try:
                unpack(ray.get(self.result), self.folder)
            except ray.exceptions.RayError as error:  # of this run; of a cluster that is gone the next look knows
                (self.folder / LOG).write_text(f"Ray lost this run: {error}\n", encoding="utf-8")
        return True

    def stop(self) -> None:
        """End the worker; its process ends with it, as with a cluster that is gone."""
        with contextlib.suppress(RunnerError), ray_may_fail():
            ray.cancel(self.result, force=True)


def work(module: str, files: bytes, cwd: str) -> bytes:
    """Do a job on a node, in a folder of its own; returns the folder's files.

    Args:
        module: what does it.
        files: packed, that its folder holds at first.
        cwd: working directory of the study, which paths may be relative to; nothing where this machine has none such.
    """
    with tempfile.TemporaryDirectory(prefix="yolo-wiou-") as scratch:
        folder = Path(scratch)
        unpack(files, folder)
        job = LocalJob(folder, module, Path(cwd) if Path(cwd).is_dir() else None)
        try:
            while not job.has_ended():
                time.sleep(PAUSE)
        finally:
            job.stop()
        return pack(folder)


def pack(folder: Path) -> bytes:
    """Return the files of a folder."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.add(folder, arcname=".")
    return stream.getvalue()


def unpack(files: bytes, folder: Path) -> None:
    """Write packed files into a folder."""
    with tarfile.open(fileobj=io.BytesIO(files)) as archive:
        archive.extractall(folder, filter="data")
