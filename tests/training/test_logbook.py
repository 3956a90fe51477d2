"""What a run shows of its loss: to TensorBoard and MLflow, in the table and the picture beside results.csv."""

from __future__ import annotations

import math
import os
from types import SimpleNamespace

import polars
import pytest
import torch
from helpers.running import MODEL, TINY, argv_of, columns, shell
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from yolo_wiou.losses import load_loss
from yolo_wiou.training.logbook import BINS, HISTOGRAM, Logbook, write_histogram


@pytest.fixture(scope="module")
def run(shapes, tmp_path_factory):
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


def test_tensorboard_has_columns_and_histograms_of_every_epoch(run):
    events = EventAccumulator(str(run), size_guidance={"histograms": 0})
    events.Reload()
    table = columns(run)
    for name in ("wiou/iou", "wiou/running_mean", "wiou/gain"):
        assert [event.value for event in events.Scalars(name)] == pytest.approx(table[name], rel=1e-3)
    for name in ("wiou/beta", "wiou/gain"):
        assert [event.step for event in events.Histograms(name)] == [1, 2]
    last = events.Histograms("wiou/gain")[-1].histogram_value
    assert last.sum / last.num == pytest.approx(table["wiou/gain"][-1], rel=1e-3)


def test_mlflow_has_the_columns_of_every_epoch(run):
    table = columns(run)
    for name in ("iou", "running_mean", "gain"):
        (file,) = (run.parent / "mlflow").glob(f"*/*/metrics/wiou/{name}")
        rows = [line.split() for line in file.read_text().splitlines()]  # time, value, step
        assert [float(row[1]) for row in rows] == pytest.approx(table[f"wiou/{name}"], rel=1e-4)
        assert [int(row[2]) for row in rows] == [0, 1]


def test_the_table_has_a_row_an_epoch_and_the_picture_is_there(run):
    table = polars.read_csv(run / "iou_histogram.csv")
    assert table["epoch"].to_list() == [1, 2]
    assert table.width == BINS + 1
    assert table.drop("epoch").sum_horizontal().to_list() == pytest.approx([1, 1])
    assert (run / "loss_curves.png").stat().st_size > 10_000


def test_an_epoch_that_runs_again_replaces_its_row_and_what_followed(tmp_path):
    file = tmp_path / "iou_histogram.csv"
    for epoch in (0, 1, 2, 1):
        write_histogram(file, epoch, torch.full((4,), 0.05 + 0.1 * epoch).numpy())
    table = polars.read_csv(file)
    assert table["epoch"].to_list() == [1, 2]
    assert table.row(1)[1:] == tuple(float(i == 3) for i in range(BINS))


def an_epoch(folder, *batches: list[float]) -> Logbook:
    """A logbook at the end of its first epoch; a batch of None never reached the loss."""
    loss = load_loss("ciou", **{"running_mean.momentum": 0.1})
    mean = loss.running_mean
    book = Logbook({"": SimpleNamespace(box_loss=loss, pair=None, seen=None)}, folder)
    for batch in batches:
        mean.discard()  # as a trainer begins a batch
        if batch is not None:
            mean.observe(torch.tensor(batch), torch.ones(len(batch)))
        book.add("", mean.advance())
    book.end_epoch(0)
    return book


@pytest.mark.parametrize("batch", [[], [math.nan, math.nan], [math.inf]])
def test_an_epoch_without_a_finite_box_leaves_the_run_alone(batch, tmp_path, monkeypatch):
    """TensorBoard draws no empty histogram; NaN recovery comes after the logs."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        monkeypatch.setattr("ultralytics.utils.callbacks.tensorboard.WRITER", writer, raising=False)
        book = an_epoch(tmp_path, batch, batch)
    assert book.columns()["wiou/iou"] == 0
    assert polars.read_csv(tmp_path / HISTOGRAM).drop("epoch").sum_horizontal().to_list() == [0]


def test_a_batch_that_never_reached_the_loss_is_not_shown_as_the_one_before(tmp_path):
    """Releases before 8.4.154 skip the box loss where a batch has no positives."""
    an_epoch(tmp_path, [0.02], None, None, [0.98])
    row = polars.read_csv(tmp_path / HISTOGRAM).drop("epoch").row(0)
    assert (row[0], row[-1]) == (0.5, 0.5)


def test_the_table_is_whole_whenever_it_is_killed(tmp_path, monkeypatch):
    file = tmp_path / HISTOGRAM
    write_histogram(file, 0, torch.zeros(4).numpy())
    before = file.read_text()

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_histogram(file, 1, torch.zeros(4).numpy())
    assert file.read_text() == before


@pytest.mark.parametrize("before", [b"", b"epo", b"epoch,0.00\n1,1\n", b"\xff\xfe,\n\xff,1\n", b"some text\n"])
def test_a_damaged_table_does_not_stop_a_run(before, tmp_path):
    file = tmp_path / HISTOGRAM
    file.write_bytes(before)
    write_histogram(file, 1, torch.zeros(4).numpy())
    assert polars.read_csv(file)["epoch"].to_list() == [2]


def test_a_damaged_row_costs_that_row(tmp_path):
    file = tmp_path / HISTOGRAM
    for epoch in (0, 1):
        write_histogram(file, epoch, torch.zeros(4).numpy())
    header, first, second = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(header + first + b"\xff\xfe\n" + second)
    write_histogram(file, 2, torch.zeros(4).numpy())
    assert polars.read_csv(file)["epoch"].to_list() == [1, 2, 3]
