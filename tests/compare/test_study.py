"""Planning a study: which runs, in which order, and what is refused before anything is written."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any, NoReturn

import pytest
from filelock import FileLock
from helpers.studies import a_study, finish

from yolo_wiou.compare.study import Study, is_taken, label, name_data, name_losses
from yolo_wiou.errors import ConfigError
from yolo_wiou.losses.presets import as_plain, load_config


def test_the_plan_is_every_combination_once_in_whole_pairs() -> None:
    runs = a_study().runs()
    assert [(run.seed, run.data, run.loss) for run in runs] == [
        (seed, data, loss) for seed in (0, 1, 2) for data in "ab" for loss in ("ciou", "wiou3")
    ]
    assert len({run.relative_path for run in runs}) == 12
    fourth = runs[3]
    assert (fourth.spec, fourth.arguments) == ("wiou3", {"model": "yolo11n.yaml", "epochs": 3, "data": "/b.yaml"})


def test_the_grid_is_every_combination_for_every_loss_but_the_baseline() -> None:
    named = name_losses(["ciou", "wiou3", "ciou-v3"], {"gain.delta": [3, 4], "gain.dfl": [True]})
    assert list(named) == ["ciou", *(f"{loss} delta={d} dfl=True" for loss in ("wiou3", "ciou-v3") for d in (3, 4))]
    assert named["ciou"] == load_config("ciou")
    assert named["ciou-v3 delta=4 dfl=True"] == load_config("ciou-v3", {"gain.delta": 4, "gain.dfl": True})


def test_losses_from_files_are_called_after_them(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: wiou3\ngain: {name: nonmonotonic, delta: 5}\n")
    named = name_losses(["ciou", str(tmp_path / "mine.yaml")], {})
    assert list(named) == ["ciou", "mine"]
    study = a_study(losses=named)
    assert study.plain()["losses"]["mine"]["gain"]["delta"] == 5  # all of it: the study needs the file no longer


@pytest.mark.parametrize("text", ["penalty: ciou", "penalty: wiou\ngain: {name: nonmonotonic}"])
def test_a_loss_under_two_names_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(f"name: mine\n{text}\n")
    with pytest.raises(ConfigError, match=r"'mine' is '(ciou|wiou3)' under another name"):
        name_losses(["ciou", "wiou3", str(tmp_path / "mine.yaml")], {})


def test_labels_make_folders_of_any_file_system() -> None:
    study = a_study(losses={"ciou": "ciou", label("wiou3*", {"overlap.focaler": [0.0, 0.95]}): "wiou3"})
    places = [run.relative_path.as_posix() for run in study.runs()[:2]]
    assert places == ["a/ciou/seed0", "a/wiou3__focaler=_0.0__0.95_/seed0"]


def test_data_sets_are_called_after_their_files(tmp_path: Path) -> None:
    files = [str(tmp_path / "cells" / "data.yaml"), "coco8.yaml"]
    assert name_data(files) == {"cells": files[0], "coco8": "coco8.yaml"}
    with pytest.raises(ConfigError, match="two of the data sets are called 'coco8'"):
        name_data(["coco8.yaml", "other/coco8.yaml"])
    with pytest.raises(ConfigError, match=r"called 'Cells': 'cells.yaml' and 'Cells.yaml'"):
        name_data(["cells.yaml", "Cells.yaml"])
    assert name_data(["/data.yaml"]) == {"data": "/data.yaml"}


def test_a_study_remembers_itself(tmp_path: Path) -> None:
    a_study(losses={"ciou": "ciou", "mine": load_config("wiou3", {"gain.delta": 5})}).save(tmp_path)
    assert Study.load(tmp_path).runs()[1].spec == as_plain(load_config("wiou3", {"gain.delta": 5}))
    with Study.load(tmp_path).claim(tmp_path):
        pass


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arguments": {"model": "yolo11n.yaml", "epochs": 4}}, "arguments.epochs is 3 there and 4 here"),
        ({"losses": {"ciou": "ciou", "eiou": "eiou"}}, "losses.wiou3 is only there; losses.eiou is only here"),
        ({"losses": {"wiou3": "wiou3", "ciou": "ciou"}}, "its losses stand in another order"),
        ({"seeds": (0, 1)}, r"seeds is \[0, 1, 2\] there and \[0, 1\] here"),
        ({"seeds": range(60)}, r"seeds is \[0, 1, 2\] there and 60 values from 0 to 59 here"),
        ({"data": {"a": "/a.yaml"}}, "data.b is only there"),
    ],
)
def test_the_folder_of_another_study_is_refused_with_the_difference(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with a_study().claim(tmp_path):
        finish(a_study(), tmp_path)
    before = (tmp_path / "study.json").read_bytes()
    with pytest.raises(ConfigError, match=message), a_study(**changes).claim(tmp_path):
        pass
    assert (tmp_path / "study.json").read_bytes() == before


def test_a_study_of_which_no_run_has_finished_is_in_nobody_s_way(tmp_path: Path) -> None:
    """Its arguments may have been why."""
    with a_study().claim(tmp_path):
        (tmp_path / "proof").mkdir()
        run = a_study().runs()[0]
        run.folder(tmp_path).mkdir(parents=True)
        run.save(run.folder(tmp_path))  # it failed
    changed = a_study(seeds=(0, 1))
    with changed.claim(tmp_path):
        assert Study.load(tmp_path) == changed
        assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["study.json"]


@pytest.mark.parametrize("text", ["not json", "[1]", "{}", '{"losses": 3}'])
def test_a_study_json_that_is_none_is_refused_and_left_alone(text: str, tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text(text)
    with pytest.raises(ConfigError, match=r"is no study of compare.*out="), a_study().claim(tmp_path):
        pass
    assert (tmp_path / "study.json").read_text() == text


def test_what_a_kill_or_a_file_manager_leaves_is_in_nobody_s_way(tmp_path: Path) -> None:
    for name in (".study.json.4711", ".DS_Store"):
        (tmp_path / name).touch()
    with a_study().claim(tmp_path):
        assert (tmp_path / ".DS_Store").exists()


@pytest.mark.parametrize("file", ["args.yaml", "running/mine.txt", "proof/mine.txt", "report.html"])
def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path, file: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("mine")
    with pytest.raises(ConfigError, match=r"holds other files.*out="), a_study().claim(tmp_path):
        pass
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / file]


def test_a_loss_that_is_not_known_here_is_named_where_studies_differ(tmp_path: Path) -> None:
    """A plugin that has gone, or another release's."""
    foreign = a_study(losses={"ciou": "ciou", "gone": {"name": "gone", "penalty": {"name": "gone"}}})
    with foreign.claim(tmp_path):
        finish(foreign, tmp_path)
    with pytest.raises(ConfigError, match=r"losses.gone is only there; losses.wiou3 is only here"):
        a_study().check(tmp_path)


