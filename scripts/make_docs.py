"""Write docs/losses.md and its pictures from the catalogue.

    python scripts/make_docs.py

The text is a pure function of cfg/losses/*.yaml and the registered functions; a test holds it against the file.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from yolo_wiou.cli.catalogue import tasks_of
from yolo_wiou.losses import GAINS, OVERLAPS, PENALTIES
from yolo_wiou.losses.config import LossConfig
from yolo_wiou.losses.presets import about, load_config
from yolo_wiou.losses.registry import Registry
from yolo_wiou.simulation import curves

DOCS = Path(__file__).parent.parent / "docs"
HEAD = """# The losses

Written by `python scripts/make_docs.py` from `cfg/losses/`; change those, not this page.

Every loss is `gain · (1 − overlap + penalty)`. In the formulas IoU is that of the predicted box B and its target G,
ρ the distance of their centres, c the diagonal of the box that encloses both, w and h width and height of B, wg and
hg those of G, and β the outlier degree: a box's IoU loss over the running mean of all. Each picture follows a box
as it moves away from its target and changes its shape, from IoU 1 to 0 and on to boxes apart: gain, loss, and the
length of the gradient.

Pass a name as `loss=NAME`; `yolo-wiou losses NAME > my_loss.yaml` gives the whole of it to edit.
"""


def section(name: str, words: dict[str, str], config: LossConfig) -> str:
    """One loss: formula, picture, settings, source, when to use it, what to know."""
    paper = words["paper"]
    arxiv = re.findall(r"\d{4}\.\d{5}", paper)
    source = ", ".join(f"[arXiv {number}](https://arxiv.org/abs/{number})" for number in arxiv) or paper or "—"
    settings = config.to_yaml().split("\n", 1)[1]
    return f"""
## {name}

`{words["formula"]}`

![gain, loss and gradient of {name}](img/{name}.png)

**Good for** {words["good_for"]}. **Mind:** {words["caveat"]}

Source: {source}. Tasks: {tasks_of(config)}.

{parts(config)}
```yaml
{settings}```
"""


def parts(config: LossConfig) -> str:
    """What the registered functions say of themselves, for the parts that are in use."""
    lines = []
    for registry, part in ((OVERLAPS, config.overlap), (PENALTIES, config.penalty), (GAINS, config.gain)):
        if part.name != "none":
            lines.append(f"- {registry.axis} `{part.name}`: {docstring(registry, part.name)}")
    return "\n".join([*lines, ""])


def docstring(registry: Registry, name: str) -> str:  # type: ignore[type-arg]
    """The docstring of a registered function, without its sections, as one paragraph."""
    text = inspect.getdoc(registry.functions[name]) or ""
    return " ".join(text.split("\n\nRaises:")[0].split())


def page() -> str:
    """The whole page."""
    return HEAD + "".join(section(name, words, config) for name, words, config in about())


def main() -> None:
    """Write the page and a picture a loss."""
    (DOCS / "img").mkdir(parents=True, exist_ok=True)
    (DOCS / "losses.md").write_text(page(), encoding="utf-8")
    for name, _, config in about():
        compared = [config] if name == "ciou" else [config, load_config("ciou")]
        curves.plot(curves.curves(compared), DOCS / "img" / f"{name}.png")


if __name__ == "__main__":
    main()
