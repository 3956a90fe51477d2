"""Errors that are known, since they were planted or rendered, are counted among what an audit finds."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.audits import a_report

from yolo_wiou.auditing.report import Report
from yolo_wiou.auditing.truth import of_the_known
from yolo_wiou.data.planting import plant
from yolo_wiou.data.shapes import ShapesConfig, render_dataset
from yolo_wiou.training.preflight import describe, images_of


@pytest.fixture
def report(shapes: Path, tmp_path: Path) -> Report:
    """Labels of the first six images are ranked, five of them flagged; in a copy of the data set, to write in."""
    shutil.copytree(shapes.parent, tmp_path / "set")
    return a_report(tmp_path / "set" / "data.yaml")


def test_a_data_set_may_be_named_from_where_one_is(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(report.data).with_name("noise.csv").write_text("image,row,kind\n000000.png,0,jitter\n")
    monkeypatch.chdir(tmp_path)
    assert ": 1 label. Of them, 1 " in of_the_known(replace(report, description=describe("set/data.yaml")))


def test_nothing_is_said_where_nothing_is_known(report: Report) -> None:
    assert of_the_known(report) == ""


def test_known_labels_are_counted_among_the_first_and_the_flagged(report: Report) -> None:
    file = Path(report.data).with_name("noise.csv")
    rows = ["image,row,kind,cx,cy,w,h", *(f"{name:06d}.png,0,jitter,0,0,0,0" for name in (0, 1, 5, 9))]
    file.write_text("\n".join(rows) + "\n")  # of the last image no label is ranked
    assert of_the_known(report) == (
        "Known to be wrong (noise.csv): 3 labels. Of them, 2 are among the first 3 of audit.csv, and 2 among the 5 "
        "that are flagged."
    )
    assert of_the_known(replace(report, split="val")) == ""


def test_what_the_demo_and_plant_write_is_understood(report: Report, tmp_path: Path) -> None:
    """Every label of theirs that is wrong is known to be so."""
    noisy = render_dataset(tmp_path / "noisy", ShapesConfig(train=6, val=1, imgsz=64, noise=0.5))
    planted, errors = plant(tmp_path / "planted", describe(report.data), images_of(describe(report.data), "train"))
    with noisy.with_name("noise.csv").open() as stream:
        loose = len(list(csv.reader(stream))) - 1
    wrong = sum(error.kind in {"loose", "shifted", "wrong", "spurious"} for error in errors)
    for data, total in ((noisy, loose), (planted, wrong)):
        description = describe(str(data))
        labels = [
            replace(report.labels[0], image=str(image), line=line)
            for image in images_of(description, "train")
            for line in range(1, 10)
        ]
        assert f": {total} labels." in of_the_known(replace(report, description=description, labels=labels))
    assert min(loose, wrong) > 0
