"""The audit of a data set by a checkpoint, from files to tables."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from helpers.labels import contents
from ultralytics import YOLO
from ultralytics.data.dataset import YOLODataset
from ultralytics.data.utils import check_det_dataset

from yolo_wiou import YOLO as Ours
from yolo_wiou import ConfigError, audit
from yolo_wiou.auditing import audit as module
from yolo_wiou.auditing.report import Report
from yolo_wiou.training.preflight import images_of

SMALL: dict[str, Any] = {"imgsz": 64, "batch": 4, "workers": 0}


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Checkpoints of untrained models, by task; of two classes, as the rendered images."""
    folder = tmp_path_factory.mktemp("weights")
    for task, end in {"detect": "", "segment": "-seg", "pose": "-pose", "obb": "-obb", "classify": "-cls"}.items():
        model = YOLO(f"yolo11n{end}.yaml")
        model.save(folder / f"{task}.pt")
    return {file.stem: file for file in folder.iterdir()}


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("task", ["detect", "segment", "pose", "obb"])
def test_every_label_of_a_task_has_a_row(
    task: str, shapes: Path, task_data: dict[str, Path], untrained: dict[str, Path], tmp_path: Path
) -> None:
    """Whatever the detector sees; an untrained one says nothing against any."""
    model = YOLO(untrained[task])
    data = task_data.get(task, shapes)
    before = contents(data.parent).keys()
    model.model.names = {0: "disc", 1: "box"}
    report = audit(data, model, **SMALL, conf=0.9)
    assert contents(data.parent).keys() - before <= {"labels/train.cache"}
    lines = [
        (file.stem, number)
        for file in sorted((data.parent / "labels" / "train").glob("*.txt"))
        for number in range(1, len(file.read_text().splitlines()) + 1)
    ]
    assert sorted((Path(label.image).stem, label.line) for label in report.labels) == lines
    assert report.flagged == []
    assert report.missing == []
    table = rows(report.save(tmp_path / "out"))
    assert len(table) == len(lines)
    plain = json.loads((tmp_path / "out" / "audit.json").read_text(), parse_constant=pytest.fail)  # NaN is no JSON
    assert {row["confidence"] for row in plain["classes"]} == {None}
    assert ("angle" in table[0]) == (task == "obb")
    of_size, of_classes = report.warnings
    assert "trained at imgsz=640" in of_size
    assert "finds less than half" in of_classes


