"""Write docs/losses.md and its pictures from the catalogue.

    python scripts/docs/losses_page.py [--check]

The page is a pure function of cfg/losses/*.yaml and the registered functions, in the words of losses.md.j2. With
--check nothing is written; exit code 1 where the page is not that.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "scripts" / "docs")]
from latex import latex
from markdown import render, write_or_check

from yolo_wiou.cli.catalogue import settings_of, tasks_of
from yolo_wiou.losses import LossConfig, load_config
from yolo_wiou.losses.config import AXES
from yolo_wiou.losses.presets import about, groups
from yolo_wiou.losses.registry import Registry
from yolo_wiou.simulation import curves

DOCS = ROOT / "docs"


def describe(name: str, description: dict[str, str], config: LossConfig) -> dict[str, Any]:
    """What the template shows of a loss."""
    paper = description["paper"]
    arxiv = re.findall(r"\d{4}\.\d{5}", paper)
    source = ", ".join(f"[arXiv:{number}](https://arxiv.org/abs/{number})" for number in arxiv) or paper or "—"
    shown = {"source": source, "tasks": tasks_of(config), "parts": parts(config), "yaml": changes(config)}
    return {"name": name, **description, **shown, "latex": latex(description["formula"])}


def changes(config: LossConfig) -> str:
    """YAML of what a loss changes in the empty configuration."""
    sections: dict[str, Any] = {}
    for setting in settings_of(config):
        dotted, _, value = setting.partition("=")
        section, _, key = dotted.partition(".")
        if key:
            sections.setdefault(section, {})[key] = yaml.safe_load(value)
        else:
            sections[section] = yaml.safe_load(value)
    return yaml.safe_dump(sections or {"overlap": {"name": "iou"}}, sort_keys=False, default_flow_style=None)


def parts(config: LossConfig) -> str:
    """What the registered functions say of themselves, for the parts that are in use."""
    lines = []
    for registry in AXES:
        name = getattr(config, registry.axis).name
        if name not in {"none", "iou"}:  # plain IoU needs no words
            lines.append(f"- {registry.axis} `{name}`: {docstring(registry, name)}")
    return "\n".join([*lines, ""]) if lines else ""


def docstring(registry: Registry[Any], name: str) -> str:
    """The docstring of a registered function, without its sections, as one paragraph."""
    text = inspect.getdoc(registry.functions[name]) or ""
    return " ".join(text.split("\n\nRaises:")[0].split())


def page() -> str:
    """The whole page."""
    losses = [describe(*loss) for loss in about()]
    return render(Path(__file__).with_name("losses.md.j2"), losses=losses, groups=groups())


def draw() -> None:
    """Draw a picture of every loss."""
    (DOCS / "img").mkdir(parents=True, exist_ok=True)
    for name, _, config in about():
        compared = [config] if name == "ciou" else [config, load_config("ciou")]
        curves.plot(curves.curves(compared), DOCS / "img" / f"{name}.png")


if __name__ == "__main__":
    if "--check" not in sys.argv:
        draw()
    sys.exit(write_or_check(DOCS / "losses.md", page()))
