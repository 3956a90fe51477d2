"""A training in two processes (gloo, on the CPU), as Ultralytics' launcher would start them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

TRAIN = """
import sys, os, json, signal, torch, torch.distributed as dist
from torch import nn
from ultralytics.engine.trainer import BaseTrainer
from yolo_wiou import DetectionTrainer
torch.set_num_threads(1)
arguments, out, kill = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3:]

class OnCPU(nn.parallel.DistributedDataParallel):
    def __init__(self, model, device_ids=None, **more):
        super().__init__(model, find_unused_parameters=True)

nn.parallel.DistributedDataParallel = OnCPU
BaseTrainer._setup_ddp = lambda self, *_: dist.init_process_group("gloo")  # Ultralytics' own needs an accelerator
BaseTrainer.final_eval = lambda self: None  # likewise
trainer = DetectionTrainer(overrides=arguments)
trainer.world_size = 2
states = []

def end(trainer):
    means = {path: mean.export_state() for path, mean in trainer.means.items()}
    states.append([means, trainer.balance and trainer.balance.weight.item()])

def stop(trainer):
    if os.environ["RANK"] in kill and trainer.epoch == 1:
        os.kill(os.getpid(), signal.SIGKILL)

trainer.add_callback("on_train_epoch_end", end)
trainer.add_callback("on_train_batch_end", stop)
trainer._do_train(*[2] * (BaseTrainer._do_train.__code__.co_argcount - 1))
json.dump(states, open(f"{out}.{os.environ['RANK']}", "w"))
"""


def two_processes(folder: Path, arguments: dict[str, Any], *kill: str) -> list[int]:
    """Train in two processes as Ultralytics' launcher would start them; returns their exit codes.

    Args:
        folder: gets a log of each, `log0` and `log1`, and what they saw of the loss's state, `states.0` and `states.1`.
        arguments: of the training.
        kill: the ranks, "0" or "1", that are killed by SIGKILL after the first batch of the second epoch.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    env |= {"OMP_NUM_THREADS": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    env["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, "-c", TRAIN, json.dumps(arguments), str(folder / "states"), *kill]
    ranks = []
    for rank in ("0", "1"):
        log = (folder / f"log{rank}").open("ab")
        ranks.append(subprocess.Popen(command, env={**env, "RANK": rank, "LOCAL_RANK": rank}, stdout=log, stderr=log))
    try:
        return [process.wait(600) for process in ranks]
    finally:
        for process in ranks:
            process.kill()
