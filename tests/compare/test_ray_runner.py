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


def living(told: Path, begun: int) -> list[Path]:
    """Wait until that many processes have begun and two of them are at work; returns these."""

    def find() -> list[Path]:
        files = [file for file in told.iterdir() if file.read_text()]
        return [file for file in files if is_alive(int(file.name))] if len(files) == begun else []

    wait_for(lambda: len(find()) == 2)
    return find()


@pytest.fixture
def told(tmp_path, monkeypatch) -> Path:
    """Where the processes of runs tell of themselves."""
    (tmp_path / "told").mkdir()
    monkeypatch.setenv("TELL", str(tmp_path / "told"))
    monkeypatch.setenv("UNTIL", str(tmp_path / "go"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (ROOT, HELPERS))))
    return tmp_path / "told"


@pytest.fixture
def cluster(told):
    """Two nodes with a CPU each; what they start has the environment of now."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_runs_survive_the_death_of_a_worker_and_of_a_node(cluster, told, tmp_path):
    from yolo_wiou.compare.ray_runner import RayRunner

    study = Study(losses={"a": "ciou", "b": "wiou3"}, data={"d": "/d.yaml"}, seeds=(0, 1), arguments={})
    runner = RayRunner(cluster.address, "fake_worker")
    runs = train(study.runs(), tmp_path, runner, jobs=2)
    with ThreadPoolExecutor() as thread:
        done = thread.submit(list, runs)
        try:
            cut_off = living(told, begun=2)[0]
            os.kill(int(cut_off.read_text()), signal.SIGKILL)
            wait_for(lambda: not is_alive(int(cut_off.name)))  # it does not outlive its worker
            both = living(told, begun=3)
            cluster.remove_node(cluster.worker_nodes.copy().pop(), allow_graceful=False)
            wait_for(lambda: not all(is_alive(int(file.name)) for file in both))
        finally:
            (tmp_path / "go").touch()

    assert sorted(map(str, done.result())) == sorted(map(str, study.runs()))
    results = [run.result(tmp_path) for run in study.runs()]
    assert [result["stream"] for result in results] == [[0], [0], [1], [1]]
    assert str(cut_off.name) not in {str(result["pid"]) for result in results}
    assert len(list(told.iterdir())) == len(results) + 2  # what was cut off was done again


def test_no_cluster_is_a_mistake_of_the_user(capsys, shapes, tmp_path, monkeypatch):
    from yolo_wiou import cli

    monkeypatch.chdir(tmp_path)
    words = ["engine=ray", "address=127.0.0.1:1", f"data={shapes}", "model=yolo11n.yaml"]
    assert cli.main(["compare", *words]) == 2
    assert "no Ray cluster answers at '127.0.0.1:1'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
