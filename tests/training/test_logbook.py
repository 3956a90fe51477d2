"""What a run shows of its loss: to TensorBoard and MLflow, in the table and the picture beside results.csv."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import polars
import pytest
import torch
from helpers.cost import Count
from helpers.running import MODEL, TINY, argv_of, columns, shell

from yolo_wiou.losses import BoxLoss, BoxPair, load_loss
from yolo_wiou.training.heaviness import SeenStep
from yolo_wiou.training.logbook import BINS, HISTOGRAM, Logbook, write_histogram


@pytest.fixture(scope="module")
def run(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("logged")
    settings = "from ultralytics import SETTINGS; SETTINGS.update(tensorboard=True, mlflow=True)"
    env = {
        "YOLO_CONFIG_DIR": str(folder / "config"),
        "MLFLOW_TRACKING_URI": (folder / "mlflow").as_uri(),
        "MLFLOW_ALLOW_FILE_STORE": "true",
    }
    shell("-c", settings, cwd=folder, env=env)
    arguments = {**TINY, "plots": True, "data": shapes, "model": MODEL, "project": folder, "name": "run"}
    shell("-m", "yolo_wiou", "train", *argv_of(**arguments, loss="wiou3"), cwd=folder, env=env)
    return folder / "run"


@pytest.mark.needs("tensorboard")
def test_tensorboard_has_columns_and_histograms_of_every_epoch(run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run), size_guidance={"histograms": 0})
    events.Reload()
    table = columns(run)
    for name in ("wiou/iou", "wiou/running_mean", "wiou/gain"):
        assert [event.value for event in events.Scalars(name)] == pytest.approx(table[name], rel=1e-3)
    for name in ("wiou/beta", "wiou/gain"):
        assert [event.step for event in events.Histograms(name)] == [1, 2]
    last = events.Histograms("wiou/gain")[-1].histogram_value
    assert last.sum / last.num == pytest.approx(table["wiou/gain"][-1], rel=1e-3)


@pytest.mark.needs("mlflow")
def test_mlflow_has_the_columns_of_every_epoch(run: Path) -> None:
    table = columns(run)
    for name in ("iou", "running_mean", "gain"):
        (file,) = (run.parent / "mlflow").glob(f"*/*/metrics/wiou/{name}")
        rows = [line.split() for line in file.read_text().splitlines()]  # time, value, step
        assert [float(row[1]) for row in rows] == pytest.approx(table[f"wiou/{name}"], rel=1e-4)
        assert [int(row[2]) for row in rows] == [0, 1]


def test_the_table_has_a_row_an_epoch_and_the_picture_is_there(run: Path) -> None:
    table = polars.read_csv(run / "iou_histogram.csv")
    assert table["epoch"].to_list() == [1, 2]
    assert table.width == BINS + 1
    assert table.drop("epoch").sum_horizontal().to_list() == pytest.approx([1, 1])
    assert (run / "loss_curves.png").stat().st_size > 10_000


def test_an_epoch_that_runs_again_replaces_its_row_and_what_followed(tmp_path: Path) -> None:
    file = tmp_path / "iou_histogram.csv"
    for epoch in (0, 1, 2, 1):
        write_histogram(file, epoch, torch.full((4,), 0.05 + 0.1 * epoch).numpy())
    table = polars.read_csv(file)
    assert table["epoch"].to_list() == [1, 2]
    assert table.row(1)[1:] == tuple(float(i == 3) for i in range(BINS))


def an_epoch(folder: Path, *batches: list[float] | None, name: str = "ciou") -> Logbook:
    """A logbook at the end of its first epoch; a batch of None never reached the loss."""
    loss = load_loss(name, **{"running_mean.momentum": 0.1})
    head: Any = SimpleNamespace(box_loss=loss, pair=BoxPair.of, seen=None, is_stock=loss.config.is_stock)
    book = Logbook({"": head}, folder)
    for batch in batches:
        if batch is not None:
            head.seen = a_step(loss, torch.tensor(batch))
        book.add("", loss.running_mean.advance() if loss.keeps_mean else None)
    book.close()
    book.end_epoch(0)
    return book


def a_step(loss: BoxLoss, iou_loss: torch.Tensor) -> SeenStep:
    """What a head has seen of boxes of these IoU losses, and has observed of them."""
    target = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(len(iou_loss), 4)
    pred = target.clone()
    pred[:, 2] -= iou_loss
    pred[iou_loss.isinf()] = math.inf
    if loss.config.is_stock:
        return SeenStep(pred, target)
    pair = BoxPair.of(pred, target)
    gain, _ = loss.gain_and_loss(pair)
    loss.running_mean.observe(pair.iou_loss, gain) if loss.keeps_mean else None
    return SeenStep(pred, target, (), torch.ones_like(gain), gain, pair.iou_loss)


LOSSES = ["ciou", "siou", "wiou3"]
"""What the stock term is computed by, and computes no IoU; what keeps no running mean; and what does."""


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("together", [1, 3, 100])
def test_the_columns_are_those_of_all_boxes_however_many_batches_are_summed_up_at_once(
    name: str, together: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch without boxes, one that never reached the loss, and one that is not finite count for nothing."""
    monkeypatch.setattr("yolo_wiou.training.logbook.TOGETHER", together)
    batches = [[0.2, 0.4], None, [0.6], [], [math.nan, 0.1], [0.1, 0.3, 0.8], [0.5]]
    book = an_epoch(tmp_path, *batches, name=name)
    columns, mean, gains = book.columns(), 1.0, []
    for batch in ([0.2, 0.4], [0.6], [0.1, 0.3, 0.8], [0.5]):
        betas = [iou_loss / mean for iou_loss in batch]
        gains += [beta / (3 * 1.9 ** (beta - 3)) if name == "wiou3" else 1.0 for beta in betas]
        mean += 0.1 * (sum(batch) / len(batch) - mean)
    assert columns["wiou/iou"] == pytest.approx(1 - 2.9 / 7, rel=1e-5)
    assert columns["wiou/running_mean"] == pytest.approx(mean, rel=1e-5)
    assert columns["wiou/gain"] == pytest.approx(sum(gains) / 7, rel=1e-5)
    assert book.heads[""].box_loss.running_mean.steps == 4
    shares = polars.read_csv(tmp_path / HISTOGRAM).drop("epoch").row(0)
    assert sum(shares) == pytest.approx(1)
    book.start_epoch()
    assert book.is_empty