@pytest.fixture
def seen(shapes: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data set, audited by a detector that sees its objects exactly, but for the first label of three images.

    There it sees a wider object, one of the other class, and one that has no label.
    """

    def record(model: Any, folder: Path, is_limited: bool, **arguments: Any) -> Any:
        description, classes = check_det_dataset(arguments["data"]), arguments.get("classes")
        where = {"img_path": description[arguments["split"]], "data": description, "augment": False}
        detections = []
        for label in YOLODataset(**where).labels:
            number = int(Path(label["im_file"]).stem)
            height, width = label["shape"]
            boxes = label["bboxes"] * (width, height, width, height)
            table = np.column_stack(
                [boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:], np.linspace(0.7, 0.8, len(boxes)), label["cls"]]
            )
            if number == 0:
                table[0, 2] *= 2.5
            elif number == 1:
                table[0, 5] = 1 - table[0, 5]
            elif number == 2:
                outside = [-60, -60, 20, 20, 0.95, 1]  # as a rotated box may lie, of which no label can be made
                table = np.vstack([table, [0, 0, 4, 4, 0.9, 1], outside])
            detections.append((label["im_file"], table.astype(np.float32)))
        found = YOLODataset(**where, classes=classes).labels
        args = SimpleNamespace(single_cls=False, imgsz=64, classes=classes)
        recorder = SimpleNamespace(
            found=detections, labels=lambda: found, validator=SimpleNamespace(args=args), arguments=arguments
        )
        return recorder, None

    monkeypatch.setattr(module, "record", record)
    return shapes


def detector(**changes: Any) -> Any:
    return SimpleNamespace(
        **{"task": "detect", "names": {0: "disc", 1: "box"}, "overrides": {}, "ckpt_path": "best.pt", **changes}
    )


def first(report: Report, image: int, line: int = 1) -> Any:
    (label,) = [label for label in report.labels if Path(label.image).stem == f"{image:06d}" and label.line == line]
    return label


def test_a_report_knows_whether_all_classes_were_read_as_one(seen: Path) -> None:
    """As an argument says, or the training that the checkpoint is of."""
    assert not audit(seen, detector()).single_cls
    assert audit(seen, detector(), single_cls=True).single_cls
    assert audit(seen, detector(overrides={"single_cls": True})).single_cls


def test_what_is_found_stands_in_the_tables(seen: Path, tmp_path: Path) -> None:
    report = audit(seen, detector())
    assert first(report, 0).reason in {"loose", "shifted"}
    assert first(report, 0).proposed_box[2] == pytest.approx(2.5 * first(report, 0).box[2], abs=0.02)
    assert first(report, 1).reason == "class"
    assert first(report, 1).proposed_cls == 1 - first(report, 1).cls
    assert [row.name for row in report.missing] == ["box"]
    assert len(report.flagged) == 2
    report.save(tmp_path)
    table = rows(tmp_path / "audit.csv")
    assert [row["reason"] for row in table[:2]] != ["", ""]
    assert float(table[0]["score"]) >= float(table[1]["score"]) >= float(table[-1]["score"])
    by_reason = {row["reason"]: row for row in table}
    assert by_reason["class"]["proposed_name"] in {"disc", "box"}
    assert len(rows(tmp_path / "missing.csv")) == 1
    assert rows(tmp_path / "duplicates.csv") == []
    plain = json.loads((tmp_path / "audit.json").read_text())
    assert plain == json.loads(json.dumps(report.plain()))
    assert plain["flagged"] == len(plain["labels"]) == 2
    assert plain["found"] == report.sentence
    assert "2 of " in report.sentence
    for groups in (plain["classes"], plain["sizes"]):
        assert sum(row["labels"] for row in groups) == plain["label_count"] == len(table)
        assert sum(row["flagged"] for row in groups) == 2
    assert {row["name"] for row in plain["classes"]} == {"disc", "box"}
    assert [row["name"] for row in plain["sizes"]] == ["below 16 px", "16 to 32 px", "32 to 96 px"]


def test_a_higher_threshold_flags_fewer(seen: Path) -> None:
    assert len(audit(seen, detector(), threshold=1000).flagged) < 2
    assert audit(seen, detector(), threshold=3).threshold >= 3


def test_as_many_as_right_labels_would_give_are_not_expected_to_be_wrong(seen: Path) -> None:
    report = audit(seen, detector())
    many = replace(report, labels=[*report.labels, *[replace(report.labels[-1], reason="")] * 10_000])
    assert report.expected_wrong == 1
    assert many.expected_wrong == 0


def test_the_model_knows_its_data_set(seen: Path) -> None:
    report = audit(None, detector(overrides={"data": str(seen)}))
    assert report.data == str(seen)


@pytest.mark.parametrize("data", ["coco.yaml", "/gone/data.yaml", "https://example.org/data.zip"])
def test_a_data_set_that_is_not_here_is_not_downloaded_unasked(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """COCO's weights remember COCO."""
    monkeypatch.setattr("ultralytics.data.utils.safe_download", pytest.fail)
    with pytest.raises(ConfigError, match=r"^which data set\? data=my.yaml$"):
        audit(None, detector(overrides={"data": data}))


@pytest.mark.parametrize("data", ["coco.yaml", "/gone/data.yaml"])
def test_nor_is_that_of_a_run(data: str, seen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ultralytics.data.utils.safe_download", pytest.fail)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "best.pt").touch()
    (tmp_path / "args.yaml").write_text(f"data: {data}\n")
    with pytest.raises(ConfigError, match=rf"was trained on '{data}', which cannot be read from here"):
        audit(run=tmp_path, model=detector())
    assert audit(seen, run=tmp_path, model=detector()).data == str(seen)


def test_labels_of_the_classes_that_were_asked_for_are_judged_alone(seen: Path) -> None:
    """What else is detected is neither missing nor anybody's to judge by; that a label is of another class is seen."""
    whole, some = audit(seen, detector()), audit(seen, detector(), classes=0)
    assert [row.name for row in whole.missing] == ["box"]
    assert some.missing == []
    assert {label.cls for label in some.labels} == set(some.seen.cls.tolist()) == {0}
    expected = [(label.image, label.line, label.reason) for label in whole.labels if label.cls == 0]
    assert sorted((label.image, label.line, label.reason) for label in some.labels) == sorted(expected)
    assert len(audit(seen, detector(), classes=[0, 1]).missing) == 1


def test_an_image_that_a_list_names_twice_is_judged_once(seen: Path, tmp_path: Path) -> None:
    """As lists do that show rare classes more often."""
    images = [str(image) for image in images_of(check_det_dataset(str(seen)), "train")]
    reports = []
    for name, listed in {"once": images, "twice": [*images, *images[:5]]}.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(listed))
        data = {"train": f"{name}.txt", "val": f"{name}.txt", "names": ["disc", "box"]}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(data))
        reports.append(audit(tmp_path / f"{name}.yaml", detector()))
    once, twice = reports
    assert replace(twice, data=once.data, description=once.description, seen=once.seen) == once
    assert vars(twice.seen).keys() == vars(once.seen).keys()
    assert all((getattr(twice.seen, name) == getattr(once.seen, name)).all() for name in vars(once.seen))


