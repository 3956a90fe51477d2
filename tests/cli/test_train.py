"""The command line: what passes through, and what a mistake gets."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
import yaml
from helpers.places import not_permitted
from helpers.running import shell

from yolo_wiou import YOLO, available_losses
from yolo_wiou.cli import main
from yolo_wiou.cli.main import run_command
from yolo_wiou.losses.presets import groups, load_config


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.yaml").write_text("penalty: [unclosed")
    (tmp_path / "list.yaml").write_text("- wiou3\n- ciou\n")
    (tmp_path / "unknown.yaml").write_text("penalty: ciou\ngian: none\n")
    (tmp_path / "numbers.yaml").write_text("1: 2\non: 3\n")
    hostile = {"number": "3", "date": "2024-01-31", "long": "a" * 400, "red": r'"\e[31mred"', "two": r'"two\nlines"'}
    for word, name in hostile.items():
        (tmp_path / f"{word}-name.yaml").write_text(f"name: {name}")
    (tmp_path / "deep.yaml").write_text("gain: " + "[" * 100_000)
    laughs = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 11))
    (tmp_path / "laughs.yaml").write_text(f"a0: &a0 ha\n{laughs}")
    (tmp_path / "mine.yaml").write_text("penalty: siou\ngain: {name: monotonic, gamma: 1}\n")
    (tmp_path / "w.onnx").touch()
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\nnames: {0: thing}\n")


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """The arguments of every training, none of which takes place."""
    arguments_of = []

    def train(model: YOLO, **arguments: Any) -> None:
        arguments_of.append(arguments)
        model.trainer = SimpleNamespace(save_dir=tmp_path, best=tmp_path / "best.pt", last=tmp_path / "last.pt")

    monkeypatch.setattr(YOLO, "train", train)
    return arguments_of


MISTAKES = {
    "loss=wiuo3": "Did you mean 'wiou3'?",
    "loss.gain.detla=3": "unknown key 'loss.gain.detla'. Did you mean 'delta'? Valid: alpha, delta, dfl, name.",
    "augmentations=x": "'augmentations' ",
    "loss.gain.delta=abc": "loss.gain.delta=abc is wrong: it should be a valid number",
    "loss.gain.delta=-1": "loss.gain.delta=-1 is wrong: it should be greater than 0",
    "loss.gain.delta=": "'loss.gain.delta' needs a value",
    "loss.gain.delta=true": "it should be a number",
    "loss.gain.delta=inf": "loss.gain.delta=inf is wrong",
    "loss.gian.delta=3": "unknown key 'loss.gian'. Did you mean 'gain'?",
    "loss.gain.name=nonmonotnic": "unknown gain 'nonmonotnic'. Did you mean 'nonmonotonic'?",
    "loss.penalty.name=wiu": "unknown penalty 'wiu'. Did you mean 'wiou'?",
    "loss.penalty.theta=3": "unknown key 'loss.penalty.theta'. Valid: name.",
    "loss.running_mean.momentum=2": "it should be 'auto' or a number between 0 and 1",
    "loss.overlap.focaler=[0.9,0.1]": "it should be two numbers d < u",
    "loss.overlap.name=none": "penalty 'wiou' multiplies the IoU loss",
    "loss=missing.yaml": "cannot read 'missing.yaml': No such file or directory",
    "loss=broken.yaml": "'broken.yaml' is not YAML",
    "loss=list.yaml": "'list.yaml' holds no mapping",
    "loss=unknown.yaml": "unknown key 'loss.gian'. Did you mean 'gain'?",
    "loss=numbers.yaml": "unknown key 'loss.1'",
    "loss=number-name.yaml": "loss.name=3 is wrong: it should be a valid string.",
    "loss=date-name.yaml": "loss.name=2024-01-31 is wrong: it should be a valid string.",
    "loss=long-name.yaml": "loss.name=aaaaaaaaa",
    "loss=red-name.yaml": r"loss.name=\x1b[31mred is wrong: it should have no control characters.",
    "loss=two-name.yaml": r"loss.name=two\nlines is wrong: it should have no control characters.",
    "loss=deep.yaml": "'deep.yaml' is nested too deeply to be read.",
    "loss=laughs.yaml": "'laughs.yaml' holds more than",
    "loss.gain.name=[a]": "unknown gain '['a']'",
    "loss=": "'loss' needs a name or a YAML file",
    "loss": "'loss' needs a value, with an equals sign: loss=wiou3.",
    "loss.gain.delta": "with an equals sign: loss.gain.delta=VALUE.",
    "loss.delta=5": "Did you mean loss.gain.delta?",
    "los=wiou3": "'loss=wiou3'",
    "data": "with an equals sign: data=VALUE.",
    "seed": "with an equals sign: seed=0.",
    "epohcs=3": "'epohcs' is not a valid YOLO argument",
    "epochs=many": "'epochs=many' is of invalid type",
    "epochs": "'epochs' needs a value",
    "noise=0.3": "belong to the demo",
    "data=nowhere.yaml": "nowhere.yaml",
    "data=mine.yaml": "'mine.yaml' is no data set: it has no 'train'. It looks like a loss: loss=mine.yaml.",
    "data=nodir": "'nodir' does not exist",
    "imgsz=64": "images not found, missing path",  # of data.yaml
    "device=99": "Invalid CUDA 'device=99' requested",
    "data=numbers.yaml": "'numbers.yaml' is no data set: it has no 'train'. It needs train, val and names.",
    "model=nowhere.pt": "nowhere.pt",
    "model=sam_b.pt": "no training for 'sam_b.pt'",
    "model=data.yaml": "'data.yaml' describes no model: it has no",
    "model=mine.yaml": "'mine.yaml' describes no model: it has no",
    "task=foo": "'task=foo' is unknown. Valid: ",
    "task=segment": "'model=yolo11n.yaml' is a model of task detect, not segment.",
    "imgsz=[640": "imgsz=[640",
    "batch=1.5": "'batch=1.5' is not a batch size",
    "batch=0": "'batch=0' is not a batch size",
    "loss.gain.delta=[1": "loss.gain.delta=[1",
    "loss=ciou,wiou3": "a training has one loss. To compare several: yolo-wiou compare losses=ciou,wiou3",
    "losses=ciou,wiou3": "'losses' belongs to compare: yolo-wiou compare",
    "seeds=3": "'seeds' belongs to compare: yolo-wiou compare",
    "loss.gain.delta=3,5": "compare losses=ciou,wiou3 loss.gain.delta=3,5",
    "loss.overlap.focaler=0.1": "it should be two numbers in brackets, [d,u].",
    "loss.gain.delta=30": "it should be greater than 0 and less than or equal to 20.",
    "loss='wiuo3'": "unknown loss 'wiuo3'. Did you mean 'wiou3'?",
    "loss.name=giou": "would give 'wiou3' another name. Did you mean loss=giou?",
    "optimizer=adm": "'optimizer=adm' is unknown. Valid: Adam, AdamW, Adamax, MuSGD",
    "split=foo": "'split=foo' is unknown",
    "pretrained=nowhere.pt": "nowhere.pt",
    "pretrained=data.yaml": "data.yaml",
    "data=['data.yaml','numbers.yaml']": "'numbers.yaml' is no data set",
    "model=w.onnx": "'w.onnx' is an exported model, which cannot be trained",
    "cfg=nowhere.yaml": "nowhere.yaml",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_costs_one_message_and_nothing_else(
    mistake: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    loss = [] if mistake.startswith("loss") and not mistake.startswith("loss.") else ["loss=wiou3"]
    assert run_command(["train", "data=data.yaml", "model=yolo11n.yaml", *loss, mistake]) == 2
    error = capsys.readouterr().err
    assert MISTAKES[mistake] in error
    assert "Traceback" not in error
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["train", "noise=2"], ": noise=2 is wrong: it should be greater than or equal to 0 and less than"),
        (["train", "loss=ciou", "loss=wiou3"], "'loss=ciou' and 'loss=wiou3': which of the two?"),
        (["train", "--loss.gain.delta=3", "loss.gain.delta=3"], "'--loss.gain.delta=3' and 'loss.gain.delta=3'"),
        (["train", "noise=0.1", "shapes.noise=0.2"], "'noise=0.1' and 'shapes.noise=0.2'"),
        (["losses", "wiou3", "loss.power=1", "loss.power=2"], "'loss.power=1' and 'loss.power=2'"),
        (["frobnicate"], "yolo-wiou: 'frobnicate' is not a valid YOLO argument."),
        (["train", "loss.penalty.name=centre"], "One of your own is known once its module is imported"),
        (["train", "shapes.colour=red"], "colour"),
        (["classify", "train", "loss=wiou3", "data=data.yaml", "model=yolo11n-cls.yaml"], "has no box loss"),
        (["val", "model=yolo11n.yaml", "loss=wiou3"], "'loss=wiou3' belongs to train"),
        (["val", "model=nowhere.pt", "data=data.yaml"], "cannot open 'nowhere.pt': No such file or directory."),
        (["val", "model=yolo11n.yaml", "data=nowhere.yaml"], "'nowhere.yaml' does not exist"),
        (["trian", "loss=wiou3", "data=data.yaml"], "unknown command 'trian'. Did you mean 'train'?"),
        (["losse"], "Did you mean 'losses'?"),
        (["train", "resume", "model=mine.yaml"], "'mine.yaml' is no checkpoint. A run's are weights/last.pt"),
        (["predict", "model=nowhere.pt", "source=data.yaml"], "cannot open 'nowhere.pt': No such file or directory."),
        (["export", "model=nowhere.pt"], "cannot open 'nowhere.pt': No such file or directory."),
        (["train", "loss", "wiou3"], "with an equals sign: loss=wiou3"),
        (["train", "shapes.task=segment"], "yolo-wiou segment train"),
        (["obb", "train", "loss=siou"], "penalty 'siou' needs upright boxes"),
        (["segment", "train", "noise=0.3"], "label noise supports task 'detect' only"),
        (["losses", "wiuo3"], "Did you mean 'wiou3'?"),
        (["losses", "wiou3", "ciou"], "'losses' shows one loss at a time, not wiou3 and ciou."),
        (["losses", "wiou3", "loss.gain.detla=5"], "Did you mean 'delta'?"),
        (["version", "foo=3"], "unknown option 'foo'"),
        (["train", "data=data.yaml", "traim"], "traim"),
        (
            ["train", "loss=siou", "loss.gain.delta=3"],
            "'delta' belongs to gain nonmonotonic: loss.gain.name=nonmonotonic",
        ),
    ],
)
def test_other_mistakes(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert run_command(argv) == 2
    assert message in capsys.readouterr().err
    assert "yolo-wiou" not in caplog.text  # nor that this is the demo
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "command",
    [
        "train project=/there data=data.yaml model=yolo11n.yaml",
        "train project=/there",
        "curves out=there",
        "simulate out=there",
    ],
)
def test_where_nothing_may_be_written_is_told_at_once(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(os, "mkdir", not_permitted)  # root may write everywhere
    assert run_command(command.split()) == 2
    assert "there' cannot be made: nothing can be written in" in capsys.readouterr().err
    assert "this is the demo" not in caplog.text


def test_a_file_of_the_name_of_a_relative_project_is_in_nobody_s_way(
    trained: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Ultralytics resolves it below its own folder of runs."""
    (tmp_path / "exp").touch()
    assert run_command(["train", "data=data.yaml", "model=yolo11n.yaml", "project=exp"]) == 0
    assert trained[0]["project"] == "exp"