@pytest.mark.parametrize("name", LOSSES)
def test_a_step_pays_little_for_what_is_logged(name: str) -> None:
    """Nothing for references; what 32 steps are summed up with, an operator or two for each."""
    loss = load_loss(name)
    head: Any = SimpleNamespace(box_loss=loss, pair=BoxPair.of, seen=None, is_stock=loss.config.is_stock)
    book, total = Logbook({"": head}, None), 0
    for _ in range(96):
        head.seen = a_step(loss, torch.tensor([0.1, 0.2]))
        observed = loss.running_mean.advance() if loss.keeps_mean else None
        with Count() as counted:
            book.add("", observed)
        total += counted.total
        assert counted.syncs == 0
    assert total <= 96 * {"ciou": 2.5, "siou": 2.5, "wiou3": 0}[name]


@pytest.mark.needs("tensorboard")
@pytest.mark.parametrize("batch", [[], [math.nan, math.nan], [math.inf]])
def test_an_epoch_without_a_finite_box_leaves_the_run_alone(
    batch: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorBoard draws no empty histogram; NaN recovery comes after the logs."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        monkeypatch.setattr("ultralytics.utils.callbacks.tensorboard.WRITER", writer, raising=False)
        book = an_epoch(tmp_path, batch, batch)
    assert book.columns()["wiou/iou"] == 0
    assert polars.read_csv(tmp_path / HISTOGRAM).drop("epoch").sum_horizontal().to_list() == [0]


def test_a_batch_that_never_reached_the_loss_is_not_shown_as_the_one_before(tmp_path: Path) -> None:
    """Releases before 8.4.154 skip the box loss where a batch has no positives."""
    an_epoch(tmp_path, [0.02], None, None, [0.98])
    row = polars.read_csv(tmp_path / HISTOGRAM).drop("epoch").row(0)
    assert (row[0], row[-1]) == (0.5, 0.5)


def test_the_table_is_whole_whenever_it_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / HISTOGRAM
    write_histogram(file, 0, torch.zeros(4).numpy())
    before = file.read_text()

    def killed(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_histogram(file, 1, torch.zeros(4).numpy())
    assert file.read_text() == before


@pytest.mark.parametrize("before", [b"", b"epo", b"epoch,0.00\n1,1\n", b"\xff\xfe,\n\xff,1\n", b"some text\n"])
def test_a_damaged_table_does_not_stop_a_run(before: bytes, tmp_path: Path) -> None:
    file = tmp_path / HISTOGRAM
    file.write_bytes(before)
    write_histogram(file, 1, torch.zeros(4).numpy())
    assert polars.read_csv(file)["epoch"].to_list() == [2]


def test_a_damaged_row_costs_that_row(tmp_path: Path) -> None:
    file = tmp_path / HISTOGRAM
    for epoch in (0, 1):
        write_histogram(file, epoch, torch.zeros(4).numpy())
    header, first, second = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(header + first + b"\xff\xfe\n" + second)
    write_histogram(file, 2, torch.zeros(4).numpy())
    assert polars.read_csv(file)["epoch"].to_list() == [1, 2, 3]


@pytest.mark.parametrize("name", LOSSES)
def test_what_all_ranks_have_seen_is_summed_up_once_an_epoch_or_by_the_mean(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here another rank has seen the same: of a loss that keeps a mean its sums are those of all ranks already."""
    calls = []
    monkeypatch.setattr("yolo_wiou.training.logbook.sum_over_ranks", lambda table: calls.append(table.mul_(2)))
    book = an_epoch(tmp_path, [0.2, 0.4], None, [0.6], name=name)
    keeps_mean = book.heads[""].box_loss.keeps_mean
    assert book.columns()["wiou/iou"] == pytest.approx(0.6)
    assert book.logs[""].table[:, 1].tolist() == ([2, 0, 1] if keeps_mean else [4, 0, 2])
    assert len(calls) == (not keeps_mean)


WANDB = """
import json, wandb
from yolo_wiou import YOLO

run, logged = wandb.init(mode="offline", dir="."), {}
log = run.log

def keep(values, **how):
    for key in filter(lambda key: "wiou/" in key, values):
        logged.setdefault(key, []).append(values[key])
    log(values, **how)

run.log = keep
YOLO(MODEL).train(**ARGUMENTS, loss="wiou3")
print(json.dumps([run.config["loss"], logged]))
"""


@pytest.mark.needs("wandb")
def test_wandb_has_the_columns_of_every_epoch_and_the_loss(shapes: Path, tmp_path: Path) -> None:
    env = {"YOLO_CONFIG_DIR": str(tmp_path / "config"), "WANDB_SILENT": "true"}
    settings = "from ultralytics import SETTINGS; SETTINGS.update(wandb=True)"
    shell("-c", settings, cwd=tmp_path, env=env)
    arguments = {**TINY, "data": str(shapes), "project": str(tmp_path), "name": "run"}
    script = WANDB.replace("MODEL", repr(MODEL)).replace("ARGUMENTS", repr(arguments))
    loss, logged = json.loads(shell("-c", script, cwd=tmp_path, env=env).stdout.strip().splitlines()[-1])
    table = columns(tmp_path / "run")
    assert loss == "wiou3"
    for name in ("wiou/iou", "wiou/running_mean", "wiou/gain"):
        assert logged[name] == pytest.approx(table[name], rel=1e-4)