def test_what_another_process_has_trained_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the first look at the folder and the lock."""

    class Waits(FileLock):
        def acquire(self, *args: Any, **kwargs: Any) -> Any:
            if not (tmp_path / "runs").exists():
                finish(a_study(), tmp_path)
            return super().acquire(*args, **kwargs)

    a_study().save(tmp_path)
    monkeypatch.setattr("yolo_wiou.locks.FileLock", Waits)
    with a_study().claim(tmp_path):
        assert a_study().runs()[0].is_finished(tmp_path)


def test_a_folder_has_one_process_at_a_time(tmp_path: Path) -> None:
    with a_study().claim(tmp_path):
        second = a_study().claim(tmp_path)
        with pytest.raises(ConfigError, match="another process is working"):
            second.__enter__()
    with a_study().claim(tmp_path):
        pass


def test_a_study_s_lock_is_never_a_mark_that_outlives_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def no_locks(*_: object) -> NoReturn:
        asked.append(len(asked))
        raise OSError(errno.ENOSYS, "no locks here")

    monkeypatch.setattr(pytest.importorskip("fcntl"), "flock", no_locks)
    with a_study().claim(tmp_path), a_study().claim(tmp_path):
        assert asked == [0, 1]


def test_the_frozen_format_of_a_run(tmp_path: Path) -> None:
    """Fields of run.json are promised: studies that lie on disk must go on."""
    run = a_study().runs()[0]
    run.save(tmp_path)
    written = json.loads((tmp_path / "run.json").read_text())
    assert set(written) == {"data", "loss", "seed", "spec", "arguments", "judge", "checkpoints"}
    older = {key: value for key, value in written.items() if key not in {"judge", "checkpoints"}}
    (tmp_path / "run.json").write_text(json.dumps(older))
    assert type(run).load(Path(tmp_path)) == run


@pytest.mark.parametrize("label", ["..", ".", "", "../..", "/etc", "a/../..", "..\\.."])
def test_a_run_never_leaves_its_study(label: str, tmp_path: Path) -> None:
    """Its loss is called after a file's `name`, its data after a file, which may be `...yaml`."""
    run = a_study().runs()[0].model_copy(update={"data": label, "loss": label})
    below = run.folder(tmp_path).resolve().relative_to(tmp_path / "runs")
    assert len(below.parts) == 3


def test_labels_that_would_share_a_folder_are_taken() -> None:
    assert is_taken("A b", ["a_b"])
    assert is_taken("Straße", ["STRASSE"])
    assert is_taken("e\u0301", ["\u00e9"])  # one letter, written in two ways
    assert not is_taken("..", [".", "...", ""])