def test_the_settings_of_another_run_do_not_lead_into_its_folder(trained: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "args.yaml").write_text(
        f"mode: train\nmodel: yolo11n.yaml\ndata: data.yaml\nepochs: 7\nloss: siou\naudit: true\nsave_dir: {tmp_path}\n"
    )
    assert run_command(["train", "cfg=args.yaml"]) == 0
    assert trained[0].pop("loss").name == "siou"
    assert trained == [{"data": "data.yaml", "epochs": 7, "audit": True}]


def test_a_listed_loss_can_be_changed_in_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["losses", "wiou3", "loss.gain.delta=5"]) == 0
    assert load_config(yaml.safe_load(capsys.readouterr().out)).gain.model_dump()["delta"] == 5


@pytest.mark.parametrize(
    ("argument", "setting"),
    [
        ("loss.overlap.focaler=0.1,0.9", "focaler:\n  - 0.1\n  - 0.9\n"),
        ("loss.overlap.focaler=[0.1,0.9]", "focaler:\n  - 0.1\n  - 0.9\n"),
        ("loss.overlap.focaler=(0.1,0.9)", "focaler:\n  - 0.1\n  - 0.9\n"),
        ("loss.gain.name='monotonic'", "name: monotonic\n"),
        ('loss.gain.delta="5"', "delta: 5.0\n"),
    ],
)
def test_pairs_and_quotes_are_taken_as_users_write_them(
    argument: str, setting: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["losses", "'wiou3'", argument]) == 0
    assert setting in capsys.readouterr().out


