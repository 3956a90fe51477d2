"""Data sets that do not fit the task are told before a training begins."""

from __future__ import annotations

import pytest
import yaml
from conftest import MODELS

from yolo_wiou.cli import main
from yolo_wiou.datasets import check_images, check_labels

LABELS = {
    "segment": "are upright boxes; task segment needs outlines. Did you mean detect?",
    "obb": "are upright boxes; task obb needs rotated boxes. Did you mean detect?",
    "pose": "has no key points, which task pose needs: no 'kpt_shape' is in it.",
}


@pytest.mark.parametrize("task", LABELS)
def test_labels_of_another_task_are_told_before_anything_is_written(
    task, shapes, task_data, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    words = [f"data={shapes}", f"model={MODELS[task]}"]
    before = sorted(tmp_path.rglob("*"))
    for command in ([task, "train", "loss=ciou"], *[["compare", "losses=ciou,wiou1"]] * (task != "obb")):
        assert main([*command, *words]) == 2
        assert LABELS[task] in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before
    check_labels(check_images(task_data[task]), task)


def test_labels_that_lie_elsewhere_are_nobody_s_mistake(task_data, tmp_path):
    """Ultralytics takes lists of files, too."""
    data = yaml.safe_load(task_data["segment"].read_text())
    images = task_data["segment"].parent / data["train"]
    (tmp_path / "train.txt").write_text("\n".join(map(str, images.glob("*.*"))))
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text(yaml.safe_dump({**data, "val": str(images), "train": str(tmp_path / "train.txt")}))
    two.write_text(yaml.safe_dump({**data, "val": str(images), "train": [str(images), str(images)]}))
    for file in (one, two):
        check_labels(check_images(file), "segment")
