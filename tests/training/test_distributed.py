"""Several processes (gloo, on the CPU): one running mean, as one process has on the joined batch; no deadlock."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from helpers.ranks import two_processes
from helpers.running import MODEL, TINY, columns
from torch.multiprocessing.spawn import spawn
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils import DEFAULT_CFG

from yolo_wiou.losses.memory import LabelMemory
from yolo_wiou.losses.presets import load_config
from yolo_wiou.losses.running_mean import broadcast_from_rank0, reduce_over_ranks
from yolo_wiou.losses.settings import TaskBalance
from yolo_wiou.training.checkpoint import ATTRIBUTE
from yolo_wiou.training.criterion import install
from yolo_wiou.training.task_balance import ALWA

# Boxes of each image, a list per step; the steps below deal the images of a step out to the ranks.
SOME: list[list[float]] = [[0.5, 0.5, 0.4, 0.6], [0.3, 0.6, 0.5, 0.3]]
ONE: list[list[float]] = [[0.7, 0.2, 0.2, 0.3]]
NONE: list[list[float]] = []
STEPS = {
    2: [[[SOME, ONE], [ONE]], [[NONE], [SOME, SOME]], [[NONE], [NONE]], [[ONE], [NONE, ONE]]],
    3: [[[SOME], [ONE, ONE], [SOME]], [[NONE], [SOME], [NONE]], [[NONE], [NONE], [NONE]], [[ONE], [NONE], [SOME]]],
}
BOX_AND_CLS = [[[1.0, 9.0], [3.0, 1.0], [0.5, 8.0]], [[2.0, 3.0], [4.0, 0.0], [0.5, 0.0]]]  # of each rank, by step


EXCESSES = [{0: 0.1, 1: 0.3}, {1: -0.2}, {1: 0.5, 2: 0.4}]  # of each rank, by label


def alwa() -> ALWA:
    return ALWA(TaskBalance(name="alwa", window=2), torch.device("cpu"))


def memory_of(*ranks: dict[int, float]) -> LabelMemory:
    memory = LabelMemory(4)
    for excesses in ranks:
        memory.observe(torch.tensor(list(excesses)), torch.tensor(list(excesses.values())))
    memory.end_epoch()
    return memory


class Process:
    """What a trainer does with a criterion, in one process: install, compute, reduce, advance."""

    def __init__(self, model: str) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        self.model = DetectionModel(model, nc=2, verbose=False).eval()  # normalisation by batch would see the split
        self.model.args = DEFAULT_CFG
        self.criterion = self.model.init_criterion()
        self.balance = alwa()
        changes = {"gain.name": "iou-balanced", "gain.norm": "first", "running_mean.momentum": 0.3}
        self.heads = install(self.criterion, load_config("wiou3", changes), balance=self.balance)
        self.means = [head.box_loss.running_mean for head in self.heads.values()]
        for head in self.heads.values():
            head.box_loss.self_advancing = False

    def step(self, images: list[list[list[float]]], seed: int) -> None:
        """One step on images; the pixels of each depend on its number in the joined batch, not on the split."""
        pixels = [torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(seed + i)) for i in range(len(images))]
        counts = torch.tensor([len(boxes) for boxes in images])
        batch = {
            "img": torch.stack(pixels),
            "batch_idx": torch.arange(len(images)).repeat_interleave(counts).float(),
            "bboxes": torch.tensor([box for boxes in images for box in boxes]).reshape(-1, 4),
            "cls": torch.zeros(int(counts.sum()), 1),
        }
        self.model.model[-1].train()  # the head's raw output
        loss, items = self.criterion(self.model(batch["img"]), batch)
        loss.sum().backward()
        reduce_over_ranks(self.means)
        for mean in self.means:
            mean.advance()
        box, cls = (items["box_loss"], items["cls_loss"]) if isinstance(items, dict) else items[:2]
        self.balance.observe(box, cls)

    @property
    def state(self) -> list[float]:
        return [mean.mean.item() for mean in self.means] + [x for mean in self.means for x in mean.first.tolist()]


def _rank(rank: int, world: int, model: str, meeting: str, out: dict[int, Any]) -> None:
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world)
    process, states = Process(model), []
    for number, step in enumerate(STEPS[world]):
        before = sum(len(images) for images in step[:rank])
        process.step(step[rank], 100 * number + before)
        states.append(process.state)
    balance = alwa()
    for losses in BOX_AND_CLS:
        balance.observe(*torch.tensor(losses[rank]))
    weights = process.balance.weight.item(), balance.weight.item()
    epochs = broadcast_from_rank0(100 + rank)
    past = memory_of(EXCESSES[rank]).past.nan_to_num(9).tolist()
    out[rank] = states, weights, [int(mean.steps) for mean in process.means], epochs, past
    dist.destroy_process_group()


@pytest.mark.parametrize(("world", "model"), [(2, "yolo11n.yaml"), (3, "yolov10n.yaml")])
def test_running_means_of_ranks_are_those_of_the_joined_batch(world: int, model: str, tmp_path: Path) -> None:
    """Unequal ranks, ranks without boxes, a step in which no rank has any; one head and two; ALWA beside them."""
    with mp.Manager() as manager:
        out = manager.dict()
        spawn(_rank, (world, model, f"file://{tmp_path}/meeting", out), nprocs=world)
        ranks = [out[rank] for rank in range(world)]
    whole = Process(model)
    for number, step in enumerate(STEPS[world]):
        whole.step([boxes for images in step for boxes in images], 100 * number)
        for states, *_ in ranks:
            n = len(whole.means)  # the assigner's weights hold IoU^6, whose rounding is that of the split
            assert states[number][:n] == pytest.approx(whole.state[:n], rel=1e-5)
            assert states[number][n:] == pytest.approx(whole.state[n:], rel=1e-3)
    assert all(rank == ranks[0] for rank in ranks)  # to the last bit, ALWA's weight too
    assert ranks[0][3] == 100  # epochs, which every rank estimates by itself under `time=`
    assert broadcast_from_rank0(7) == 7
    balance = alwa()
    for losses in BOX_AND_CLS:
        balance.observe(*torch.tensor(losses[:world]).mean(0))
    assert ranks[0][1][1] == pytest.approx(balance.weight.item())
    assert 0 < balance.weight < 1
    assert ranks[0][2] == [3] * len(whole.means)
    assert ranks[0][4] == pytest.approx(memory_of(*EXCESSES[:world]).past.nan_to_num(9).tolist())
    assert len(set(whole.state)) == len(whole.state) == 3 * len(whole.means)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wiou3", "ciou"])  # whose mean moves in every step, and after an epoch
def test_a_training_in_two_processes_killed_and_resumed(name: str, shapes: Path, tmp_path: Path) -> None:
    """Half of the images are without boxes, so that now and then a rank has none."""
    data = shutil.copytree(shapes.parent, tmp_path / "data")
    for label in sorted((data / "labels" / "train").iterdir())[::2]:
        label.write_text("")
    yaml = data / shapes.name
    yaml.write_text(yaml.read_text().replace(str(shapes.parent), str(data)))
    loss = load_config(name, {"task_balance.name": "alwa", "task_balance.window": 2}).model_dump(mode="json")
    arguments = {**TINY, "mosaic": 0.0, "batch": 2, "model": MODEL, "data": str(yaml), "device": "cpu", "amp": False}
    arguments |= {"project": str(tmp_path), "name": "run", "loss": loss}
    codes = two_processes(tmp_path, arguments, "0", "1")
    assert codes == [-9, -9], (tmp_path / "log0").read_text()
    assert columns(tmp_path / "run")["epoch"] == [1]

    last = tmp_path / "run" / "weights" / "last.pt"
    saved = getattr(torch.load(last, weights_only=False)["ema"], ATTRIBUTE)
    codes = two_processes(tmp_path, {"resume": str(last), "model": str(last), "device": "cpu"})
    assert codes == [0, 0], (tmp_path / "log0").read_text()[-3000:] + (tmp_path / "log1").read_text()[-3000:]
    states, same_states = (json.loads((tmp_path / f"states.{rank}").read_text()) for rank in "01")
    assert states == same_states
    assert columns(tmp_path / "run")["epoch"] == [1, 2]
    final = getattr(torch.load(last, weights_only=False)["model"], ATTRIBUTE)  # stripped
    assert final["heads"] == states[-1][0]
    assert 0 < saved["heads"][""]["steps"] < final["heads"][""]["steps"] < 12  # steps without any box don't count
    assert final["heads"][""]["momentum"] == saved["heads"][""]["momentum"]