def test_a_file_with_a_comma_in_its_name_is_one_loss(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "my,loss.yaml").write_text("penalty: siou\n")
    assert run_command(["train", "loss=my,loss.yaml", "model=nowhere.pt"]) == 2
    assert "nowhere.pt" in capsys.readouterr().err
    assert run_command(["curves", "losses='my,loss.yaml'", "means=0.5"]) == 0


@pytest.mark.parametrize("command", [["train"], ["val", "model=best.pt"], ["compare", "seeds=6"], ["plant"]])
def test_a_path_that_the_shell_has_split_is_told(
    command: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "my own data.yaml").touch()
    assert run_command([*command, "data=my", "own", "data.yaml", "epochs=3"]) == 2
    assert capsys.readouterr().err == "yolo-wiou: a path with spaces needs quotes: 'data=my own data.yaml'\n"


def test_a_misspelt_argument_costs_no_page_of_syntax(capsys: pytest.CaptureFixture[str]) -> None:
    for mode in ("train", "val"):
        assert run_command([mode, "data=data.yaml", "epohcs=3"]) == 2
        said = capsys.readouterr()
        assert "epohcs" in said.err
        assert "epochs" in said.err
        assert len((said.out + said.err).splitlines()) < 5


@pytest.mark.parametrize(
    ("age", "resume", "can_go_on"), [(None, False, False), (60, False, False), (-1, False, True), (60, True, True)]
)
def test_ctrl_c_in_a_training_names_what_can_be_resumed(
    age: int | None,
    resume: bool,
    can_go_on: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Bare `resume` would go on with another run where this one has no checkpoint yet."""

    def stopped(model: YOLO, **arguments: object) -> NoReturn:
        model.trainer = SimpleNamespace(last=tmp_path / "last.pt", resume=resume)
        if age is not None:
            model.trainer.last.touch()
            os.utime(model.trainer.last, (time.time() - age,) * 2)
        raise KeyboardInterrupt

    monkeypatch.setattr(YOLO, "train", stopped)
    assert run_command(["train", "data=data.yaml", "model=yolo11n.yaml"]) == 130
    said = capsys.readouterr().err
    assert ("nothing to resume" in said) == (not can_go_on)
    assert (f"train resume model={tmp_path / 'last.pt'}" in said) == can_go_on


def test_ctrl_c_is_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stopped(*args: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "run_as_ultralytics", stopped)
    assert run_command(["predict", "model=best.pt"]) == 130
    assert capsys.readouterr().err == "yolo-wiou: stopped.\n"


def test_the_extras_are_not_needed_to_train(tmp_path: Path) -> None:
    """Whoever installed without `[compare]` still has the command."""
    blocked = ("scipy", "plotly", "jinja2", "faster_coco_eval", "ray")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked})); import yolo_wiou.cli.main as m; print(m.__name__)"
    )
    assert shell("-c", code, cwd=tmp_path).stdout == "yolo_wiou.cli.main\n"


def test_losses_lists_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["losses"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert set(available_losses()) <= set(listed)
    assert listed.count("tasks:") == len(available_losses())


def test_the_catalogue_fits_80_columns_group_by_group(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run_command(["losses"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines[:-1]) <= 80  # the last one can be pasted
    headings = [line.removeprefix("== ") for line in lines if line.startswith("== ")]
    assert headings == list(groups())
    for (group, names), after in zip(groups().items(), [*headings[1:], None], strict=True):
        start, end = (lines.index(f"== {heading}") if heading else len(lines) for heading in (group, after))
        listed = {line.split()[0] for line in lines[start + 1 : end] if line[:1].strip()}
        assert listed >= set(names)


@pytest.mark.parametrize("name", available_losses())
def test_a_loss_as_yaml_can_be_passed_back(name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run_command(["losses", name]) == 0
    (tmp_path / "copy.yaml").write_text(capsys.readouterr().out)
    assert load_config(tmp_path / "copy.yaml") == load_config(name)


def test_losses_resolves_files_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["losses", "mine.yaml"]) == 0
    resolved = yaml.safe_load(capsys.readouterr().out)
    assert resolved["name"] == "mine"
    assert resolved["penalty"] == {"name": "siou", "theta": 4.0}
    assert resolved["gain"] == {"name": "monotonic", "dfl": False, "gamma": 1.0}


def test_other_commands_are_ultralytics_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(main, "entrypoint", lambda: seen.append(sys.argv[1:]))
    monkeypatch.setattr("sys.argv", ["yolo-wiou"])
    assert run_command(["val", "model=best.pt", "data=my.yaml"]) == 0
    assert run_command(["settings"]) == 0
    assert run_command(["rect", "val"]) == 0  # a bare switch of Ultralytics, not a mistyped command
    assert seen == [["val", "model=best.pt", "data=my.yaml"], ["settings"], ["rect", "val"]]
    assert sys.argv[0] == "yolo"  # or predict would save nothing


def test_curves_and_simulate_write_table_and_picture(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run_command(["curves", "losses=siou,ciou", "loss.power=2"]) == 0
    assert run_command(["simulate", "losses=ciou,wiou1", "points=2", "iterations=3", "experiment=wiou", "out=sim"]) == 0
    said = capsys.readouterr().out
    for stem in ("runs/curves/curves", "sim/simulate-wiou"):
        assert f"{stem}.png" in said
        assert (tmp_path / f"{stem}.png").read_bytes().startswith(b"\x89PNG")
        assert {row.split(",")[0] for row in (tmp_path / f"{stem}.csv").read_text().splitlines()[1:]} >= {
            "ciou*" if "curves" in stem else "ciou"
        }


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["curves", "loses=wiou3"], "Did you mean 'losses'?"),
        (["curves", "losses=wiou3,wiuo3"], "Did you mean"),
        (["curves", "losses=wiou3,WIoUv3"], "two of the losses have one name"),
        (["curves", "means=0"], "numbers above 0"),
        (["curves", "means=0.2,"], "numbers above 0"),
        (["curves", "means=0.2,,0.5"], "0.2,,0.5"),
        (["curves", "losses=ciou,"], "'ciou,' has a comma too many"),
        (["simulate", "losses=ciou,,wiou1"], "'ciou,,wiou1' has a comma too many"),
        (["curves", "means=0.2", "means=0.5"], "'means=0.2' and 'means=0.5'"),
        (["curves", "means=nan"], "numbers above 0"),
        (["curves", "means=2"], "numbers above 0, up to 1"),
        (["curves", "out=data.yaml"], "'out=data.yaml' is to be a folder"),
        (["simulate", "out=data.yaml/below"], "data.yaml' is a file"),
        (["simulate", "experiment=siou"], "Valid: diou, wiou."),
        (["simulate", "points=many"], "whole number"),
        (["simulate", "points=0"], "'points' needs one whole number, 1 or above"),
        (["simulate", "loss.gain.delta=3", "losses=ciou"], "unknown key 'loss.gain.delta'"),
    ],
)
def test_mistakes_of_curves_and_simulate(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert run_command(argv) == 2
    assert message in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unknown_ultralytics_is_named_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ultralytics.utils.loss import BboxLoss

    monkeypatch.setattr(BboxLoss, "forward", lambda self, boxes: None)
    assert run_command(["checks"]) == 1
    error = capsys.readouterr().err
    assert "calls its box loss with ['boxes']" in error
    assert "pip install 'ultralytics" in error
