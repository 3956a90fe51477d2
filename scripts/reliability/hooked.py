"""A command of `yolo-wiou` or, as `yolo`, of stock to which something happens, in a process of its own.

    python hooked.py "stop_after=2" yolo-wiou train data=…

The first word says what: `stop_after=N`, it ends as it should when the N-th epoch is saved; `die_at=N in=save|end`, it
is killed before the N-th file operation of the second epoch's end, or of the run's; `die_after=SECONDS in=…`, by the
clock; `largest_file=BYTES`; `watch=FILE`, it writes down memory and descriptors after every epoch. The command
`publish FOLDER` writes the report of a study.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
from ultralytics.utils import callbacks

WRITING = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"}
"""Audit events before which a process may be killed; an `open` counts where it is for writing."""


def on(event: str, call: Any) -> None:
    """Hear an event of every trainer in this process."""
    callbacks.base.default_callbacks[event].append(call)


def stop_after(epochs: str) -> None:
    """End as soon as these epochs are saved."""
    on("on_model_save", lambda trainer: os._exit(0) if trainer.epoch + 1 == int(epochs) else None)


def largest_file(size: str) -> None:
    """Let no file grow beyond a size, in bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), resource.RLIM_INFINITY))


def watch(file: str) -> None:
    """Write down the resident memory and the open descriptors after every epoch."""
    process, lines = psutil.Process(), open(file, "w", buffering=1)  # noqa: SIM115

    def note(trainer: Any) -> None:
        seen = {"rss": process.memory_info().rss, "descriptors": process.num_fds()}
        lines.write(json.dumps({"epoch": trainer.epoch + 1, **seen}) + "\n")

    on("on_fit_epoch_end", note)


def die(phase: str, start: Any) -> None:
    """Call `start(trainer)` when a phase begins: the end of the second epoch, or that of the run."""
    if phase == "save":
        on("on_train_epoch_end", lambda trainer: start(trainer) if trainer.epoch == 1 else None)
    else:
        on("on_fit_epoch_end", lambda trainer: start(trainer) if trainer.epoch + 1 == trainer.epochs else None)


def die_at(number: str, phase: str) -> None:
    """Be killed before the number-th operation in the run's folder."""

    def start(trainer: Any) -> None:
        left, folder = int(number), str(trainer.save_dir)

        def hear(event: str, args: tuple[Any, ...]) -> None:
            nonlocal left
            if event in WRITING and is_written(event, args, folder):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        def is_saved(trainer: Any) -> None:
            nonlocal left
            left = 0  # an audit hook cannot be taken away again

        sys.addaudithook(hear)
        trainer.add_callback("on_model_save", is_saved)

    die(phase, start)


def is_written(event: str, args: tuple[Any, ...], folder: str) -> bool:
    """Whether an audit event is an operation in a folder that changes it."""
    reads = event == "open" and not (args[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    below = str(args[0]).startswith(folder) or (event in {"os.remove", "os.rmdir"} and args[-1] != -1)
    return below and not reads  # rmtree names what it removes by a descriptor


def die_after(seconds: str, phase: str) -> None:
    """Be killed that long after a phase has begun; by the kernel, in the middle of whatever it is."""
    die(phase, lambda trainer: signal.setitimer(signal.ITIMER_REAL, float(seconds)))


def main(hooks: str, command: str, *argv: str) -> int:
    """Set the hooks up and run the command."""
    options = dict(hook.split("=", 1) for hook in hooks.split())
    phase = options.pop("in", "")
    for name, value in options.items():
        globals()[name](value, *([phase] if phase else []))
    sys.argv = [command, *argv]
    if command == "yolo":
        from ultralytics.cfg import entrypoint

        entrypoint()
        return 0
    if command == "publish":
        from yolo_wiou.compare.run_study import publish
        from yolo_wiou.compare.study import Study

        publish(Study.load(Path(argv[0])), Path(argv[0]))
        return 0
    from yolo_wiou.__main__ import main as yolo_wiou

    return yolo_wiou()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
