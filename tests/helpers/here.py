"""A runner without processes: what it is given is done, in this very process, when it has started."""

from __future__ import annotations

from pathlib import Path

from yolo_wiou.compare.run import LOG, Run
from yolo_wiou.compare.worker import train_and_detect


class Here:
    """A job.

    Attributes:
        done: the runs that were trained, by their data set's name.
        fail: those that fail instead.
    """

    done: list[str]
    fail: tuple[str, ...] = ()

    def __init__(self, folder: Path) -> None:
        """Do it."""
        run = Run.load(folder)
        if run.data in self.fail:
            (folder / LOG).write_text("no such luck\n")
            return
        self.done.append(run.data)
        train_and_detect(run, folder)

    def has_ended(self) -> bool:
        return True

    def stop(self) -> None: ...


def runner(*fail: str) -> type[Here]:
    """A fresh one."""
    return type("Fresh", (Here,), {"done": [], "fail": fail})
