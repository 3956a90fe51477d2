"""The same runs on a Ray cluster of two nodes, one of which dies."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest
from test_compare_engine import is_alive, wait_for

from yolo_wiou.studies.compare.engine import train
from yolo_wiou.studies.compare.plan import Study

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray")
HERE = Path(__file__).parent


@pytest.fixture
def told(tmp_path, monkeypatch) -> Path:
    """Where the processes of runs tell of themselves."""
    (tmp_path / "told").mkdir()
    monkeypatch.setenv("TELL", str(tmp_path / "told"))
    monkeypatch.setenv("WAIT", "4")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE.parents[1]), str(HERE)]))
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
    from yolo_wiou.studies.compare.ray_engine import RayEngine

    study = Study(losses={"a": "ciou", "b": "wiou3"}, data={"d": "/d.yaml"}, seeds=(0, 1), arguments={})
    engine = RayEngine(cluster.address)
    done = []
    for run in train(study.runs(), tmp_path, lambda _, folder: engine("fake_train", folder), jobs=2):
        done.append(str(run))
        if len(done) == 1:  # one of those that are at work
            wait_for(lambda: any(is_alive(int(file.name)) for file in told.iterdir()))
            cut_off = next(file for file in told.iterdir() if is_alive(int(file.name)))
            os.kill(int(cut_off.read_text()), signal.SIGKILL)
            wait_for(partial(lambda pid: not is_alive(pid), int(cut_off.name)))  # it does not outlive its worker
        if len(done) == 2:
            cluster.remove_node(cluster.worker_nodes.copy().pop(), allow_graceful=False)

    assert sorted(done) == sorted(map(str, study.runs()))
    results = [run.result(tmp_path) for run in study.runs()]
    assert [result["stream"] for result in results] == [[0], [0], [1], [1]]
    assert str(cut_off.name) not in {str(result["pid"]) for result in results}
    assert len(list(told.iterdir())) > len(done)  # what was cut off was done again


def test_no_cluster_is_a_mistake_of_the_user(capsys, shapes, tmp_path, monkeypatch):
    from yolo_wiou import cli

    monkeypatch.chdir(tmp_path)
    words = ["engine=ray", "address=127.0.0.1:1", f"data={shapes}", "model=yolo11n.yaml"]
    assert cli.main(["compare", *words]) == 2
    assert "no Ray cluster answers at '127.0.0.1:1'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
