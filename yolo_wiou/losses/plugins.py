"""Losses of other packages, named by an entry point.

A package says so in its pyproject.toml, and nothing else is needed, in the workers of a multi-GPU run neither::

    [project.entry-points."yolo_wiou.losses"]
    my-losses = "my_package.losses"
"""

import functools
import warnings
from importlib.metadata import EntryPoint, entry_points

GROUP = "yolo_wiou.losses"


@functools.cache
def not_yet_loaded() -> list[EntryPoint]:
    """The entry points that are still to be loaded."""
    return list(entry_points(group=GROUP))


def load_plugins() -> None:
    """Import what registers losses, once; a plugin that fails is named in a warning and left out."""
    while not_yet_loaded():
        plugin = not_yet_loaded().pop()
        try:
            plugin.load()
        except Exception as error:  # whatever it is, it must not take the rest of the losses with it
            warnings.warn(f"the losses of '{plugin.name}' ({plugin.value}) are left out: {error!r}", stacklevel=2)
