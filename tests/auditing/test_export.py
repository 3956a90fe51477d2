"""What is written for other tools: what is in it, and that the tools read it, where they are installed."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from helpers.audits import NAME, a_report

from yolo_wiou import ConfigError
from yolo_wiou.auditing.export.formats import FORMATS, export
from yolo_wiou.auditing.report import Report
from yolo_wiou.compare.rotated import corners_of

FINDINGS = ["loose", "shifted", "class", "spurious", "loose", "unclear"]
"""What is wrong with the only label of each of the first images."""


@pytest.fixture(scope="module")
def report(shapes: Path) -> Report:
    """Two labels of one object on the eighth image, beside what `a_report` has."""
    report = a_report(shapes)
    pair = report.duplicates[0]
    first = replace(report.labels[5], image=pair.image, cls=1, name="box", box=pair.box, score=1.0, reason="")
    labels = [*report.labels, first, replace(first, line=2, box=pair.duplicate_box)]
    return replace(report, labels=labels, description={**report.description, "names": {0: NAME, 1: "box"}})


@pytest.fixture(scope="module")
def rotated(report: Report) -> Report:
    """One rotated box, with a better one, of which a sixth of a turn is the only difference."""
    turned: dict[str, Any] = {"box": (20.0, 20.0, 16.0, 8.0, 0.0), "proposed_box": (20.0, 20.0, 16.0, 8.0, math.pi / 6)}
    rows: dict[str, Any] = {"labels": [replace(report.labels[0], **turned)], "missing": [], "duplicates": []}
    return replace(report, task="obb", **rows)


@pytest.fixture(scope="module")
def files(report: Report, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Everything, by its name."""
    written = export(report, tmp_path_factory.mktemp("export") / "new", FORMATS)
    return {file.name: file for file in written}


def test_every_format_has_its_files(files: dict[str, Path]) -> None:
    assert set(files) == {
        "fiftyone.json",
        "cleanlab_labels.pkl",
        "cleanlab_predictions.pkl",
        "cvat.xml",
        "cvat_labels.json",
        "labelstudio.json",
        "labelstudio.xml",
    }


@pytest.mark.parametrize(
    ("task", "name", "words"),
    [
        (
            "detect",
            "cvta",
            r"'export=cvta' is unknown. Did you mean 'cvat'\? Valid: cleanlab, cvat, fiftyone, labelstudio",
        ),
        ("obb", "cleanlab", "cleanlab knows upright boxes alone"),
    ],
)
def test_what_cannot_be_written_is_refused_first(
    task: str, name: str, words: str, report: Report, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=words):
        export(replace(report, task=task), tmp_path / "out", ["cvat", name])
    assert list(tmp_path.iterdir()) == []


def test_fiftyone_has_labels_and_proposals(files: dict[str, Path], report: Report) -> None:
    samples = json.loads(files["fiftyone.json"].read_text())["samples"]
    assert [sample["filepath"] for sample in samples] == list(report.sizes)
    truth = [sample["ground_truth"]["detections"] for sample in samples]
    assert [labels[0]["reason"] for labels in truth[:6]] == FINDINGS
    assert truth[0][0]["bounding_box"] == [8 / 64, 8 / 64, 20 / 64, 16 / 64]
    assert [label["tags"] for label in truth[7]] == [[], ["duplicate"]]
    better = [[(label["label"], label["reason"]) for label in sample["proposals"]["detections"]] for sample in samples]
    assert better[:4] == [[(NAME, "loose")], [(NAME, "shifted")], [("box", "class")], []]
    assert better[6] == [("box", "missing")]


