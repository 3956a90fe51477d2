"""The command `audit`: what it refuses before anything is written, what it writes and what it prints."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from helpers.here import runner
from helpers.places import places
from helpers.running import shell
from ultralytics import YOLO
from ultralytics.utils import DEFAULT_CFG_PATH

from yolo_wiou.cli import audit
from yolo_wiou.cli.main import run_command
from yolo_wiou.files import CFG

MISTAKES = {
    "": "which model? model=best.pt",
    "model=yolo11n.yaml": "'model=yolo11n.yaml' is no checkpoint",
    "model=sam2_b.pt": "'model=sam2_b.pt' cannot judge labels: it was not trained on a data set's classes",
    "model=missing.pt data=missing.yaml": "'missing.yaml' does not exist",
    "model=best.pt split=tran": "'split=tran' is unknown. Did you mean 'train'?",
    "model=best.pt threshold=0": "'threshold' needs to be above 0",
    "model=best.pt threshold=high": "'threshold' needs one number, 0 or above, not 'high'",
    "model=best.pt treshold=3": "'treshold' is not a valid YOLO argument",
    "model=best.pt fix.remove=true": "'fix.remove' belongs to a corrected copy: fix=FOLDER",
    "model=best.pt fix=a fix.add=2": "'fix.add' is true or false, not '2'",
    "model=best.pt decisions=d.json": "'decisions' belongs to a corrected copy: fix=FOLDER",
    "model=best.pt fix=a decisions=d.json": "cannot read decisions=d.json",
    "model=best.pt fix=/dev/null": "'fix=/dev/null' is to be a folder",
    "model=best.pt out=a fix=a": "'out=a' lies in 'fix=a', which is for labels alone",
    "model=best.pt out=a/b fix=a": "'out=a/b' lies in 'fix=a', which is for labels alone",
    "model=best.pt out=/dev/null": "'out=/dev/null' is to be a folder",
    "model=best.pt model=last.pt": "which of the two?",
    "model=best.pt project=x": "'project' has no place in an audit: out=FOLDER",
    "model=best.pt save_json=True": "'save_json' has no place in an audit",
    "model=best.pt loss=wiou3": "'loss' has no place in an audit",
    "model=best.pt export=cvta": "'export=cvta' is unknown. Did you mean 'cvat'?",
    "model=best.pt export=cvat,,fiftyone": "has a comma too many",
    "data=d.yaml model=a.yaml folds=1": "folds=1 leaves nothing to train on: 2 or more",
    "model=a.yaml folds=2": "which data set? data=my.yaml",
    "data=d.yaml folds=2": "which model? model=yolo11n.pt",
    "run=runs/train folds=2": "'run' has a model that is trained, and folds= trains its own",
    "data=d.yaml model=a.yaml folds=2 split=val": "folds= is for split=train",
    "data=d.yaml model=a.yaml folds=2 resume=true": "'resume' has no place in an audit: the same command goes on",
    "data=d.yaml model=a.yaml folds=two": "'folds' needs one whole number, 0 or above, not 'two'",
    "model=best.pt jobs=2": "'jobs' belongs to trainings: folds=N",
    "run=missing": "cannot read 'missing/args.yaml'",
    "model=best.pt imgsz=big": "'imgsz=big' is not",
    "model=best.pt batch=0": "'batch=0' is not a batch size",
    "model=best.pt batch=1.5": "'batch=1.5' is not a batch size",
    "model=best.pt device=99": "Invalid CUDA 'device=99' requested",
}


@pytest.mark.parametrize("command", MISTAKES)
def test_mistakes_are_named_before_anything_is_written(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(["audit", *command.split()]) == 2
    assert MISTAKES[command] in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained checkpoint of two classes."""
    folder = tmp_path_factory.mktemp("weights")
    structure = yaml.safe_load((Path(__file__).parents[1] / "fixtures" / "tiny.yaml").read_text())
    (folder / "tiny.yaml").write_text(yaml.safe_dump({**structure, "nc": 2}))
    YOLO(folder / "tiny.yaml").save(folder / "best.pt")
    return folder / "best.pt"


