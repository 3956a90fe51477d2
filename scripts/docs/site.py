"""MkDocs' hooks of the documentation site: pages of the repository's top, links out of docs/, formulas.

The pages are written for GitHub, where they are read too: their links are those of the repository. A formula becomes
MathML while the site is built, which every browser shows by itself: no script, no font and no network is needed.
"""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.superfences import fence_code_format

ROOT = Path(__file__).parents[2]
TOP = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""What lies beside docs/, and the page that it becomes."""
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)(?P<target>[^)#\s]+)")

log = logging.getLogger("mkdocs.hooks.site")


def on_config(config: MkDocsConfig) -> None:
    """Show the fences that GitHub shows."""
    fences = [
        {"name": "math", "class": "math", "format": formula},
        {"name": "mermaid", "class": "mermaid", "format": fence_code_format},
    ]
    config.mdx_configs["pymdownx.superfences"] = {"custom_fences": fences}


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages of the repository's top."""
    for name, page in TOP.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """Make the repository's links the site's own; what is no page of it is shown by the repository."""
    here = page.file.src_uri
    origin = next((name for name, to in TOP.items() if to == here), f"docs/{here}")

    def on_site(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), link["target"]))
        if path in TOP or path.startswith("docs/"):
            return posixpath.relpath(TOP.get(path, path.removeprefix("docs/")), posixpath.dirname(here) or ".")
        if not (ROOT / path).exists():
            log.warning("%s links to '%s', which is not there.", origin, link["target"])
        return f"{config.repo_url}/blob/main/{path}"

    return LINK.sub(on_site, markdown)


def formula(source: str, *_: Any, **__: Any) -> str:
    """MathML of LaTeX, in a block that scrolls where the formula is wide."""
    return f'<div class="formula">{convert(source)}</div>'
