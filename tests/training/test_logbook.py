"""What a run shows of its loss: TensorBoard's scalars and histograms, the table and the picture beside results.csv."""

from __future__ import annotations

import polars
import pytest
import torch
from conftest import MODEL, TINY, columns, shell, words
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from yolo_wiou.training.logbook import BINS, write_histogram


@pytest.fixture(scope="module")
def run(shapes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("logged")
    settings = "from ultralytics import SETTINGS; SETTINGS.update(tensorboard=True)"
    env = {"YOLO_CONFIG_DIR": str(folder / "config")}
    shell("-c", settings, cwd=folder, env=env)
    arguments = {**TINY, "plots": True, "data": shapes, "model": MODEL, "project": folder, "name": "run"}
    shell("-m", "yolo_wiou.cli", "train", *words(**arguments, loss="wiou3"), cwd=folder, env=env)
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
