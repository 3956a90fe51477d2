"""The screenshots of README: the page of an audit, and the report of a comparison.

    python scripts/docs/pictures.py AUDIT.html [FOLDER]

AUDIT.html is the page of any audit; README's is of BCCD, with errors planted by `yolo-wiou plant`, a training with
audit=true on them, and `yolo-wiou audit run=…`. The report is that of the small study in tests/fixtures. Into
docs/img, or a folder. Needs Chromium.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from helpers.browser import CHROMIUM, QUIET
from helpers.old_study import copy_study

from yolo_wiou.compare.analysis import analyse
from yolo_wiou.compare.report.html import write_report
from yolo_wiou.compare.run import ended_runs

WIDTH = 1000


def report(folder: Path) -> Path:
    """Write the report of the study that the tests keep."""
    study = copy_study(folder / "kept")
    runs = ended_runs(study)
    return write_report(study, analyse(runs, study), runs)


def shoot(page: Any, file: Path, out: Path, first: str, last: str) -> None:
    """Take a picture of a page, from one element's top to another's bottom."""
    page.goto(file.absolute().as_uri())
    page.wait_for_function("[...document.images].every(image => image.complete)")
    top, bottom = (page.locator(selector).first.bounding_box() for selector in (first, last))
    low, high = top["y"] - 12, bottom["y"] + bottom["height"] + 12
    page.screenshot(path=out, full_page=True, clip={"x": 0, "y": low, "width": WIDTH, "height": high - low})
    Image.open(out).convert("RGB").quantize(method=Image.Quantize.MAXCOVERAGE).save(out, optimize=True)  # a third


def main(audited: Path, out: Path) -> None:
    """Take both."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        page = browser.new_page(viewport={"width": WIDTH, "height": 900})
        shoot(page, audited, out / "audit.png", ".found", ".card >> nth=2")
        shoot(page, report(Path(folder)), out / "compare.png", "h1", ".plotly-graph-div")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(*sys.argv[2:3]) if sys.argv[2:] else ROOT / "docs" / "img")
