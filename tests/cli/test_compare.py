"""The command `compare`: what its arguments mean, and what is refused before anything is written."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
import yaml
from helpers.studies import a_study, finish
from ultralytics.cfg import DEFAULT_CFG_DICT, check_dict_alignment

from yolo_wiou.cli import compare
from yolo_wiou.cli.main import run_command
from yolo_wiou.files import CFG
from yolo_wiou.losses import LossConfig, load_config

MISTAKES = {
    "losses=ciou": "needs two losses or more",
    "losses=ciou,wiuo3": "unknown loss 'wiuo3'. Did you mean 'wiou3'?",
    "losses=ciou,wiou3,WIoUv3": "two of the losses are called 'wiou3'",
    "losses=ciou,wiou3 loss.gain.delta=3,99": "'wiou3 delta=99': loss.gain.delta=99 is wrong",
    "losses=ciou,eiou loss.gain.delta=3": "'eiou delta=3': unknown key",
    "losses=ciou,focaler-iou loss.overlap.focaler=0.1,0.9": "focaler=0.1 is wrong: it should be two numbers in",
    "losses=ciou,wiou3 losses=ciou,siou": "'losses=ciou,wiou3' and 'losses=ciou,siou': which of the two?",
    "losses=ciou,wiou3 loss.gain.delta=3 loss.gain.delta=5": "'loss.gain.delta=3' and 'loss.gain.delta=5'",
    "loss.gain.delta=": "'loss.gain.delta' needs a value",
    "loss=wiou3": "'loss' has no place in a study: losses=A,B",
    "seeds=0": "'seeds' needs one whole number, 1 or above, not '0'",
    "seeds=1,2": "'seeds' needs one whole number",
    "control=maybe": "'control=maybe' is wrong. Valid: auto, false, true.",
    "losses=wiou3,siou control=true": "'wiou3' has 'nonmonotonic' for its gain",
    "seed=1": "'seed' has no place in a study",
    "jobs=0": "'jobs' needs one whole number, 1 or above",
    "engine=slurm": "unknown engine 'slurm'. Valid: local, ray.",
    "address=auto": "'address' belongs to engine=ray",
    "batch=-1": "depends on the memory",
    "batch=0.5": "depends on the memory",
    "device=0,1": "a run has one device",
    "device=99": "Invalid CUDA 'device=99' requested",
    "egnine=ray": "Similar arguments are i.e. ['engine=local']",
    "time=1": "Use epochs=N",
    "patience=abc": "'patience=abc' is of invalid type",
    "patience=5 epochs=10": "'patience=5' ends runs where the validation images say so",
    "resume=True": "the same command goes on",
    "project=x": "out=FOLDER",
    "save_dir=x": "'save_dir' has no place in a study: out=FOLDER",
    "augmentations=x": "'augmentations' ",
    "epochs=many": "'epochs=many' is of invalid type",
    "epocs=3": "'epocs' is not a valid YOLO argument",
    "data=missing.yaml": "'missing.yaml' does not exist",
    "data=missing.yaml noise=0.2": "belong to the demo",
    "shapes.nois=1": "unknown key 'shapes.nois'",
    "segment": "the demo of compare",
    "out=": "'out' needs a value",
    "out=/dev/null": "'out=/dev/null' is to be a folder",
    "data=nodir": "'nodir' does not exist",
}


@pytest.mark.parametrize("command", MISTAKES)
def test_mistakes_are_named_before_anything_is_written(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(["compare", *command.split()]) == 2
    assert MISTAKES[command] in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_whatever_ultralytics_takes_beyond_its_defaults_is_considered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its newer releases take keys that default.yaml does not list."""
    taken = re.search(r"allowed_custom_keys = \{(.*)\}", inspect.getsource(check_dict_alignment))
    monkeypatch.chdir(tmp_path)
    for key in re.findall(r"\w+", taken[1]) if taken else ():
        assert run_command(["compare", f"{key}=x"]) == 2
        assert f"'{key}'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("model", "command", "message"),
    [
        ("yolo11n-obb.yaml", "losses=ciou,gcd", "overlap 'gcd' needs upright boxes. For task obb use iou"),
        ("yolo11n-cls.yaml", "", "ClassificationTrainer has no box loss"),
        ("missing.yaml", "", "missing.yaml"),
        (
            "yolo11n.yaml",
            "out=taken losses=ciou,eiou",
            "'taken' holds another study: losses.a is only there; losses.b is only there; losses.ciou is only here",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    model: str,
    command: str,
    message: str,
    shapes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    taken = a_study(losses={"a": "ciou", "b": "eiou"})
    taken.save(tmp_path / "taken")
    finish(taken, tmp_path / "taken")
    before = sorted(tmp_path.rglob("*"))
    assert run_command(["compare", f"data={shapes}", f"model={model}", *command.split()]) == 2
    assert message in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_no_cluster_is_looked_for_where_the_folder_is_another_study_s(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = a_study(losses={"a": "ciou", "b": "eiou"})
    taken.save(tmp_path)
    finish(taken, tmp_path)
    monkeypatch.setattr(compare, "choose_runner", lambda *_: pytest.fail("a cluster was started"))
    assert run_command(["compare", f"data={shapes}", "model=yolo11n.yaml", "engine=ray", f"out={tmp_path}"]) == 2
    assert "holds another study" in capsys.readouterr().err


def test_a_file_of_all_settings_as_ultralytics_copies_it_is_taken(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plain = [f"data={shapes}", "model=yolo11n.yaml", "epochs=2"]
    Path("all.yaml").write_text(yaml.safe_dump(DEFAULT_CFG_DICT))
    assert (found := compare.read([*plain, "cfg=all.yaml"]).study).arguments["epochs"] == 2
    assert found.seeds == compare.read(plain).study.seeds
    assert not {"seed", "project", "time"} & set(found.arguments)


def test_all_epochs_are_trained_unless_asked_otherwise(shapes: Path) -> None:
    argv = [f"data={shapes}", "model=yolo11n.yaml", "epochs=300"]
    assert compare.read(argv).study.arguments["patience"] == 0
    assert compare.read([*argv, "patience=300"]).study.arguments["patience"] == 300


def test_a_data_file_with_a_comma_in_its_path_is_one(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a,b").mkdir()
    path = tmp_path / "a,b" / "one,two.yaml"
    path.write_text(f"path: {shapes.parent}\n{shapes.read_text()}")
    assert list(compare.read([f"data={path}", "model=yolo11n.yaml"]).study.data.values()) == [str(path)]
    with_pairs = compare.read([f"data={path}", "model=yolo11n.yaml", "loss.overlap.focaler=(0.1,0.9),[0,0.5]"])
    assert [config.overlap.focaler for config in configs(with_pairs)[1:]] == [(0.1, 0.9), (0.0, 0.5)]


def configs(request: compare.Request) -> list[LossConfig]:
    return [load_config(loss) for loss in request.study.losses.values()]


def test_the_demo_is_the_same_study_once_its_data_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    argv = ["shapes.train=1", "shapes.val=1", "shapes.imgsz=32"]
    first = compare.read(argv)
    assert first.demo is not None
    first.demo.render()
    assert compare.read(argv).study == first.study


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("yolo_wiou.cli.compare.NEEDED", ("jinja2", "no_such_package"))
    assert run_command(["compare"]) == 2
    assert "compare needs no_such_package" in (error := capsys.readouterr().err)
    assert "[compare]" in error


def test_the_yaml_file_documents_every_default() -> None:
    text = (CFG / "compare.yaml").read_text(encoding="utf-8")
    assert set(yaml.safe_load(text)) == {"study", "demo"}
    settings = [line for line in text.splitlines() if re.match(r" +\w+: [^#]", line)]
    assert len(settings) > 10
    assert all(" # (" in line for line in settings)
