"""Write docs/study.md, and every run of the studies as CSV, from what study_noise.py and study_bccd.py left.

    python scripts/study_page.py [NOISE [BCCD]]

NOISE and BCCD are the folders of the studies; their runs are added to docs/study/*.csv. Runs that they do not hold stay
as they are there, so that a study may be trained in parts. The page is a pure function of these, in the words of
study.md.j2.
"""

from __future__ import annotations

import sys
from pathlib import Path

import jinja2
import study_bccd
import study_noise
from study_results import OUT, VERSIONS, Results, publish
from study_tables import answers, beside, by_size, heavier, levels, mechanism

from yolo_wiou.compare.run import read_json

PAGE = OUT.with_suffix(".md")
TEMPLATE = Path(__file__).with_name("study.md.j2")
PLANS = {"noise": study_noise.questions(Path("noise")), "bccd": study_bccd.questions(Path("bccd"))}
TITLES = {
    "noise": {
        "wise": "Wise-IoU on {data}",
        "falling": "Gains that fall with the IoU loss, on {data}",
        "exact": "IoU-balanced localisation on {data} boxes",
        "outliers": "Wise-IoU on {data}",
        "outliers-falling": "Gains that fall with the IoU loss, on {data}",
        "clean": "Wise-IoU on {data} boxes",
        "confirmed": "The best two presets by seed 0, on other seeds of {data}",
        "confirmed-exact": "The same two, on {data} boxes",
        "jitter": "Weaker noise: {data}",
        "presets": "The other presets on {data}",
        "dfl": "With `gain.dfl`, on {data}",
        "sweeps": "Other settings, on {data}",
    },
    "bccd": {
        "wise": "Wise-IoU on {data}",
        "exact": "Wise-IoU on {data} boxes",
        "balanced": "IoU-balanced localisation on {data}",
        "others": "Other losses on {data}",
    },
}
"""What the page calls a question, study by study."""


def page() -> str:
    """The whole page."""
    studies = {name: Results(OUT / f"{name}.csv") for name in PLANS}
    template = jinja2.Environment(keep_trailing_newline=True).from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        levels={name: levels(results) for name, results in studies.items()},
        answers={name: answers(results, PLANS[name], TITLES[name]) for name, results in studies.items()},
        heavier=heavier(studies["noise"], PLANS["noise"]),
        by_size=by_size(studies["bccd"], "jitter30", ("wiou1", "wiou3", "iou-balanced-loc")),
        beside=beside(studies),
        mechanism=mechanism(read_json(OUT / "why.json")),
        versions=", ".join(f"{name} {' and '.join(studies['noise'].versions(name))}" for name in VERSIONS),
    )


def main(folders: list[str]) -> None:
    """Publish the studies that are named, and write the page."""
    for name, folder in zip(PLANS, folders, strict=False):
        publish(name, Path(folder))
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
