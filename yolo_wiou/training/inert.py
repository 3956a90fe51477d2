"""What a .pt file holds, read without executing any of it: objects are empty shells with the attributes they had."""

import collections
import contextlib
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from yolo_wiou.errors import ConfigError

DAMAGE = zipfile.BadZipFile, pickle.PickleError, EOFError, LookupError, TypeError, ValueError, AttributeError
"""What the standard library raises where a file is no archive, is cut off, or holds other bytes than a pickle."""
OLD_FORMAT = 0x1950A86A20F9469CFC6C
"""The number that a file of PyTorch begins with where it is no archive but pickles one after the other."""


class Shell:
    """Stands for an object of any class: keeps its attributes, and does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> "Shell":
        """Make one, whatever the object was made of."""
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        """Take nothing from it."""

    def __setstate__(self, state: Any) -> None:
        """Keep what the object would have been restored from."""
        if isinstance(state, dict):
            self.__dict__.update(state)

    def __setitem__(self, key: Any, value: Any) -> None:
        """Take an item of what was a mapping."""

    def append(self, item: Any) -> None:
        """Take an item of what was a list."""

    def extend(self, items: Any) -> None:
        """Take items of what was a list."""


class InertUnpickler(pickle.Unpickler):
    """Reads a pickle in which every class and function is a Shell: none is imported, none is called.

    Attributes:
        names: the classes and functions that the pickle asks for, as (module, name).
    """

    def __init__(self, *args: Any) -> None:
        """Start with no names."""
        super().__init__(*args)
        self.names: dict[tuple[str, str], type] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Give a Shell of its own for every name, and the one plain type that dictionaries of weights have."""
        is_plain = (module, name) == ("collections", "OrderedDict")
        shell = collections.OrderedDict if is_plain else type(name, (Shell,), {"__module__": module})
        return self.names.setdefault((module, name), shell)

    def persistent_load(self, pid: Any) -> Any:
        """Leave out the numbers of a tensor; in the old format classes of modules stand here too, with their source."""
        return pid[1] if pid[0] == "module" else None


@contextlib.contextmanager
def open_pickle(path: Path) -> Iterator[IO[bytes]]:
    """Open what a file of `torch.save` was pickled into: a file of an archive, or in the old format the fourth pickle.

    Raises:
        ConfigError: it is an exported model.
    """
    with path.open("rb") as file:
        if file.peek(1)[:1] == pickle.PROTO:
            number, _protocol, _machine = (InertUnpickler(file).load() for _ in range(3))
            if number != OLD_FORMAT:
                raise pickle.UnpicklingError("a pickle, and not PyTorch's")
            yield file
            return
        with zipfile.ZipFile(file) as archive:
            files = {name.partition("/")[2]: name for name in archive.namelist()}
            if "constants.pkl" in files:
                raise ConfigError(f"'{path}' is an exported model (TorchScript); the weights it came from are needed.")
            with archive.open(files["data.pkl"]) as stream:
                yield stream


def read_inert(path: Path) -> tuple[Any, list[tuple[str, str]]]:
    """Read a file of `torch.save`.

    Returns:
        What was saved, all but plain values as shells, and the (module, name) of everything that it is made of.

    Raises:
        ConfigError: it is no such file, or a damaged one.
    """
    try:
        with open_pickle(path) as stream:
            unpickler = InertUnpickler(stream)
            content = unpickler.load()
    except ConfigError:
        raise
    except OSError as error:
        raise ConfigError(f"cannot read '{path}': {error.strerror or error}.") from error
    except DAMAGE as error:
        raise ConfigError(f"'{path}' is no checkpoint, or a damaged one ({type(error).__name__}).") from error
    return content, list(unpickler.names)
