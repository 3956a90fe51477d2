"""What a folder of runs remembers of itself, so that the same command goes on with it and no other one does."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from yolo_wiou.compare.run import RESULT, RUNNING, RUNS, Stored
from yolo_wiou.errors import ConfigError
from yolo_wiou.files import STUDY, write_json
from yolo_wiou.locks import locked

PlanT = TypeVar("PlanT", bound="Plan")


class Plan(Stored):
    """Runs that are to be trained in one folder.

    Attributes:
        kind: what messages call it.
        command: which one has them trained.
    """

    kind: ClassVar[str] = "study"
    command: ClassVar[str] = "compare"

    def save(self, folder: Path) -> None:
        """Write study.json."""
        write_json(folder / STUDY, self.plain())

    @classmethod
    def load(cls: type[PlanT], folder: Path) -> PlanT:
        """Read study.json."""
        return cls.model_validate_json((folder / STUDY).read_text(encoding="utf-8"))

    @contextlib.contextmanager
    def claim(self, folder: Path) -> Iterator[None]:
        """Hold a folder for these runs alone, with study.json in it and nothing left of runs that were cut off.

        Raises:
            ConfigError: other runs or other files lie there, or another process works there.
        """
        self.check(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / ".lock", f"another process is working in '{folder}'."):
            is_begun = self.check(folder)  # by now another process may have trained, and gone
            shutil.rmtree(folder / RUNNING, ignore_errors=True)
            if not is_begun:
                self.forget(folder)
            self.save(folder)
            yield

    def forget(self, folder: Path) -> None:
        """Remove what runs that failed have left: it may have been by arguments that have changed since."""
        shutil.rmtree(folder / RUNS, ignore_errors=True)

    def check(self, folder: Path) -> bool:
        """Refuse a folder in which other runs have begun, or other files lie; returns whether these have begun.

        They have begun with the first finished run, with which others could not go on.

        Raises:
            ConfigError: with what differs.
        """
        if not (folder / STUDY).is_file():
            if any(not file.name.startswith(".") for file in folder.glob("*")):  # the lock, a draft, a file manager's
                raise ConfigError(
                    f"'{folder}' holds other files. Give the {self.kind} a folder of its own with out=..."
                )
            return False
        try:
            there = self.load(folder)
        except ValueError as error:
            raise ConfigError(
                f"'{folder / STUDY}' is no {self.kind} of {self.command}. Give this one a folder with out=."
            ) from error
        if not any(folder.glob(f"{RUNS}/*/*/*/{RESULT}")):
            return False
        if differences := self.differences(there):
            raise ConfigError(
                f"'{folder}' holds another {self.kind}: {'; '.join(differences)}. "
                "Repeat the command it was started with to go on with it, or give this one a folder with out=..."
            )
        return True

    def differences(self, there: Plan) -> list[str]:
        """Say what differs from a folder's own."""
        return list(different(there.plain(), self.plain()))


def different(there: Mapping[str, Any], here: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Say what differs between two mappings, down to single settings."""
    for key in dict.fromkeys([*there, *here]):
        old, new = there.get(key), here.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from different(old, new, f"{prefix}{key}.")
        elif key not in there or key not in here:
            yield f"{prefix}{key} is only {'there' if key in there else 'here'}"
        elif old != new:
            yield f"{prefix}{key} is {_short(old)} there and {_short(new)} here"


def _short(value: Any) -> str:
    """Return a value as a sentence has room for it: of a long list its length and ends."""
    is_long = isinstance(value, list) and len(value) > 7
    return f"{len(value)} values from {value[0]} to {value[-1]}" if is_long else str(value)
