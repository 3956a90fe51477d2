"""The catalogue in words: what every preset is, for the command line and the docs."""

from __future__ import annotations

import shutil
import textwrap
from typing import Any

from yolo_wiou.config import LossConfig, about
from yolo_wiou.training.families import TRAINERS


def listing() -> str:
    """Return all presets: formula, what each is good for, settings, source and tasks."""
    width = shutil.get_terminal_size((10_000, 0)).columns  # a pipe has no width
    lines = []
    for name, description, config in about():
        settings = "  ".join([*settings_of(config), paper_of(description)])
        rows = description["formula"], f"good for: {description['good_for']}", settings, f"tasks: {tasks_of(config)}"
        for head, row in zip((name, "", "", ""), rows, strict=True):
            lines.append(textwrap.fill(f"{head:20}{row}", width, subsequent_indent=" " * 22, break_on_hyphens=False))
    lines.append("\n'yolo-wiou losses NAME' prints one as YAML; edit it and pass it back as loss=FILE.yaml.")
    return "\n".join(line for line in lines if line.strip())


def tasks_of(config: LossConfig) -> str:
    """Return where a loss has a meaning: tasks, and families with boxes of their own kind."""
    return ", ".join(dict.fromkeys(trainer.kind for trainer in TRAINERS if trainer.takes(config)))


def settings_of(config: LossConfig) -> list[str]:
    """Return the dotted settings in which a preset differs from the empty configuration, with their values."""
    default = LossConfig().model_dump(mode="json")
    settings = []
    for section, value in config.model_dump(mode="json").items():
        for key, item in value.items() if isinstance(value, dict) else [("", value)]:
            plain = default[section].get(key) if isinstance(value, dict) else default[section]
            if item != plain and section != "name":
                settings.append(f"{section}.{key}={item}".replace(".=", "="))
    return settings


def paper_of(description: dict[str, Any]) -> str:
    """Return where a loss comes from."""
    paper = description["paper"]
    return f"[{'arXiv ' if paper[:1].isdigit() else ''}{paper}]" if paper else ""
