"""Planning a study: which runs, in which order, and what is refused before anything is written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from ultralytics.cfg import DEFAULT_CFG_DICT

from yolo_wiou import cli, compare
from yolo_wiou.config import CFG, load_config
from yolo_wiou.demo import render_demo
from yolo_wiou.registry import ConfigError
from yolo_wiou.studies.compare.plan import Study, label, name_data, name_losses
from yolo_wiou.studies.compare.proof import left_out, objections


def a_study(**changes) -> Study:
    plain = {
        "losses": {"ciou": "ciou", "wiou3": "wiou3"},
        "data": {"a": "/a.yaml", "b": "/b.yaml"},
        "seeds": (0, 1, 2),
        "arguments": {"model": "yolo11n.yaml", "epochs": 3},
    }
    return Study(**{**plain, **changes})


def finish(study: Study, folder: Path) -> None:
    """Leave what a finished run leaves."""
    run = study.runs()[0]
    run.folder(folder).mkdir(parents=True)
    run.save(run.folder(folder))
    (run.folder(folder) / "result.json").write_text("{}")


def test_the_plan_is_every_combination_once_in_whole_pairs():
    runs = a_study().runs()
    assert [(run.seed, run.data, run.loss) for run in runs] == [
        (seed, data, loss) for seed in (0, 1, 2) for data in "ab" for loss in ("ciou", "wiou3")
    ]
    assert len({run.place for run in runs}) == 12
    one = runs[3]
    assert (one.spec, one.arguments) == ("wiou3", {"model": "yolo11n.yaml", "epochs": 3, "data": "/b.yaml"})


def test_the_grid_is_every_combination_for_every_loss_but_the_baseline():
    named = name_losses(["ciou", "wiou3", "ciou-v3"], {"gain.delta": [3, 4], "gain.dfl": [True]})
    assert list(named) == ["ciou", *(f"{loss} delta={d} dfl=True" for loss in ("wiou3", "ciou-v3") for d in (3, 4))]
    assert named["ciou"] == load_config("ciou")
    assert named["ciou-v3 delta=4 dfl=True"] == load_config("ciou-v3", {"gain.delta": 4, "gain.dfl": True})


def test_losses_from_files_are_called_after_them(tmp_path):
    (tmp_path / "mine.yaml").write_text("name: wiou3\ngain: {name: nonmonotonic, delta: 5}\n")
    named = name_losses(["ciou", str(tmp_path / "mine.yaml")], {})
    assert list(named) == ["ciou", "mine"]
    assert named["mine"].spec["gain"]["delta"] == 5  # all of it: the study needs the file no longer


def test_labels_make_folders_of_any_file_system():
    study = a_study(losses={"ciou": "ciou", label("wiou3*", {"overlap.focaler": [0.0, 0.95]}): "wiou3"})
    places = [run.place.as_posix() for run in study.runs()[:2]]
    assert places == ["a/ciou/seed0", "a/wiou3__focaler=_0.0__0.95_/seed0"]


def test_data_sets_are_called_after_their_files(tmp_path):
    files = [str(tmp_path / "cells" / "data.yaml"), "coco8.yaml"]
    assert name_data(files) == {"cells": files[0], "coco8": "coco8.yaml"}
    with pytest.raises(ConfigError, match="two of the data sets are called 'coco8'"):
        name_data(["coco8.yaml", "other/coco8.yaml"])
    with pytest.raises(ConfigError, match=r"called 'Cells': 'cells.yaml' and 'Cells.yaml'"):
        name_data(["cells.yaml", "Cells.yaml"])
    assert name_data(["/data.yaml"]) == {"data": "/data.yaml"}


def test_a_study_remembers_itself(tmp_path):
    a_study(losses={"ciou": "ciou", "mine": load_config("wiou3", {"gain.delta": 5}).spec}).save(tmp_path)
    assert Study.load(tmp_path).runs()[1].spec["gain"]["delta"] == 5
    Study.load(tmp_path).check(tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"arguments": {"model": "yolo11n.yaml", "epochs": 4}}, "arguments.epochs is 3 there and 4 here"),
        ({"losses": {"ciou": "ciou", "eiou": "eiou"}}, "losses.wiou3 is only there; losses.eiou is only here"),
        ({"losses": {"wiou3": "wiou3", "ciou": "ciou"}}, "its losses stand in another order"),
        ({"seeds": (0, 1)}, r"seeds is \[0, 1, 2\] there and \[0, 1\] here"),
        ({"seeds": range(60)}, r"seeds is \[0, 1, 2\] there and 60 values from 0 to 59 here"),
        ({"data": {"a": "/a.yaml"}}, "data.b is only there"),
    ],
)
def test_the_folder_of_another_study_is_refused_with_the_difference(tmp_path, changes, words):
    with a_study().claim(tmp_path):
        finish(a_study(), tmp_path)
    before = (tmp_path / "study.json").read_bytes()
    with pytest.raises(ConfigError, match=words), a_study(**changes).claim(tmp_path):
        pass
    assert (tmp_path / "study.json").read_bytes() == before


def test_a_study_of_which_no_run_has_finished_is_in_nobody_s_way(tmp_path):
    """Its arguments may have been why."""
    with a_study().claim(tmp_path):
        (tmp_path / "proof").mkdir()
        run = a_study().runs()[0]
        run.folder(tmp_path).mkdir(parents=True)
        run.save(run.folder(tmp_path))  # it failed
    other = a_study(seeds=(0, 1))
    with other.claim(tmp_path):
        assert Study.load(tmp_path) == other
        assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["study.json"]


@pytest.mark.parametrize("text", ["not json", "[1]", "{}", '{"losses": 3}'])
def test_a_study_json_that_is_none_is_refused_and_left_alone(text, tmp_path):
    (tmp_path / "study.json").write_text(text)
    with pytest.raises(ConfigError, match=r"is no study of compare.*out="), a_study().claim(tmp_path):
        pass
    assert (tmp_path / "study.json").read_text() == text


def test_what_a_kill_or_a_file_manager_leaves_is_in_nobody_s_way(tmp_path):
    for name in (".study.json.4711", ".DS_Store"):
        (tmp_path / name).touch()
    a_study().check(tmp_path)


@pytest.mark.parametrize("file", ["args.yaml", "running/mine.txt", "proof/mine.txt", "report.html"])
def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path, file):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("mine")
    with pytest.raises(ConfigError, match=r"holds other files.*out="), a_study().claim(tmp_path):
        pass
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / file]


def test_a_folder_has_one_process_at_a_time(tmp_path):
    with a_study().claim(tmp_path):
        second = a_study().claim(tmp_path)
        with pytest.raises(ConfigError, match="another process is working"):
            second.__enter__()
    with a_study().claim(tmp_path):
        pass


MISTAKES = {
    "losses=ciou": "needs two losses or more",
    "losses=ciou,wiuo3": "unknown loss 'wiuo3'. Did you mean 'wiou3'?",
    "losses=ciou,wiou3,WIoUv3": "two of the losses are called 'wiou3'",
    "losses=ciou,wiou3 loss.gain.delta=3,99": "'wiou3 delta=99': loss.gain.delta=99 is wrong",
    "losses=ciou,eiou loss.gain.delta=3": "'eiou delta=3': unknown key",
    "loss.gain.delta=": "'loss.gain.delta' needs a value",
    "loss=wiou3": "'loss' has no place in a study: losses=A,B",
    "seeds=0": "'seeds' needs one whole number, 1 or above, not '0'",
    "seeds=1,2": "'seeds' needs one whole number",
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


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes_are_named_before_anything_is_written(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["compare", *words.split()]) == 2
    assert MISTAKES[words] in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("model", "words", "message"),
    [
        ("yolo11n-obb.yaml", "", "upright boxes"),
        ("yolo11n-cls.yaml", "", "ClassificationTrainer has no box loss"),
        ("missing.yaml", "", "missing.yaml"),
        (
            "yolo11n.yaml",
            "out=taken losses=ciou,eiou",
            "'taken' holds another study: losses.a is only there; losses.b is only there; losses.ciou is only here",
        ),
    ],
)
def test_what_does_not_fit_is_refused(model, words, message, shapes, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    taken = a_study(losses={"a": "ciou", "b": "eiou"})
    taken.save(tmp_path / "taken")
    finish(taken, tmp_path / "taken")
    before = sorted(tmp_path.rglob("*"))
    assert cli.main(["compare", f"data={shapes}", f"model={model}", *words.split()]) == 2
    assert message in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_of_all_settings_as_ultralytics_copies_it_is_taken(shapes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plain = [f"data={shapes}", "model=yolo11n.yaml", "epochs=2"]
    Path("all.yaml").write_text(yaml.safe_dump(DEFAULT_CFG_DICT))
    assert (found := compare.read([*plain, "cfg=all.yaml"]).study).arguments["epochs"] == 2
    assert found.seeds == compare.read(plain).study.seeds
    assert not {"seed", "project", "time"} & set(found.arguments)


def test_all_epochs_are_trained_unless_asked_otherwise(shapes):
    words = [f"data={shapes}", "model=yolo11n.yaml", "epochs=300"]
    assert compare.read(words).study.arguments["patience"] == 0
    assert compare.read([*words, "patience=300"]).study.arguments["patience"] == 300


def test_the_demo_is_the_same_study_once_its_data_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["shapes.train=1", "shapes.val=1", "shapes.imgsz=32"]
    first = compare.read(words)
    render_demo(first.shapes)
    assert compare.read(words).study == first.study


def test_a_missing_package_is_named(monkeypatch, capsys):
    monkeypatch.setattr("yolo_wiou.compare.NEEDED", ("jinja2", "no_such_package"))
    assert cli.main(["compare"]) == 2
    assert "compare needs no_such_package" in (error := capsys.readouterr().err)
    assert "[compare]" in error


def test_the_yaml_file_documents_every_default():
    text = (CFG / "compare.yaml").read_text(encoding="utf-8")
    assert set(yaml.safe_load(text)) == {"study", "demo"}
    settings = [line for line in text.splitlines() if re.match(r" +\w+: [^#]", line)]
    assert len(settings) > 10
    assert all(" # (" in line for line in settings)


def seen(loss: str, seed: int, *stream: int, data: str = "a", optimizer: str = "SGD", objects: int = 5) -> dict:
    images = {
        "training": {"images": 9, "left out": 2, "objects": 7},
        "validation": {"images": 4, "left out": 0, "objects": objects},
    }
    told = {"data": data, "loss": loss, "seed": seed, "stream": list(stream), "optimizer": {"name": optimizer}}
    return told | {"images": images}


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([seen("ciou", 0, 1), seen("wiou3", 0, 1), seen("ciou", 1, 2)], None),
        ([seen("ciou", 0, 1, 5), seen("wiou3", 0, 1)], None),  # one stopped early
        ([seen("ciou", 0, 1), seen("ciou", 0, 2, data="b"), seen("ciou", 1, 2, data="a")], None),
        ([seen("ciou", 0, 1), seen("wiou3", 0, 2)], "a: ciou under seed 0 and wiou3 under seed 0 saw different data"),
        ([seen("ciou", 0, 1), seen("ciou", 1, 1)], "saw the same data: two seeds would count as one"),
        ([seen("ciou", 0, 1), seen("wiou3", 0, 1, optimizer="AdamW")], "had different optimizers"),
        (
            [seen("ciou", 0, 1, objects=0), seen("wiou3", 0, 1, objects=0)],
            "a: there is no object in the validation images",
        ),
    ],
)
def test_objections(runs, message):
    found = objections(json.loads(json.dumps(runs)))
    assert len(found) == (message is not None)
    assert not message or message in found[0]


def test_images_that_are_left_out_are_told(tmp_path):
    assert left_out(tmp_path) == {}
    (tmp_path / "proof").mkdir()
    (tmp_path / "proof" / "proof.json").write_text(json.dumps({"runs": [seen("ciou", 0, 1), seen("wiou3", 0, 1)]}))
    assert list(left_out(tmp_path)) == ["a"]
    (warning,) = left_out(tmp_path)["a"]
    assert warning.startswith("2 of 9 training images are left out, as corrupt in themselves or in their labels")
    assert str(Path("proof", "log.txt")) in warning


def test_the_frozen_format_of_a_run(tmp_path):
    """Fields of run.json are promised: studies that lie on disk must go on."""
    run = a_study().runs()[0]
    run.save(tmp_path)
    written = json.loads((tmp_path / "run.json").read_text())
    assert set(written) == {"data", "loss", "seed", "spec", "arguments", "judge", "checkpoints"}
    older = {key: value for key, value in written.items() if key not in {"judge", "checkpoints"}}
    (tmp_path / "run.json").write_text(json.dumps(older))
    assert type(run).load(Path(tmp_path)) == run