def test_a_model_of_other_classes_is_refused(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    YOLO("yolo11n.yaml").save("coco.pt")
    before = sorted(tmp_path.rglob("*"))
    assert run_command(["audit", f"data={shapes}", "model=coco.pt"]) == 2
    assert "the model knows 80 classes and" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_copy_is_not_corrected_in_its_own_place(
    shapes: Path, untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(["plant", f"data={shapes}", "out=copy"]) == 0
    monkeypatch.setattr(audit, "audit", pytest.fail)
    assert run_command(["audit", "data=copy/data.yaml", f"model={untrained}", "fix=copy"]) == 2
    assert "'fix=copy' holds the data set that is read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("fix=fixed fix.add=true single_cls=true", "cannot be added: with single_cls it is not known of which class"),
        ("fix=.", "'fix=.' is the folder that you are in"),
    ],
)
def test_a_copy_that_cannot_be_is_refused_before_the_pass(
    words: str,
    message: str,
    shapes: Path,
    untrained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(audit, "audit", pytest.fail)
    assert run_command(["audit", f"data={shapes}", f"model={untrained}", *words.split()]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_tables_and_a_corrected_copy(
    shapes: Path, untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["audit", f"data={shapes}", f"model={untrained}", "fix=fixed", "out=tables", "imgsz=64", "workers=0"]
    words.append("export=cvat,fiftyone,labelstudio")
    assert run_command(words) == 0
    said = capsys.readouterr().out
    found = places(said)
    assert found["results"].parent == tmp_path / "tables"
    assert {file.name for file in found["results"].parent.iterdir()} == {
        "audit.csv",
        "audit.html",
        "audit.json",
        "cvat.xml",
        "cvat_labels.json",
        "duplicates.csv",
        "fiftyone.json",
        "labelstudio.json",
        "labelstudio.xml",
        "missing.csv",
    }
    for tool, name in {"fiftyone": "fiftyone.json", "cvat": "cvat.xml", "labelstudio": "labelstudio.json"}.items():
        assert found[tool] == tmp_path / "tables" / name
    assert found["corrected"] == tmp_path / "fixed" / "data.yaml"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fixed", "tables"]
    plain = json.loads(shell("-m", "yolo_wiou", *words, "--json", cwd=tmp_path).stdout)
    assert plain == json.loads((tmp_path / "tables" / "audit.json").read_text())
    assert plain["found"] in said


TINY = Path(__file__).parents[1] / "fixtures" / "tiny.yaml"


def test_what_is_known_to_be_wrong_is_counted(
    shapes: Path, untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data = shutil.copytree(shapes.parent, tmp_path / "set") / "data.yaml"
    data.with_name("noise.csv").write_text("image,row,kind,cx,cy,w,h\n000000.png,0,jitter,0.5,0.5,0.1,0.1\n")
    assert run_command(["audit", f"data={data}", f"model={untrained}", "imgsz=64", "workers=0"]) == 0
    assert "Known to be wrong (noise.csv): 1 label. Of them, " in capsys.readouterr().out


FOLDS = ["folds=2", "epochs=1", "imgsz=64", "workers=0", "batch=4", "plots=False"]


def test_models_are_trained_that_have_not_seen_what_they_judge(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    here = runner()
    monkeypatch.setattr("yolo_wiou.cli.folds.choose_runner", lambda *_: here)
    words = ["audit", f"data={shapes}", f"model={TINY}", "loss=giou", *FOLDS]
    assert run_command(words) == run_command(words) == 0
    assert here.done == ["fold 1 of 2", "fold 2 of 2"]
    said = json.loads((tmp_path / "runs" / "audit" / "audit.json").read_text())
    assert said["model"].endswith("trained without the images that it judges, 2 folds")
    (loss,) = {file.read_text() for file in tmp_path.rglob("loss.yaml")}
    assert yaml.safe_load(loss)["penalty"]["name"] == "giou"
    capsys.readouterr()
    assert run_command([*words, "seed=1"]) == 2
    assert "holds another audit out of fold: seed is 0 there and 1 here" in capsys.readouterr().err


def test_a_training_that_fails_ends_the_audit_and_the_same_command_goes_on(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["audit", f"data={shapes}", f"model={TINY}", *FOLDS]
    monkeypatch.setattr("yolo_wiou.cli.folds.choose_runner", lambda *_: runner("fold 1 of 2", "fold 2 of 2"))
    with pytest.raises(SystemExit) as stopped:
        run_command(words)
    assert stopped.value.code == 1
    assert "2 of 2 trainings failed; the same command tries them again" in capsys.readouterr().err
    assert [file.name for file in (tmp_path / "runs" / "audit").iterdir()] == ["folds"]


def test_without_jinja2_there_are_the_tables(
    shapes: Path, untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(audit, "find_spec", lambda name: None)
    assert run_command(["audit", f"data={shapes}", f"model={untrained}", "imgsz=64", "workers=0"]) == 0
    assert {file.suffix for file in (tmp_path / "runs" / "audit").iterdir()} == {".csv", ".json"}


def test_a_run_has_its_data_set_and_its_checkpoint(
    shapes: Path, untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    (run / "weights").mkdir(parents=True)
    (run / "args.yaml").write_text(yaml.safe_dump({"data": str(shapes), "imgsz": 64}))
    monkeypatch.chdir(tmp_path)
    assert run_command(["audit", f"run={run}"]) == 2
    assert run_command(["audit", f"run={run / 'args.yaml'}"]) == 2
    assert "run= takes the folder of a training, model= a checkpoint" in capsys.readouterr().err
    assert run_command(["audit", f"model={run}"]) == 2
    assert f"'model={run}' is the folder of a training: run={run}" in capsys.readouterr().err
    (run / "weights" / "last.pt").write_bytes(untrained.read_bytes())
    request = audit.read([f"run={run}", "out=x"])
    assert request.options["data"] == str(shapes)
    assert request.options["model"] == str(run / "weights" / "last.pt")
    (run / "weights" / "best.pt").write_bytes(untrained.read_bytes())
    assert audit.read([f"run={run}"]).options["model"] == str(run / "weights" / "best.pt")


def test_a_file_of_settings_may_have_the_model(
    shapes: Path, untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("all.yaml").write_text(yaml.safe_dump({"data": str(shapes), "model": str(untrained), "split": "val"}))
    request = audit.read(["cfg=all.yaml", "split=train", "batch=2"])
    assert (request.options["data"], request.options["split"]) == (str(shapes), "train")
    assert request.arguments["batch"] == 2


def test_a_copy_of_all_settings_is_no_hindrance(
    shapes: Path, untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `yolo copy-cfg` makes it: it has a model, a data set and all that the audit decides itself."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(DEFAULT_CFG_PATH, "all.yaml")
    words = ["cfg=all.yaml", f"data={shapes}", f"model={untrained}", "imgsz=64", "workers=0", "verbose=true"]
    assert run_command(["audit", *words, "split=train"]) == 0
    assert json.loads(Path("runs/audit/audit.json").read_text())["label_count"] > 12


@pytest.mark.skipif(sys.platform != "linux", reason="the file systems of others take no such names")
def test_names_that_are_no_text_are_written_and_printed(shapes: Path, untrained: Path, tmp_path: Path) -> None:
    """As archives of other systems leave them; one of the images is broken, and so its name is told.

    In a process of its own: what pytest captures of such a name, its workers cannot hand on.
    """
    data = shutil.copytree(shapes.parent, tmp_path / "set") / "data.yaml"
    odd = [
        image.rename(os.fsdecode(os.fsencode(image) + b"\xb0.png"))
        for image in sorted(data.parent.glob("images/train/*"))[:2]
    ]
    odd[0].write_bytes(b"")
    words = ["audit", f"data={data}", f"model={untrained}", "imgsz=64", "workers=0"]
    assert r"\udcb0.png" in shell("-m", "yolo_wiou", *words, cwd=tmp_path).stdout
    assert {file.suffix for file in (tmp_path / "runs" / "audit").iterdir()} == {".csv", ".json", ".html"}


def test_where_the_copy_fails_the_pass_is_not_lost(
    shapes: Path, untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And a decision that is about other labels is said before anything is written."""
    monkeypatch.chdir(tmp_path)
    words = ["audit", f"data={shapes}", f"model={untrained}", "fix=fixed", "imgsz=64", "workers=0"]
    entry = {"image": "elsewhere.png", "cls": 0, "name": "disc", "box": [0, 0, 9, 9], "confidence": 1, "certainty": 1}
    Path("decisions.json").write_text(json.dumps({"accepted": {"missing": [entry]}}))
    assert run_command([*words, "decisions=decisions.json"]) == 2
    assert "the decisions are about other images" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["decisions.json"]

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("yolo_wiou.auditing.report.write_fixed", full)
    with pytest.raises(OSError, match="No space left"):
        run_command(words)
    assert {file.name for file in (tmp_path / "runs" / "audit").iterdir()} >= {"audit.html", "audit.csv", "audit.json"}


def test_the_yaml_file_documents_every_default() -> None:
    lines = [line for line in (CFG / "audit.yaml").read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    assert all(" # (" in line for line in lines)
