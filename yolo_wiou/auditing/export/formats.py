"""The formats, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from yolo_wiou.auditing.export.cleanlab import cleanlab
from yolo_wiou.auditing.export.cvat import cvat
from yolo_wiou.auditing.export.fiftyone import fiftyone
from yolo_wiou.auditing.export.label_studio import label_studio
from yolo_wiou.auditing.export.pictures import Files
from yolo_wiou.auditing.report import Report
from yolo_wiou.errors import ConfigError, choices
from yolo_wiou.files import write_whole

FORMATS: Mapping[str, Callable[[Report], Files]] = {
    "fiftyone": fiftyone,
    "cleanlab": cleanlab,
    "cvat": cvat,
    "labelstudio": label_studio,
}
"""What writes for each tool."""


def export(report: Report, folder: Path | str, formats: Iterable[str]) -> list[Path]:
    """Write what an audit found for other tools.

    >>> export(report, "runs/audit", ["cvat", "fiftyone"])  # doctest: +SKIP

    Args:
        report: of the audit.
        folder: where to; made if it is not there.
        formats: fiftyone, cleanlab, cvat or labelstudio.

    Returns:
        The files.

    Raises:
        ConfigError: a format is unknown, or cannot hold labels of this task.
    """
    check_formats(formats := list(formats), report.task)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: content for format in formats for name, content in FORMATS[format](report).items()}
    for name, content in files.items():
        write_whole(folder / name, content)
    return [folder / name for name in files]


def check_formats(formats: Iterable[str], task: str | None = None) -> None:
    """Refuse formats that are unknown, or cannot hold the labels of a task, if that is known.

    Raises:
        ConfigError: with the valid choices.
    """
    for name in formats:
        if name not in FORMATS:
            raise ConfigError(f"'export={name}' is unknown. {choices(name, FORMATS)}")
        if name == "cleanlab" and task == "obb":
            raise ConfigError("'export=cleanlab': cleanlab knows upright boxes alone, no rotated ones.")
