"""What is wrong with a run's data, or in the way of its folder, is told before anything is written; the rest trains."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import ultralytics
import yaml
from helpers.places import not_permitted
from helpers.running import MODEL, MODELS, TINY, argv_of
from ultralytics.cfg import DEFAULT_CFG_DICT, get_cfg, parse_key_value_pair

from yolo_wiou import YOLO, ConfigError
from yolo_wiou.cli.main import run_command
from yolo_wiou.training.compatibility import check_torchvision
from yolo_wiou.training.preflight import TAKES_SPLIT, check_data

LABELS = {
    "segment": "; task segment needs outlines. Did you mean detect?",
    "obb": "; task obb needs rotated boxes. Did you mean detect?",
    "pose": "has no key points, which task pose needs: no 'kpt_shape' is in it.",
}


@pytest.fixture
def mine(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """data.yaml of a data set of one's own, in the working directory."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shapes.parent, tmp_path / "mine")
    return tmp_path / "mine" / "data.yaml"


def check(data: Path, task: str = "detect", **arguments: object) -> None:
    check_data(get_cfg(DEFAULT_CFG_DICT, {"data": str(data), "task": task, **arguments}))


def labels(data: Path, split: str = "train") -> list[Path]:
    return sorted((data.parent / "labels" / split).glob("*.txt"))


def images(data: Path, split: str = "train") -> list[Path]:
    return sorted((data.parent / "images" / split).iterdir())


def everywhere(files: Callable[[Path], list[Path]], text: str) -> Callable[[Path], None]:
    """Overwrite all files of one kind."""

    def overwrite(data: Path) -> None:
        for file in files(data):
            file.write_text(text)

    return overwrite


def remove(files: list[Path]) -> None:
    for file in files:
        file.unlink()


def one_removed_and_the_others_in_pixels(data: Path) -> None:
    remove(labels(data)[:1])
    for file in labels(data):
        file.write_text("0 120 80 40 20")


def change(data: Path, **settings: object) -> None:
    data.write_text(yaml.safe_dump({**yaml.safe_load(data.read_text()), **settings}))


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no labels": (lambda d: remove(labels(d)), "'train' of '{data}' has no labels: that of '"),
    "no images": (lambda d: remove(images(d)), "'train' of '{data}': No images found in"),
    "no images to validate": (lambda d: remove(images(d, "val")), "'val' of '{data}': No images found in"),
    "no folder": (lambda d: change(d, train="images/nowhere"), "nowhere does not exist"),
    "corrupt": (everywhere(images, "no picture"), "none of the 12 labelled images in 'train'"),
    "corrupt, why": (everywhere(images, "no picture"), ": it cannot be read as an image"),
    "UTF-16": (
        lambda d: d.write_text(
            yaml.safe_dump({**yaml.safe_load(d.read_text()), "names": {0: "红", 1: "白"}}, allow_unicode=True), "utf-16"
        ),
        "'{data}' is in UTF-16",
    ),
    "classes": (everywhere(labels, "7 .5 .5 .2 .2"), "Label class 7 exceeds dataset class count 2"),
    "pixels": (everywhere(labels, "0 120 80 40 20"), "non-normalized or out of bounds coordinates"),
    "a gap in the names": (
        lambda d: change(d, names={0: "disc", 2: "square"}),
        "requires class indices 0-1, but you have invalid class indices 0-2",
    ),
    "words": (everywhere(labels, "disc .5 .5 .2 .2"), "could not convert string to float"),
    "pixels in val": (
        lambda d: [file.write_text("0 120 80 40 20") for file in labels(d, "val")],
        "none of the 6 labelled images in 'val'",
    ),
    "pixels, and one image without a label": (
        one_removed_and_the_others_in_pixels,
        "none of the 11 labelled images in 'train'",
    ),
}


