"""Doing the runs of a study: side by side, failing, cut off and gone on with. Processes are real, trainings are not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from helpers.processes import is_alive, wait_for
from helpers.running import ROOT
from helpers.studies import result_of

from yolo_wiou import files
from yolo_wiou.compare.pairing import NotPairedError
from yolo_wiou.compare.run import LOG, RUNNING
from yolo_wiou.compare.run_study import run_study
from yolo_wiou.compare.runner import LocalJob, RunnerError, train
from yolo_wiou.compare.study import Study
from yolo_wiou.files import read_json

HERE = Path(__file__).parent
HELPERS = HERE.parent / "helpers"
STUDY = Study(
    losses={"ciou": "ciou", "wiou3": "wiou3"}, data={"a": "/a.yaml"}, seeds=(0, 1), arguments={"model": "yolo11n.yaml"}
)


def fake(folder: Path) -> LocalJob:
    """A runner whose processes do not train."""
    return LocalJob(folder, "fake_worker")


@pytest.fixture(autouse=True)
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (ROOT, HELPERS))))


def finished(study: Path) -> list[str]:
    return sorted(str(run) for run in STUDY.runs() if run.is_finished(study))


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_run_is_done_once_whatever_jobs(jobs: int, tmp_path: Path) -> None:
    done = [str(run) for run in train(STUDY.runs(), tmp_path, fake, jobs)]
    assert sorted(done) == sorted(map(str, STUDY.runs())) == finished(tmp_path)
    assert jobs > 1 or done == [str(run) for run in STUDY.runs()]  # in the plan's order
    assert [result_of(run, tmp_path).stream for run in STUDY.runs()] == [(0,), (0,), (1,), (1,)]
    assert not (tmp_path / RUNNING).exists()
    assert list(train(STUDY.runs(), tmp_path, fake, jobs)) == []


def test_a_failing_run_leaves_its_log_and_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAIL", "wiou3")
    monkeypatch.setattr("yolo_wiou.compare.run_study.check_pairing", lambda *_: {})
    assert run_study(STUDY, tmp_path, fake) == 1
    said = capsys.readouterr().err
    assert "2/4 a, wiou3, seed 0 FAILED: no such luck" in said
    assert "2 of 4 runs failed" in said
    assert finished(tmp_path) == ["a, ciou, seed 0", "a, ciou, seed 1"]
    assert "no such luck" in (STUDY.runs()[1].folder(tmp_path) / LOG).read_text()

    monkeypatch.setenv("FAIL", "")
    before = STUDY.runs()[0].result(tmp_path)
    assert run_study(STUDY, tmp_path, fake) == 0
    assert "Finished: 2." in capsys.readouterr().err
    assert len(finished(tmp_path)) == 4
    assert STUDY.runs()[0].result(tmp_path) == before


def test_a_finished_run_with_a_damaged_file_is_named_and_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("yolo_wiou.compare.run_study.check_pairing", lambda *_: {})
    assert run_study(STUDY, tmp_path, fake) == 0
    damaged = STUDY.runs()[1].folder(tmp_path) / "truth.json"
    damaged.write_text("{")
    before = [run.folder(tmp_path).stat().st_mtime_ns for run in STUDY.runs()]
    capsys.readouterr()
    assert run_study(STUDY, tmp_path, fake) == 0
    said = capsys.readouterr().err
    assert f"WARNING, a, wiou3, seed 0: '{damaged}' is damaged, so the run counts as not finished" in said
    after = [run.folder(tmp_path).stat().st_mtime_ns for run in STUDY.runs()]
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, True, True]
    assert finished(tmp_path) == sorted(map(str, STUDY.runs()))


def test_what_is_no_fair_comparison_is_told_line_by_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise NotPairedError("This would be no fair comparison:", "a", "b")

    monkeypatch.setattr("yolo_wiou.compare.run_study.check_pairing", refuse)
    assert run_study(STUDY, tmp_path, fake) == 1
    assert "\nyolo-wiou compare:\nThis would be no fair comparison:\na\nb\n" in capsys.readouterr().err


WITNESS = """
import os, sys
from pathlib import Path
import yolo_wiou.files
(Path(sys.argv[1]) / "seen").write_text(f"{yolo_wiou.files.__file__} {os.getcwd()}")
"""


def test_a_run_imports_nothing_from_the_working_directory_and_works_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies there may be another checkout, or a file that has the name of a module."""
    cwd, here, other = (tmp_path / name for name in ("cwd", "path", "other"))
    for package in (cwd / "yolo_wiou", other / "yolo_wiou", here):
        package.mkdir(parents=True)
    for file in ("yolo_wiou/__init__.py", "filelock.py", "json.py", "witness.py"):
        (cwd / file).write_text("raise SystemExit('imported from the working directory')")
    (other / "yolo_wiou" / "__init__.py").write_text("raise SystemExit('another release')")
    (here / "witness.py").write_text(WITNESS)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (here, other))))  # the user's, which stays
    monkeypatch.chdir(cwd)
    job = LocalJob(Path("../path"), "witness")
    wait_for(job.has_ended)
    assert (here / LOG).read_text() == ""
    assert (here / "seen").read_text() == f"{files.__file__} {cwd}"