def test_other_names_are_warned_of(seen: Path) -> None:
    (said,) = audit(seen, detector(names={0: "disc", 1: "ball"})).warnings
    assert "ball for box" in said


@pytest.mark.parametrize(("trained", "is_told"), [(64, False), ([32, 64], False), (None, False), (640, True)])
def test_images_at_another_size_than_the_trainings_are_warned_of(trained: Any, is_told: bool, seen: Path) -> None:
    told = " ".join(audit(seen, detector(overrides={"imgsz": trained} if trained else {})).warnings)
    assert ("trained at imgsz=640 and saw the images at imgsz=64" in told) == is_told


@pytest.mark.parametrize("batch", [0, -1, 0.5])
def test_a_batch_size_that_is_none_is_refused(batch: float, seen: Path) -> None:
    with pytest.raises(ConfigError, match=f"'batch={batch}' is no number of images"):
        audit(seen, detector(), batch=batch)


def test_classes_that_labels_and_model_disagree_about_are_warned_of(
    seen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either may be wrong, and the model's classes would be put in with fix.add=true."""
    exact = vars(module)["record"]

    def confused(*args: Any, **arguments: Any) -> Any:
        recorder, rest = exact(*args, **arguments)
        for _, table in recorder.found[::3]:
            table[:, 5] = 1 - table[:, 5]
        return recorder, rest

    monkeypatch.setattr(module, "record", confused)
    (said,) = audit(seen, detector()).warnings
    assert "disagree about classes" in said
    assert "fix.add=true" in said


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        ({"names": {0: "disc"}}, {}, "the model knows 1 classes and"),
        ({"task": "classify"}, {}, "labels of task classify cannot be audited. .*Valid: detect, obb, pose, segment"),
        ({}, {"split": "test"}, "has no split 'test'. Valid: train, val"),
        ({}, {"data": "missing.yaml"}, "'missing.yaml' does not exist"),
        ({}, {"data": None}, "which data set"),
    ],
)
def test_what_does_not_fit_is_refused(
    model: dict[str, Any], arguments: dict[str, Any], message: str, shapes: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        audit(**{"data": shapes, "model": detector(**model), **arguments})


def test_what_is_no_checkpoint_is_refused(shapes: Path) -> None:
    with pytest.raises(ConfigError, match=r"'model=yolo11n.yaml' is no checkpoint"):
        audit(shapes, "yolo11n.yaml")


def test_a_yoloe_is_refused_by_name(shapes: Path) -> None:
    with pytest.raises(ConfigError, match="a YOLOE cannot judge labels"):
        audit(shapes, Ours("yoloe-11s.yaml"))


def test_an_rtdetr_judges_labels(shapes: Path, detr: Path, tmp_path: Path) -> None:
    file = tmp_path / "rtdetr-tiny.yaml"
    file.write_text(detr.read_text().replace("nc: 80", "nc: 2"))
    report = audit(shapes, Ours(file), **SMALL)
    assert len(report.labels) == sum(len(f.read_text().splitlines()) for f in shapes.parent.glob("labels/train/*.txt"))


def test_images_that_ultralytics_leaves_out_are_told(shapes: Path, untrained: dict[str, Path], tmp_path: Path) -> None:
    data = shutil.copytree(shapes.parent, tmp_path / "set") / "data.yaml"
    files = sorted((data.parent / "labels" / "train").glob("*.txt"))
    files[0].write_text("0 0.5 0.5 wide 0.1\n")
    files[1].write_text("7 0.5 0.5 0.1 0.1\n")
    model = YOLO(untrained["detect"])
    model.model.names = {0: "disc", 1: "box"}
    report = audit(data, model, **SMALL)
    assert report.images == 10
    assert "leaves out 2 of 12 images with their labels" in report.warnings[0]
    assert f"{files[0].stem}.png" in report.warnings[0]
