"""The same runs on a Ray cluster of two nodes, one of which dies."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from yolo_wiou.studies.compare.engine import train
from yolo_wiou.studies.compare.plan import Study

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray")
HERE = Path(__file__).parent


@pytest.fixture
def cluster(monkeypatch):
    """Two nodes with a CPU each."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE.parents[1]), str(HERE)]))
    monkeypatch.setenv("WAIT", "3")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    node = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield cluster, node
    ray.shutdown()
    cluster.shutdown()


def test_runs_survive_the_death_of_workers(cluster, tmp_path):
    from yolo_wiou.studies.compare.ray_engine import RayEngine

    cluster, node = cluster
    study = Study(losses={"a": "ciou", "b": "wiou3"}, data={"d": "/d.yaml"}, seeds=(0, 1, 2), arguments={})
    engine = RayEngine(cluster.address)
    started = time.monotonic()
    done = []
    for run in train(study.runs(), tmp_path, lambda module, folder: engine("fake_train", folder), jobs=2):
        done.append(str(run))
        if len(done) == 1:  # in the middle: a worker of this study, and then a whole node
            workers = [worker for worker in ray.util.state.list_workers() if worker.worker_type == "WORKER"]
            os.kill(next(worker.pid for worker in workers if worker.is_alive), signal.SIGKILL)
        if len(done) == 2:
            cluster.remove_node(node, allow_graceful=False)
    assert time.monotonic() - started > 3
    assert sorted(done) == sorted(map(str, study.runs()))
    assert all(run.is_finished(tmp_path) for run in study.runs())
    assert [run.result(tmp_path)["stream"] for run in study.runs()] == [[0], [0], [1], [1], [2], [2]]
    assert len({run.result(tmp_path)["pid"] for run in study.runs()}) == 6
    assert sys.modules.get("yolo_wiou") is not None