def test_a_runner_that_is_gone_ends_the_study_with_what_has_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[Path] = []

    def runner(folder: Path) -> LocalJob:
        started.append(folder)
        if len(started) > 1:
            raise RunnerError("the cluster is gone.")
        return fake(folder)

    monkeypatch.setattr("yolo_wiou.compare.run_study.check_pairing", lambda *_: {})
    assert run_study(STUDY, tmp_path, runner) == 1
    assert "the cluster is gone. What has finished is kept" in capsys.readouterr().err
    assert finished(tmp_path) == ["a, ciou, seed 0"]
    assert not (tmp_path / RUNNING).exists()


def test_a_system_that_starts_no_process_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("yolo_wiou.compare.runner.subprocess.Popen", refuse)
    with pytest.raises(RunnerError, match=r"no process can be started: .*temporarily unavailable"):
        LocalJob(tmp_path)


def test_stopping_ends_what_is_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = train(STUDY.runs(), tmp_path, fake, 1)
    next(runs)
    monkeypatch.setenv("UNTIL", str(tmp_path / "never"))
    pids: list[int] = []

    def interrupt(_: float) -> None:
        """What Ctrl-C does, once the second run has begun."""
        found = list((tmp_path / RUNNING).glob("*/pid"))
        if found and found[0].read_text():
            pids.append(int(found[0].read_text()))
            raise KeyboardInterrupt

    monkeypatch.setattr("yolo_wiou.compare.runner.time.sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        next(runs)
    assert not is_alive(pids[0])
    assert finished(tmp_path) == ["a, ciou, seed 0"]
    assert not (tmp_path / RUNNING).exists()


PARENT = """
import sys
from pathlib import Path
sys.path[:0] = [{here!r}, {tests!r}]
from test_runner import STUDY, fake
from yolo_wiou.compare.runner import train
with STUDY.claim(Path({study!r})):
    for run in train(STUDY.runs(), Path({study!r}), fake, 2):
        print(run, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_killed_at_any_moment_only_what_was_running_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    STUDY.save(tmp_path)
    next(runs := train(STUDY.runs(), tmp_path, fake))
    runs.close()
    before = finished(tmp_path)
    monkeypatch.setenv("UNTIL", str(tmp_path / "never"))
    code = PARENT.format(here=str(HERE), tests=str(HERE.parent), study=str(tmp_path))
    parent = subprocess.Popen([sys.executable, "-c", code])

    def told() -> list[int]:
        """Who has written all of its number."""
        return [int(text) for file in (tmp_path / RUNNING).glob("*/pid") if (text := file.read_text())]

    wait_for(lambda: len(told()) == 2 or parent.poll() is not None)
    pids = told()
    assert len(pids) == 2
    parent.kill()
    parent.wait()
    wait_for(lambda: not any(map(is_alive, pids)))  # nobody is left behind

    assert finished(tmp_path) == before == ["a, ciou, seed 0"]
    first = STUDY.runs()[0].result(tmp_path)
    monkeypatch.delenv("UNTIL")
    with STUDY.claim(tmp_path):  # the lock died with its process
        assert len(list(train(STUDY.runs(), tmp_path, fake, 2))) == 3
    assert len(finished(tmp_path)) == 4
    assert STUDY.runs()[0].result(tmp_path) == first


def test_long_names_are_no_hindrance(tmp_path: Path) -> None:
    """A folder's name takes 255 bytes, of which a data set and a loss of 200 each leave none."""
    study = STUDY.model_copy(update={"data": {"細胞" * 30: "/a.yaml"}, "losses": {"損失" * 30: "ciou"}, "seeds": (0,)})
    (run,) = train(study.runs(), tmp_path, fake)
    assert run.is_finished(tmp_path)


def test_what_outlives_its_study_spoils_nothing(tmp_path: Path) -> None:
    """A process that goes on writing after its study was killed has no folder that counts."""
    STUDY.save(tmp_path)
    left = tmp_path / RUNNING / "a-ciou-seed0-1"
    left.mkdir(parents=True)
    with STUDY.claim(tmp_path):
        assert not left.exists()
        runs = train(STUDY.runs(), tmp_path, fake)
        next(runs)
        runs.close()
    assert finished(tmp_path) == ["a, ciou, seed 0"]
    assert read_json(STUDY.runs()[0].folder(tmp_path) / "result.json")["seconds"] == 1.0
