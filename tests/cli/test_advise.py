"""`yolo-wiou advise`: what it says of a data set, and that what it proposes to paste is valid."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from helpers.running import MODEL, MODELS

from yolo_wiou.cli import advise
from yolo_wiou.cli.compare import read
from yolo_wiou.cli.main import run_command


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_it_describes_the_boxes_and_proposes_what_can_be_pasted(
    shapes: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "my set").symlink_to(shapes.parent)
    assert run_command(["advise", "data=my set/data.yaml", "imgsz=64"]) == 0
    said = capsys.readouterr().out
    assert "my set/data.yaml, train: 12 images" in said
    assert "no study has shown that they help" in said
    assert "yolo-wiou.github.io/yolo-wiou/study/" in said
    assert [path.name for path in tmp_path.iterdir()] == ["my set"]
    *files, compare = [line for line in said.splitlines() if line.startswith("yolo-wiou ")]
    assert files
    for line in files:  # yolo-wiou losses NAME loss.KEY=VALUE > FILE
        _, _, *argv, _, file = shlex.split(line)
        assert run_command(["losses", *argv]) == 0
        (tmp_path / file).write_text(capsys.readouterr().out)
    pytest.importorskip("scipy")
    _, _, *argv = [f"model={MODEL}" if word.startswith("model=") else word for word in shlex.split(compare)]
    study = read(argv).study
    assert study.baseline == "ciou"
    assert len(study.losses) == 1 + len(files)
    assert study.arguments["imgsz"] == 64


def test_many_images_show_their_progress_beside_the_answer(
    shapes: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []
    for many in (2000, 1):
        monkeypatch.setattr(advise, "MANY_IMAGES", many)
        assert run_command(["advise", f"data={shapes}"]) == 0
        said.append(capsys.readouterr())
    assert said[0].out == said[1].out
    assert ("Labels" in said[0].err, "Labels" in said[1].err) == (False, True)


@pytest.mark.parametrize("task", MODELS)
def test_it_takes_every_task(task: str, task_data: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["advise", f"data={task_data[task]}", f"task={task}", "imgsz=640"]) == 0
    assert "6 images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "advise needs a data set"),
        (["data=nowhere.yaml"], "nowhere.yaml"),
        (["data={shapes}", "task=classify"], "'task=classify' is no task"),
        (["data={shapes}", "split=trian"], "Did you mean 'train'?"),
        (["data={shapes}", "imgsz=0"], "'imgsz' needs one whole number"),
        (["data={shapes}", "split=test"], "has no split 'test'"),
        (["data={shapes}", "model=yolo11n.pt"], "unknown option 'model'"),
        (["data=my.ndjson"], "'my.ndjson' is none"),
    ],
    ids=str,
)
def test_mistakes_are_one_message(
    arguments: list[str], message: str, shapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["advise", *(argument.format(shapes=shapes) for argument in arguments)]) == 2
    assert message in capsys.readouterr().err


def test_outlines_are_told_from_boxes_where_nobody_named_the_task(
    task_data: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for task, arguments, is_told in (("obb", [], True), ("obb", ["task=obb"], False), ("pose", [], False)):
        assert run_command(["advise", f"data={task_data[task]}", *arguments]) == 0
        assert ("have outlines; this is for task detect" in capsys.readouterr().out) is is_told


def test_the_size_is_that_of_a_training(shapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["advise", f"data={shapes}", "imgsz=65"]) == 0
    said = capsys.readouterr().out
    assert "at imgsz=96" in said
    assert "imgsz=96 " in said.partition("compare")[2]


@pytest.mark.parametrize(
    ("data", "task", "message"), [("detect", "obb", "needs rotated boxes"), ("obb", "pose", "key points")]
)
def test_labels_of_another_task_are_a_mistake(
    data: str, task: str, message: str, shapes: Path, task_data: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """What the command to paste would say."""
    assert run_command(["advise", f"data={ {'detect': shapes, **task_data}[data] }", f"task={task}"]) == 2
    assert message in capsys.readouterr().err


def test_labels_without_boxes_are_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "images" / "a.jpg")
    (tmp_path / "labels" / "a.txt").touch()
    (tmp_path / "my.yaml").write_text(f"path: {tmp_path}\ntrain: images\nval: images\nnames: [a]\n")
    assert run_command(["advise", "data=my.yaml"]) == 2
    assert "hold no boxes" in capsys.readouterr().err
