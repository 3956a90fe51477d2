"""Data sets that do not fit the task are refused before a training begins."""

from __future__ import annotations

import pytest
import yaml
from helpers.running import MODELS

from yolo_wiou.cli.datasets import check_images, check_labels
from yolo_wiou.cli.main import run_command

LABELS = {
    "segment": "are upright boxes; task segment needs outlines. Did you mean detect?",
    "obb": "are upright boxes; task obb needs rotated boxes. Did you mean detect?",
    "pose": "has no key points, which task pose needs: no 'kpt_shape' is in it.",
}


@pytest.mark.parametrize("task", LABELS)
def test_labels_of_another_task_are_named_before_anything_is_written(
    task, shapes, task_data, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    arguments = [f"data={shapes}", f"model={MODELS[task]}"]
    before = sorted(tmp_path.rglob("*"))
    for command in ([task, "train", "loss=ciou"], *[["compare", "losses=ciou,wiou1"]] * (task != "obb")):
        assert run_command([*command, *arguments]) == 2
        assert LABELS[task] in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before
    check_labels(check_images(task_data[task]), task)


def test_lists_of_files_and_of_folders_are_data_sets_too(task_data, tmp_path):
    """As Ultralytics takes them."""
    data = yaml.safe_load(task_data["segment"].read_text())
    images = task_data["segment"].parent / data["train"]
    (tmp_path / "train.txt").write_text("\n".join(map(str, images.glob("*.*"))))
    for name, train in {"files.yaml": str(tmp_path / "train.txt"), "folders.yaml": [str(images), str(images)]}.items():
        (tmp_path / name).write_text(yaml.safe_dump({**data, "val": str(images), "train": train}))
        check_labels(check_images(tmp_path / name), "segment")
