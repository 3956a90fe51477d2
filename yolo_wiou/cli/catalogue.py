"""The catalogue of all presets as text, for the command line and the docs."""

import shutil
import textwrap
from typing import Any

from yolo_wiou.losses import LossConfig
from yolo_wiou.losses.presets import about, dotted, groups
from yolo_wiou.training.families import TRAINERS


def listing() -> str:
    """Return all presets by group: formula, what each is good for, settings, source and tasks."""
    width = shutil.get_terminal_size((10_000, 0)).columns  # a pipe has no width
    headings = {names[0]: group for group, names in groups().items()}
    lines: list[str] = []
    for name, description, config in about():
        if name in headings:
            lines.append(f"\n== {headings[name]}".removeprefix("" if lines else "\n"))
        settings = "  ".join(filter(None, [f"tasks: {tasks_of(config)}.", *settings_of(config), paper_of(description)]))
        texts = description["formula"], f"good for: {description['good_for']}", settings
        for head, text in zip((name, "", ""), texts, strict=True):
            lines.append(textwrap.fill(f"{head:20}{text}", width, subsequent_indent=" " * 22, break_on_hyphens=False))
    lines.append("\n'yolo-wiou losses NAME' prints one as YAML; edit it and pass it back as loss=FILE.yaml.")
    return "\n".join(lines)


def tasks_of(config: LossConfig) -> str:
    """Return where a loss has a meaning: tasks, and families with boxes of their own kind.

    >>> tasks_of(LossConfig(penalty="siou"))
    'all but obb'
    """
    takes = {trainer.kind: trainer.takes(config) for trainer in TRAINERS}
    taken, refused = ([kind for kind, takes_it in takes.items() if takes_it is wanted] for wanted in (True, False))
    if len(refused) >= len(taken):
        return ", ".join(taken)
    return f"all but {', '.join(refused)}" if refused else "all"


def settings_of(config: LossConfig) -> list[str]:
    """Return the dotted settings in which a preset differs from the empty configuration, with their values.

    >>> settings_of(LossConfig(penalty="siou", power=2))
    ['penalty.name=siou', 'penalty.theta=4.0', 'power=2.0']
    """
    defaults, settings = (dotted(loss.model_dump(mode="json")) for loss in (LossConfig(), config))
    return [f"{key}={value}" for key, value in settings.items() if key != "name" and value != defaults.get(key)]


def paper_of(description: dict[str, Any]) -> str:
    """Return where a loss comes from."""
    paper = description["paper"]
    return f"[{'arXiv ' if paper[:1].isdigit() else ''}{paper}]" if paper else ""
