"""Where runs are trained: `engine=` and `jobs=`."""

from collections.abc import Collection
from importlib.util import find_spec

from yolo_wiou.compare.run_study import say
from yolo_wiou.compare.runner import LocalJob, Runner
from yolo_wiou.errors import ConfigError, choices

RUNNERS = ("local", "ray")


def choose_runner(engine: str, address: str, jobs: int, arguments: Collection[str], command: str) -> Runner:
    """Return what `engine=` names.

    Args:
        engine: local or ray.
        address: of the Ray cluster.
        jobs: how many runs at a time.
        arguments: names of what the runs are trained with.
        command: who asks.

    Raises:
        ConfigError: there is no such runner, or it cannot be reached.
    """
    if engine not in RUNNERS:
        raise ConfigError(f"unknown engine '{engine}'. {choices(engine, RUNNERS)}")
    if engine == "local":
        if address:
            raise ConfigError("'address' belongs to engine=ray.")
        return LocalJob
    if not find_spec("ray"):
        raise ConfigError("engine=ray needs ray: pip install 'yolo-wiou[compare,ray]'")
    if "device" in arguments:
        raise ConfigError("'device' and engine=ray: Ray gives every run its GPU.")
    from yolo_wiou.compare.ray_runner import RayRunner

    runner = RayRunner(address)
    if jobs < runner.room:
        say(f"The cluster has room for {runner.room} runs at a time; jobs={runner.room} uses it.", command=command)
    return runner
