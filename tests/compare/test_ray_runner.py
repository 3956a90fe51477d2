"""The same runs on a Ray cluster of two nodes, one of which dies."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers.processes import is_alive, wait_for
from helpers.running import ROOT

from yolo_wiou.compare.runner import train
from yolo_wiou.compare.study import Study

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray")
HELPERS = ROOT / "tests" / "helpers"


def living(pids: Path, begun: int) -> list[Path]:
    """Wait until that many processes have begun and two of them are at work; returns these."""

    def find() -> list[Path]:
        files = [file for file in pids.iterdir() if file.read_text()]
        return [file for file in files if is_alive(int(file.name))] if len(files) == begun else []

    wait_for(lambda: len(find()) == 2)
    return find()


@pytest.fixture
def pids(tmp_path, monkeypatch) -> Path:
    """Where the process of each run writes a file, named by its id."""
    (tmp_path / "pids").mkdir()
    monkeypatch.setenv("TELL", str(tmp_path / "pids"))
    monkeypatch.setenv("UNTIL", str(tmp_path / "go"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (ROOT, HELPERS))))
    return tmp_path / "pids"


@pytest.fixture
def cluster(pids):
    """Two nodes with a CPU each; what they start has the environment of now."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_runs_survive_the_death_of_a_worker_and_of_a_node(cluster, pids, tmp_path):
    from yolo_wiou.compare.ray_runner import RayRunner

    study = Study(losses={"a": "ciou", "b": "wiou3"}, data={"d": "/d.yaml"}, seeds=(0, 1), arguments={})
    runner = RayRunner(cluster.address, "fake_worker")
    runs = train(study.runs(), tmp_path, runner, jobs=2)
    with ThreadPoolExecutor() as thread:
        done = thread.submit(list, runs)
        try:
            cut_off = living(pids, begun=2)[0]
            os.kill(int(cut_off.read_text()), signal.SIGKILL)
            wait_for(lambda: not is_alive(int(cut_off.name)))  # it does not outlive its worker
            both = living(pids, begun=3)
            cluster.remove_node(cluster.worker_nodes.copy().pop(), allow_graceful=False)
            wait_for(lambda: not all(is_alive(int(file.name)) for file in both))
        finally:
            (tmp_path / "go").touch()

    assert sorted(map(str, done.result())) == sorted(map(str, study.runs()))
    assert [run.result(tmp_path).stream for run in study.runs()] == [(0,), (0,), (1,), (1,)]
    finished_by = {(run.folder(tmp_path) / "pid").read_text() for run in study.runs()}
    assert cut_off.name not in finished_by
    assert len(list(pids.iterdir())) == len(finished_by) + 2  # what was cut off was done again


def test_no_cluster_is_a_mistake_of_the_user(capsys, shapes, tmp_path, monkeypatch):
    from yolo_wiou.cli.main import run_command

    monkeypatch.chdir(tmp_path)
    argv = ["engine=ray", "address=127.0.0.1:1", f"data={shapes}", "model=yolo11n.yaml"]
    assert run_command(["compare", *argv]) == 2
    assert "no Ray cluster answers at '127.0.0.1:1'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
