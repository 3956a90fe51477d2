"""Write docs/study.md, and every run of the studies as CSV, from what noise.py, bccd.py, rendered.py and real.py left.

    python scripts/study/study_page.py [noise=FOLDER] [bccd=FOLDER] [rendered=FOLDER] [real=FOLDER] [--check]

The runs in a study's folder are added to docs/study/*.csv. Runs that it does not hold stay as they are there, so that a
study may be trained in parts. The page is a pure function of these, in the words of study.md.j2. With --check the page
is not written; exit code 1 where it is not its data's.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import bccd
import noise
import real
import rendered
from results import OUT, VERSIONS, Contrast, Results, publish, publish_images
from tables import answers, beside, by_size, heavier, levels, mechanism, points
from trust_tables import against, costs, harm, ideas

sys.path.insert(0, str(Path(__file__).parents[1]))
from markdown import render, write_or_check

from yolo_wiou.cli.arguments import parse_options
from yolo_wiou.compare.findings import Difference
from yolo_wiou.errors import ConfigError
from yolo_wiou.files import read_json

PAGE = OUT.with_suffix(".md")
PLANS = {
    "noise": noise.studies(Path("noise")),
    "bccd": bccd.studies(Path("bccd")),
    "rendered": rendered.studies(Path("rendered")),
    "real": real.studies(Path("real"), Path("weights")),
}
JUDGED = ("rendered", "real")
"""Studies of `trust`."""
RIVALS = (("real", "loose"), ("rendered", "jitter40"), ("rendered", "clean"))
"""Where `trust` is held against `iou-balanced`."""
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
"""What the page calls the parts of each study."""


def page() -> str:
    """The whole page."""
    studies = {name: Results(OUT / f"{name}.csv") for name in PLANS}
    return render(
        Path(__file__).with_name("study.md.j2"),
        levels={name: levels(results) for name, results in studies.items()},
        answers={name: answers(studies[name], PLANS[name], titles) for name, titles in TITLES.items()},
        rivals={data: points(rival(studies[name], data)) for name, data in RIVALS},
        detectable=f"{100 * (against_control(studies['real'], 'loose').detectable or 0):.2f}",
        costs={name: costs(studies[name], PLANS[name]) for name in JUDGED},
        against={name: against(studies[name], PLANS[name]) for name in JUDGED},
        harm={name: harm(studies[name], PLANS[name]) for name in JUDGED},
        ideas=ideas(OUT / "ideas.csv"),
        heavier=heavier(studies["noise"], PLANS["noise"]),
        by_size=by_size(studies["bccd"], "jitter30", ("wiou1", "wiou3", "iou-balanced-loc")),
        beside=beside({name: studies[name] for name in TITLES}),
        mechanism=mechanism(read_json(OUT / "why.json")),
        versions=", ".join(f"{name} {' and '.join(versions(name, studies.values()))}" for name in VERSIONS),
    )


def rival(results: Results, data: str) -> Difference:
    """The AP of `trust` less that of `iou-balanced`, on a data set."""
    arm, base = (data, "trust"), (data, "iou-balanced")
    return results.against(arm, base, sorted(results.runs[arm])).by_metric["AP"]


def against_control(results: Results, data: str) -> Contrast:
    """What `trust` does against an equally heavy CIoU, on a data set."""
    arm, control = (data, "trust"), (data, "ciou as heavy as trust")
    return results.against(arm, control, sorted(results.runs[control]))


def versions(package: str, studies: Iterable[Results]) -> list[str]:
    """Which versions of a package trained the runs that say so."""
    return sorted({version for results in studies for version in results.versions(package)})


def main(argv: list[str]) -> int:
    """Publish the studies that are named, and write the page."""
    try:
        folders = parse_options([word for word in argv if word != "--check"], dict.fromkeys(PLANS, ""))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    for name in PLANS:
        if folders[name]:
            publish(name, Path(folders[name]), PLANS[name])
            if name in JUDGED:
                publish_images(name, Path(folders[name]), PLANS[name])
    return write_or_check(PAGE, page())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