def test_fiftyone_reads_it(
    files: dict[str, Path], rotated: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIFTYONE_DATABASE_DIR", str(tmp_path / "database"))
    monkeypatch.setenv("FIFTYONE_DO_NOT_TRACK", "true")
    fiftyone = installed("fiftyone")
    try:
        fiftyone.list_datasets()
    except Exception as error:  # of no common type: no MongoDB in this wheel, or one that does not start
        pytest.skip(f"FiftyOne's database does not start: {error}")
    dataset = fiftyone.Dataset.from_json(str(files["fiftyone.json"]))
    view = dataset.match_labels(tags="loose").sort_by("audit_score", reverse=True)
    assert view.values("audit_score") == [9.0, 5.0]
    detection = view.first().ground_truth.detections[0]
    assert (detection.label, detection.reason, detection.score, detection.line) == (NAME, "loose", 9.0, 1)
    assert dataset.count("proposals.detections") == 5
    (file,) = export(rotated, tmp_path, ["fiftyone"])
    better = fiftyone.Dataset.from_json(str(file)).first().proposals.polylines[0]
    corners = corners_of(np.array([rotated.labels[0].proposed_box]))[0] / 64
    assert better.closed
    assert np.allclose(better.points[0], corners)


def test_cleanlab_judges_the_same_detections(files: dict[str, Path], report: Report) -> None:
    labels, predictions = (
        pickle.loads(files[f"cleanlab_{name}.pkl"].read_bytes()) for name in ("labels", "predictions")
    )
    assert [entry["image_name"] for entry in labels] == list(report.sizes)
    assert labels[0]["bboxes"].tolist() == [[8.0, 8.0, 28.0, 24.0]]
    assert labels[7]["labels"].tolist() == [1, 1]
    assert np.allclose(predictions[0][0], [[10, 8, 40, 28, 0.9]])
    assert [table.shape for table in predictions[6]] == [(0, 5), (1, 5)]
    rank = installed("cleanlab.object_detection.rank")
    judged = [number for number, entry in enumerate(labels) if len(entry["labels"])]  # it knows no image without labels
    scores = rank.get_label_quality_scores([labels[n] for n in judged], [predictions[n] for n in judged])
    assert scores.shape == (7,)
    assert scores[0] < 1


def test_cvat_has_labels_and_proposals_in_groups(files: dict[str, Path], rotated: Report, tmp_path: Path) -> None:
    root = ElementTree.parse(files["cvat.xml"]).getroot()
    images = root.findall("image")
    assert [image.get("name") for image in images] == [f"{number:06d}.png" for number in range(12)]
    first = images[0].findall("box")
    assert [box.get("label") for box in first] == [NAME, NAME]
    assert [box.findtext("attribute[@name='audit']") for box in first] == ["loose", "proposal"]
    assert first[0].get("group_id") == first[1].get("group_id") != images[1].findall("box")[0].get("group_id")
    assert [first[0].get(edge) for edge in ("xtl", "ytl", "xbr", "ybr")] == ["8.00", "8.00", "28.00", "24.00"]
    assert images[6].findall("box")[0].findtext("attribute[@name='audit']") == "missing"
    constructor = json.loads(files["cvat_labels.json"].read_text())
    assert [[attribute["name"] for attribute in entry["attributes"]] for entry in constructor] == 2 * [
        ["audit", "score"]
    ]
    file, _ = export(rotated, tmp_path, ["cvat"])
    assert ElementTree.parse(file).getroot().findall("image/box")[1].get("rotation") == "30.00"


def test_datumaro_which_cvat_uses_reads_it(files: dict[str, Path], rotated: Report, tmp_path: Path) -> None:
    datumaro = installed("datumaro")
    (tmp_path / "images").symlink_to(Path(rotated.labels[0].image).parent)  # which it wants beside the file
    file = tmp_path / "annotations.xml"
    file.write_bytes(files["cvat.xml"].read_bytes())
    dataset = datumaro.Dataset.import_from(str(file), "cvat")
    items = {item.id: item.annotations for item in dataset}
    assert len(items) == 12
    first = items["000000"]
    assert [annotation.attributes["audit"] for annotation in first] == ["loose", "proposal"]
    assert first[0].get_bbox() == [8, 8, 20, 16]
    assert first[0].group == first[1].group > 0
    file, _ = export(rotated, tmp_path, ["cvat"])
    turned = next(item.annotations[1] for item in datumaro.Dataset.import_from(str(file), "cvat") if item.annotations)
    assert (turned.cx, turned.cy, turned.w, turned.h, turned.r) == pytest.approx((28, 24, 16, 8, 30))


def test_label_studio_has_labels_and_what_they_should_be(files: dict[str, Path], report: Report) -> None:
    tasks = json.loads(files["labelstudio.json"].read_text())
    assert [task["data"]["score"] for task in tasks[:7]] == [9, 8, 7, 6, 5, 4, 1]
    assert tasks[0]["data"]["image"] == "/data/local-files/?d=train/000000.png"
    names = {task["data"]["image"][-10:-4]: task for task in tasks}
    (label,), (better,) = regions(names["000000"])
    assert label["value"]["x"] == 100 * 8 / 64
    assert label["meta"]["text"] == ["loose, 9.0"]
    assert [better["value"][key] * 0.64 for key in ("x", "y", "width", "height")] == pytest.approx([10, 8, 30, 20])
    named = [[region["value"]["rectanglelabels"] for region in found] for found in regions(names["000002"])]
    assert named == [[[NAME]], [["box"]]]
    assert [len(found) for found in regions(names["000003"])] == [1, 0]  # spurious
    assert [len(found) for found in regions(names["000006"])] == [0, 1]  # missing
    assert [len(found) for found in regions(names["000007"])] == [2, 1]  # duplicates
    assert [names[image]["data"]["findings"] for image in ("000000", "000006", "000007", "000008")] == [1, 1, 1, 0]


def test_label_studio_takes_its_tasks(files: dict[str, Path]) -> None:
    sdk = installed("label_studio_sdk.label_interface")
    interface = sdk.LabelInterface(files["labelstudio.xml"].read_text())
    interface.validate()
    for task in json.loads(files["labelstudio.json"].read_text()):
        for kind in ("annotations", "predictions"):
            assert interface.validate_prediction(task[kind][0], return_errors=True) == []


def test_label_studio_turns_a_rectangle_about_its_corner(rotated: Report, tmp_path: Path) -> None:
    tasks = json.loads(export(rotated, tmp_path, ["labelstudio"])[0].read_text())
    value = regions(tasks[0])[1][0]["value"]
    corner = np.array([value["x"], value["y"]]) * 0.64
    way = np.array([math.cos(math.pi / 6), math.sin(math.pi / 6)])
    middle = corner + 8 * way + 4 * np.array([-way[1], way[0]])
    assert np.allclose(middle, [28, 24])
    assert value["rotation"] == pytest.approx(30)


def test_images_of_one_name_stay_apart(report: Report, tmp_path: Path) -> None:
    sizes = {"/data/a/1.jpg": (64, 64), "/data/b/1.jpg": (64, 64)}
    nothing: dict[str, Any] = {"labels": [], "missing": [], "duplicates": []}
    xml, _ = export(replace(report, sizes=sizes, **nothing), tmp_path, ["cvat"])
    assert [image.get("name") for image in ElementTree.parse(xml).getroot().findall("image")] == ["a/1.jpg", "b/1.jpg"]


def regions(task: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The labels of a task, and what they should be."""
    return [task[key][0]["result"] for key in ("annotations", "predictions")]


def installed(module: str) -> Any:
    """A package that reads what was written, where it is installed."""
    return pytest.importorskip(module, reason=f"needs {module}: pip install -e '.[audit-export]'")
