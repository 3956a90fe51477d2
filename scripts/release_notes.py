"""The section of CHANGELOG.md about a version, as the notes of its release.

    python scripts/release_notes.py 1.0.0

Exit code 1 where the changelog has none, or the package is another version.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main(version: str) -> str | int:
    """Print the section; returns what is wrong, or 0."""
    if f'"{version}"' not in (ROOT / "yolo_wiou" / "version.py").read_text(encoding="utf-8"):
        return f"yolo_wiou/version.py is not {version}"
    for section in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("\n## ")[1:]:
        heading, _, text = section.partition("\n")
        if heading.split()[0] == version:
            print(text.strip())
            return 0
    return f"CHANGELOG.md says nothing about {version}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
