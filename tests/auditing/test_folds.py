"""Labels that are judged by models which have not seen them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.here import runner
from helpers.running import MODELS
from ultralytics import YOLO

from yolo_wiou import ConfigError, audit
from yolo_wiou.auditing.folds import Folds, parts
from yolo_wiou.data.yolo_format import label_file
from yolo_wiou.training.preflight import describe, images_of

TINY = Path(__file__).parents[1] / "fixtures" / "tiny.yaml"
SMALL: dict[str, Any] = {"imgsz": 64, "batch": 4, "workers": 0, "epochs": 1, "plots": False}


@pytest.mark.parametrize("task", ["detect", "obb"])
def test_every_label_is_judged_by_a_model_that_has_not_seen_its_image(
    task: str, shapes: Path, task_data: dict[str, Path], tmp_path: Path
) -> None:
    data, model = (shapes, TINY) if task == "detect" else (task_data[task], MODELS[task])
    folds = Folds.plan(str(data), 2, "ciou", {**SMALL, "model": str(model)})
    with folds.claim(tmp_path / "folds"):
        assert folds.train(tmp_path / "folds", runner(), jobs=2) == []
    images = [str(image) for image in images_of(describe(data), "train")]
    unseen = []
    for run in folds.runs(tmp_path / "folds"):
        trained = Path(yaml.safe_load(Path(run.arguments["data"]).read_text())["train"]).read_text().split()
        judged = Path(yaml.safe_load(Path(run.eval_data or "").read_text())["val"]).read_text().split()
        assert sorted(trained + judged) == images
        unseen += judged
    assert sorted(unseen) == images
    report = folds.report(tmp_path / "folds", 2.5)
    assert (report.task, report.imgsz, report.asked, len(report.seen.image)) == (
        task,
        64,
        2.5,
        report.seen.box.shape[0],
    )
    assert list(report.sizes) == images
    weights = folds.runs(tmp_path / "folds")[0].folder(tmp_path / "folds") / "train" / "weights" / "best.pt"
    whole = audit(data, YOLO(weights), imgsz=64, batch=4, workers=0)
    for ours, theirs in zip(sorted_labels(report), sorted_labels(whole), strict=True):
        assert ours[:3] == theirs[:3]
        assert ours[3] == pytest.approx(theirs[3], abs=0.02)


def sorted_labels(report: Any) -> list[Any]:
    return sorted((label.image, label.line, label.cls, label.box) for label in report.labels)


def test_what_failed_is_trained_again_and_the_rest_is_not(shapes: Path, tmp_path: Path) -> None:
    """And nothing else is judged by what was trained: not with other arguments, and not labels that have changed."""
    data, folder = shutil.copytree(shapes.parent, tmp_path / "set") / "data.yaml", tmp_path / "folds"
    folds = Folds.plan(str(data), 2, "ciou", {**SMALL, "model": str(TINY)})
    first, second = runner("fold 2 of 2"), runner()
    with folds.claim(folder):
        assert [run.data for run in folds.train(folder, first, jobs=1)] == ["fold 2 of 2"]
    with folds.claim(folder):
        assert folds.train(folder, second, jobs=1) == []
    assert (first.done, second.done) == (["fold 1 of 2"], ["fold 2 of 2"])
    other = Folds.plan(str(data), 2, "ciou", {**SMALL, "model": str(TINY), "epochs": 2})
    with pytest.raises(ConfigError, match=r"another audit out of fold: arguments\.epochs is 1 there and 2 here"):
        other.check(folder)
    file = min((data.parent / "labels" / "train").glob("*.txt"))
    file.write_text(file.read_text().replace("0 ", "1 ").replace("1 ", "0 ", 1))
    corrected = Folds.plan(str(data), 2, "ciou", {**SMALL, "model": str(TINY)})
    with pytest.raises(ConfigError, match=r"its labels have been changed since.*with out=\.\.\.$"):
        corrected.check(folder)


def test_an_image_that_a_list_names_twice_is_learnt_twice_and_judged_once(shapes: Path, tmp_path: Path) -> None:
    """By a model that has seen none of its copies."""
    images = [str(image) for image in images_of(describe(str(shapes)), "train")]
    data = {"train": "twice.txt", "val": str(shapes.parent / "images" / "val"), "names": ["disc", "box"]}
    (tmp_path / "twice.txt").write_text("\n".join([*images, *images[:5]]))
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(data))
    (tmp_path / "folds").mkdir()
    folds = Folds.plan(str(tmp_path / "data.yaml"), 3, "ciou", {**SMALL, "model": str(TINY)})
    folds.train(tmp_path / "folds", runner("fold 1 of 3", "fold 2 of 3", "fold 3 of 3"), jobs=1)
    judged = []
    for run in folds.runs(tmp_path / "folds"):
        trained, unseen = (
            Path(file).with_suffix(".txt").read_text().split() for file in (run.arguments["data"], run.eval_data or "")
        )
        assert sorted(trained) == sorted(image for image in [*images, *images[:5]] if image not in unseen)
        judged += unseen
    assert sorted(judged) == images


def test_more_parts_than_images_with_labels_are_refused(shapes: Path) -> None:
    with pytest.raises(ConfigError, match=r"folds=13 needs 13 images with labels or more, and 'train' of .* has 12"):
        Folds.plan(str(shapes), 13, "ciou", {"model": "yolo11n.yaml"})


def test_labels_that_are_no_text_count_as_none(shapes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copytree(shapes.parent, tmp_path / "set")
    data = tmp_path / "set" / "data.yaml"
    images = images_of(describe(data), "train")
    label_file(images[0]).write_bytes("0 .5 .5 .1 .1".encode("utf-16"))
    assert sorted(image for part in parts(str(data), 2) for image in part) == images
    assert "1 of the label files cannot be read" in caplog.text
