"""The same runs on a Ray cluster of two nodes, one of which dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import pytest
from helpers.processes import is_alive, wait_for
from helpers.running import ROOT, shell
from helpers.studies import result_of

from yolo_wiou.compare.runner import RunnerError, train
from yolo_wiou.compare.study import Study
from yolo_wiou.errors import ConfigError

ray = pytest.importorskip("ray", reason="needs ray: pip install -e '.[dev-all]'")
ray_runner = pytest.importorskip("yolo_wiou.compare.ray_runner")
pytestmark = pytest.mark.needs("ray")
HELPERS = ROOT / "tests" / "helpers"


def living(pids: Path, begun: int) -> list[Path]:
    """Wait until that many processes have begun and two of them are at work; returns these."""

    def find() -> list[Path]:
        files = [file for file in pids.iterdir() if file.read_text()]
        return [file for file in files if is_alive(int(file.name))] if len(files) == begun else []

    wait_for(lambda: len(find()) == 2)
    return find()


@pytest.fixture
def pids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the process of each run writes a file, named by its id."""
    (tmp_path / "pids").mkdir()
    monkeypatch.setenv("TELL", str(tmp_path / "pids"))
    monkeypatch.setenv("UNTIL", str(tmp_path / "go"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (ROOT, HELPERS))))
    return tmp_path / "pids"


@pytest.fixture
def cluster(pids: Path) -> Iterator[Any]:
    """Two nodes with a CPU each; what they start has the environment of now."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.slow
def test_runs_survive_the_death_of_a_worker_and_of_a_node(cluster: Any, pids: Path, tmp_path: Path) -> None:
    study = Study(losses={"a": "ciou", "b": "wiou3"}, data={"d": "/d.yaml"}, seeds=(0, 1), arguments={})
    runner = ray_runner.RayRunner(cluster.address, "fake_worker")
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
    assert [result_of(run, tmp_path).stream for run in study.runs()] == [(0,), (0,), (1,), (1,)]
    finished_by = {(run.folder(tmp_path) / "pid").read_text() for run in study.runs()}
    assert cut_off.name not in finished_by
    assert len(list(pids.iterdir())) == len(finished_by) + 2  # what was cut off was done again


class Gone:
    """Ray, as far as a runner calls it, with a cluster that is gone."""

    exceptions = ray.exceptions

    def wait(self, *_: object, **__: object) -> NoReturn:
        raise RuntimeError("the connection was lost\nwith a page of C++")

    cancel = wait


def test_a_cluster_that_is_gone_is_the_runner_s_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_runner, "ray", Gone())
    job = ray_runner.RayJob(None, tmp_path)
    with pytest.raises(RunnerError, match=r"^Ray: the connection was lost$"):
        job.has_ended()
    job.stop()  # it has ended with its cluster


@pytest.mark.parametrize("address", ["", "ray://head:10001"])
def test_a_cluster_that_does_not_start_is_one_message(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def time_out(**_: object) -> NoReturn:
        raise Exception("The current node timed out during startup.\nThis could happen because ...")

    monkeypatch.setattr(ray_runner, "check_reachable", lambda _: None)
    monkeypatch.setattr(ray_runner.ray, "init", time_out)
    with pytest.raises(ConfigError, match=r"^no Ray cluster .*: The current node timed out during startup\.$"):
        ray_runner.RayRunner(address)


LOCAL = """
from pathlib import Path
import psutil
from yolo_wiou.compare.ray_runner import RayRunner
from yolo_wiou.compare.runner import RunnerError, train
from yolo_wiou.compare.study import Study
from yolo_wiou.errors import ConfigError
study = Study(losses={"a": "ciou", "b": "wiou3"}, data={"d": "/d.yaml"}, seeds=(0,), arguments={})
runs = train(study.runs(), Path("study"), RayRunner(module="fake_worker"))
print(next(runs).is_finished(Path("study")))
ours = {process.pid for process in psutil.Process().children(recursive=True)}  # other tests listen too
sockets = [socket for socket in psutil.net_connections("tcp") if socket.pid in ours and socket.status == "LISTEN"]
print(*{socket.laddr.ip for socket in sockets})
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/net/tcp6").exists(), reason="only Linux tells who listens")
def test_a_new_cluster_listens_to_this_machine_alone_and_imports_nothing_from_the_working_directory(
    tmp_path: Path,
) -> None:
    """In a process of its own: Ray reads the environment once."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "local.py").write_text(LOCAL)
    for name in ("filelock.py", "json.py"):
        (tmp_path / name).write_text("raise SystemExit('imported from the working directory')")
    path = os.pathsep.join(map(str, (ROOT, HELPERS)))
    done = shell("scripts/local.py", cwd=tmp_path, env={"PYTHONPATH": path, "RAY_ADDRESS": "local"})
    finished, addresses = done.stdout.strip().splitlines()[-2:]
    assert finished == "True"
    assert set(addresses.split()) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert addresses.split()


def test_no_cluster_is_a_mistake_of_the_user(
    capsys: pytest.CaptureFixture[str], shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from yolo_wiou.cli.main import run_command

    monkeypatch.chdir(tmp_path)
    argv = ["engine=ray", "address=127.0.0.1:1", f"data={shapes}", "model=yolo11n.yaml"]
    assert run_command(["compare", *argv]) == 2
    assert "no Ray cluster answers at '127.0.0.1:1'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