@pytest.mark.parametrize("broken", REFUSED)
def test_data_that_nothing_can_be_learnt_from_costs_one_message_and_nothing_else(
    broken: str, mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By both commands and in Python."""
    breaks, message = REFUSED[broken]
    breaks(mine)
    message = message.format(data=mine)
    before = sorted(tmp_path.rglob("*"))
    for command in (["train"], ["compare", "losses=ciou,wiou1"]):
        assert run_command([*command, f"data={mine}", f"model={MODEL}"]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert len(error.splitlines()) < 5
    with pytest.raises(ConfigError) as refused:
        YOLO(MODEL).train(data=mine, project=tmp_path)
    assert message in str(refused.value)
    assert sorted(tmp_path.rglob("*")) == before


TAKEN: dict[str, Callable[[Path], object]] = {
    "backgrounds": lambda d: remove(labels(d)[:-1]),
    "objects in the last image alone": lambda d: [file.write_text("") for file in labels(d)[:-1]],
    "no objects": everywhere(labels, ""),
    "some corrupt": lambda d: [file.write_text("no picture") for file in images(d)[:-1]],
    "some beyond the classes": lambda d: [file.write_text("7 .5 .5 .2 .2") for file in labels(d)[:-1]],
    "validation without labels": lambda d: remove(labels(d, "val")),
    "other files": lambda d: [
        (d.parent / folder / "train" / name).write_text("0 .5 .5 .2 .2 of another kind")
        for folder in ("labels", "images")
        for name in ("classes.txt", "README.txt", "._0000.txt", ".DS_Store")
    ],
}


@pytest.mark.parametrize("odd", TAKEN)
def test_what_ultralytics_trains_with_is_taken(odd: str, mine: Path) -> None:
    """As long as there are images."""
    TAKEN[odd](mine)
    check(mine)
    remove(images(mine))
    with pytest.raises(ConfigError):
        check(mine)


def test_what_is_taken_trains(mine: Path, tmp_path: Path) -> None:
    """All at once, as stock does."""
    for odd in ("some beyond the classes", "other files", "validation without labels"):
        TAKEN[odd](mine)
    for kind, name in ((ultralytics.YOLO, "stock"), (YOLO, "ours")):
        kind(MODEL).train(data=mine, project=tmp_path, name=name, **{**TINY, "epochs": 1})
        assert (tmp_path / name / "weights" / "last.pt").is_file()


@pytest.mark.parametrize("task", LABELS)
def test_labels_of_another_task_are_named_before_anything_is_written(
    task: str,
    shapes: Path,
    task_data: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [f"data={shapes}", f"model={MODELS[task]}"]
    before = sorted(tmp_path.rglob("*"))
    for command in ([task, "train", "loss=ciou"], *[["compare", "losses=ciou,wiou1"]] * (task != "obb")):
        assert run_command([*command, *arguments]) == 2
        assert LABELS[task] in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before
    check(task_data[task], task)


def test_files_beside_the_labels_of_outlines_are_no_labels(task_data: dict[str, Path], tmp_path: Path) -> None:
    """Of whatever name: the first and the last that a listing may give."""
    shutil.copytree(task_data["segment"].parent, tmp_path / "set")
    for folder in ("images", "labels"):
        for name in ("._0000.txt", "0.txt", "classes.txt", "README.txt", "zzz.txt"):
            (tmp_path / "set" / folder / "train" / name).write_text("0 .5 .5 .2 .2\n")
    check(tmp_path / "set" / "data.yaml", "segment")
    everywhere(labels, "0 .5 .5 .2 .2\n")(tmp_path / "set" / "data.yaml")
    with pytest.raises(ConfigError, match="outlines"):
        check(tmp_path / "set" / "data.yaml", "segment")


def test_one_box_among_outlines_is_told_without_a_traceback(
    task_data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where Ultralytics finds it, when it has read all labels."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(task_data["segment"].parent, tmp_path / "set")
    labels(tmp_path / "set" / "data.yaml")[-1].write_text("0 .5 .5 .2 .2\n")
    arguments = {**TINY, "data": tmp_path / "set" / "data.yaml", "model": MODELS["segment"], "project": tmp_path}
    assert run_command(["segment", "train", *argv_of(**arguments)]) == 2
    assert "segments" in capsys.readouterr().err


def test_lists_of_files_and_of_folders_are_data_sets_too(task_data: dict[str, Path], tmp_path: Path) -> None:
    """As Ultralytics takes them."""
    data = yaml.safe_load(task_data["segment"].read_text())
    images = task_data["segment"].parent / data["train"]
    (tmp_path / "train.txt").write_text("\n".join(map(str, images.glob("*.*"))))
    for name, train in {"files.yaml": str(tmp_path / "train.txt"), "folders.yaml": [str(images), str(images)]}.items():
        (tmp_path / name).write_text(yaml.safe_dump({**data, "val": str(images), "train": train}))
        check(tmp_path / name, "segment")
    (tmp_path / "train.txt").write_text(str(tmp_path / "nowhere.jpg"))
    with pytest.raises(ConfigError):
        check(tmp_path / "files.yaml", "segment")


def test_the_classes_of_one_class_are_one(mine: Path) -> None:
    everywhere(labels, "7 .5 .5 .2 .2")(mine)
    check(mine, single_cls=True)
    with pytest.raises(ConfigError):
        check(mine)


def test_the_part_of_the_data_that_is_trained_on_is_looked_at(mine: Path) -> None:
    """A third of twelve images: the first four, none of which has a label."""
    remove(labels(mine)[:4])
    check(mine, fraction=0.5)
    with pytest.raises(ConfigError, match="has no labels"):
        check(mine, fraction=1 / 3)


@pytest.mark.parametrize("classes", ["disc", 9, -1, [0, "disc"]])
def test_classes_that_the_data_set_has_not_are_told(classes: object, mine: Path) -> None:
    """Of which Ultralytics trains on no label."""
    with pytest.raises(ConfigError, match=r"'classes=(disc|9|-1)' is no class of .*', which has 0 \(disc\), 1 \(box\)"):
        check(mine, classes=classes)
    check(mine, classes=[0, 1])


ENCODINGS = [("gbk", "圆盘"), ("cp1252", "Größe"), ("utf-8-sig", "disc"), ("utf-16", "disc"), ("utf-8", "di\x01sc")]


@pytest.mark.parametrize(("encoding", "name"), ENCODINGS)
def test_files_in_any_encoding_are_taken_as_ultralytics_takes_them(
    encoding: str, name: str, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data file, and that of `cfg=`."""
    mine.write_bytes(f"train: images/train\nval: images/val\nnames: {{0: {name}, 1: box}}\n".encode(encoding))
    Path("all.yaml").write_bytes(f"# {name}\ndata: {mine}\nmodel: {MODEL}\nepochs: 7\n".encode(encoding))
    check(mine)
    trained = []

    def train(model: YOLO, **arguments: object) -> None:
        model.trainer = SimpleNamespace(save_dir=Path(), best=Path(), last=Path())
        trained.append(arguments)

    monkeypatch.setattr(YOLO, "train", train)
    assert run_command(["train", "cfg=all.yaml"]) == 0
    assert trained[0]["epochs"] == 7


SYNTAX = {
    "key: [1, 2\n": "'bad.yaml' is not YAML: line 2, column 1: ",
    "a: 1\nb: c: 2\n": "'bad.yaml' is not YAML: line 2, column 5: mapping values are not allowed",
    "a: 1\n\tb: 2\n": "'bad.yaml' is not YAML: line 2, column 1: found ",
}


@pytest.mark.parametrize("text", SYNTAX)
@pytest.mark.parametrize("option", ["data", "cfg", "loss"])
def test_where_a_file_stops_to_be_yaml_is_told_by_line_and_column(
    option: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_text(text)
    assert run_command(["train", f"{option}=bad.yaml", f"model={MODEL}"]) == 2
    error = capsys.readouterr().err
    assert SYNTAX[text] in error
    assert len(error.splitlines()) == 1


def test_what_is_in_the_way_of_a_run_s_folder_is_told(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the command and in Python; where it may not be written, as root may everywhere."""
    Path("file").touch()
    before = sorted(tmp_path.rglob("*"))
    ways = {
        f"project={tmp_path}/file": "file' is a file",
        f"project={tmp_path} name=file exist_ok=True": "file' is a file",
        f"project={tmp_path}/file/below name=x": "file' is a file",
        f"name={'n' * 300} project={tmp_path}": "name too long",
        f"save_dir={tmp_path}/file": "file' is a file",
    }
    for argv, message in ways.items():
        arguments = dict(parse_key_value_pair(word) for word in argv.split())
        for data in ({"data": str(mine)}, {}):  # without, the demo's is not rendered either
            assert run_command(["train", *argv_of(model=MODEL, **data, **arguments)]) == 2
            assert message in capsys.readouterr().err
        with pytest.raises(ConfigError, match=message):
            YOLO(MODEL).train(data=mine, **arguments)
    monkeypatch.setattr(os, "mkdir", not_permitted)
    assert run_command(["train", *argv_of(model=MODEL, data=mine, project=tmp_path)]) == 2
    assert (
        f"'project={tmp_path}' cannot be made: nothing can be written in '{tmp_path}' (Permission denied)"
        in capsys.readouterr().err
    )
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(not TAKES_SPLIT, reason="this release validates on val whatever `split` says")
def test_what_is_validated_on_is_looked_at(mine: Path, tmp_path: Path) -> None:
    """With split=test neither an empty val nor an unusable one stops a training; a test that is not there does."""
    for file in labels(mine, "val"):
        file.write_text("0 120 80 40 20")
    change(mine, test="images/train")
    check(mine, split="test")
    with pytest.raises(ConfigError, match="'val' of"):
        check(mine)
    change(mine, val=None)
    check(mine, split="test")
    change(mine, test="images/nowhere")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match=r"'test' of .*nowhere does not exist|images/nowhere"):
        YOLO(MODEL).train(data=mine, project=tmp_path, split="test")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_torchvision_of_another_pytorch_is_said_before_anything_is_written(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: object) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr("torchvision.ops.nms", missing)
    before = sorted(tmp_path.rglob("*"))
    assert run_command(["train", f"data={mine}", f"model={MODEL}"]) == 2
    assert "Install the two that belong together" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_no_gpu_is_touched_before_the_run_has_its_device(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one may be full, or another one than device= says; out of memory is no fault of torchvision's."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    check_torchvision()

    def full(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("torchvision.ops.nms", full)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        check_torchvision()


def test_a_misspelt_argument_is_a_config_error_in_python_too(mine: Path, tmp_path: Path) -> None:
    for mistake, message in ({"lose": "wiou3"}, "'lose' is not a valid"), ({"epochs": "many"}, "'epochs=many' is of"):
        with pytest.raises(ConfigError, match=message):
            YOLO(MODEL).train(data=mine, project=tmp_path / "runs", **mistake)
    assert not (tmp_path / "runs").exists()
