"""audit=true: what a training saw of every label, exact through resume and over ranks, and nothing else changed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import ultralytics
import yaml
from helpers.cost import Count
from helpers.ranks import two_processes
from helpers.running import MODELS, ROOT, TINY, columns
from helpers.stopped import Stopped, stop_in_the_second_epoch, stopped_run
from ultralytics.cfg import get_cfg
from ultralytics.data import build_dataloader, build_yolo_dataset
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils import DEFAULT_CFG

from yolo_wiou import YOLO, ConfigError, RTDETRTrainer, WorldTrainer
from yolo_wiou.cli.main import run_command
from yolo_wiou.data.yolo_format import label_file, parse, read_lines
from yolo_wiou.losses import RunningMean
from yolo_wiou.losses.positives import Objects
from yolo_wiou.losses.presets import load_config
from yolo_wiou.training.checkpoint import ATTRIBUTE
from yolo_wiou.training.criterion import install
from yolo_wiou.training.label_history import HISTORY, LABELS, RECORD, load_history
from yolo_wiou.training.label_ids import LabelIds
from yolo_wiou.training.label_recorder import LabelRecorder, class_scores
from yolo_wiou.training.preflight import describe

DETECT = str(ROOT / "tests" / "fixtures" / "tiny.yaml")
THREE = {**TINY, "epochs": 3}


def model_of(task: str, detr: Path) -> str:
    """Of segment one that learns from masks of classes too, with two heads."""
    return {"detect": DETECT, **MODELS, "segment": "yolo26n-seg.yaml", "rtdetr": str(detr)}[task]


def means(run: Path) -> list[float]:
    """The mean IoU of all positives of each epoch, by the record."""
    history = load_history(run)
    found: list[float] = ((np.nan_to_num(history.iou) * history.boxes).sum(1) / history.boxes.sum(1)).tolist()
    return found


@pytest.mark.parametrize("task", ["detect", "segment", "pose", "obb", "rtdetr"])
def test_a_recorded_training_is_stocks_to_the_bit(
    task: str, shapes: Path, task_data: dict[str, Path], detr: Path, tmp_path: Path
) -> None:
    arguments = {**TINY, "epochs": 1, "data": task_data.get(task, shapes), "project": tmp_path}
    more: dict[str, dict[str, Any]] = {"detect": {"plots": True}, "segment": {"copy_paste": 0.5}}
    arguments |= more.get(task, {})
    stock = (ultralytics.RTDETR if task == "rtdetr" else ultralytics.YOLO)(model_of(task, detr))
    stock.train(name="stock", **arguments)
    loss = "giou" if task == "rtdetr" else "ciou"
    YOLO(model_of(task, detr)).train(name="ours", loss=loss, audit=True, **arguments)
    models = [torch.load(tmp_path / run / "weights" / "last.pt", weights_only=False) for run in ("stock", "ours")]
    assert all(map(torch.equal, *(ckpt["model"].state_dict().values() for ckpt in models)))
    for picture in ("train_batch0.jpg", "labels.jpg") if task == "detect" else ():
        assert (tmp_path / "stock" / picture).read_bytes() == (tmp_path / "ours" / picture).read_bytes()

    assert "audit" not in models[1]["train_args"]
    assert getattr(models[1]["model"], ATTRIBUTE)["audit"] is True
    assert yaml.safe_load((tmp_path / "ours" / "args.yaml").read_text())["audit"] is True
    history = load_history(tmp_path / "ours")
    assert means(tmp_path / "ours") == pytest.approx(columns(tmp_path / "ours")["wiou/iou"], abs=2e-4)
    assert history.iou.shape == history.beta.shape == history.margin.shape == (1, len(history.line))
    seen = history.boxes > 0
    assert 0.3 < seen.mean() <= 1
    for values in (history.iou, history.beta, history.margin):
        assert (np.isfinite(values) == seen).all()
    assert (history.beta[seen] >= 0).all()
    assert (np.abs(history.margin[seen]) <= 1).all()


def test_the_record_says_which_labels_there_are(shapes: Path, tmp_path: Path) -> None:
    YOLO(DETECT).train(data=shapes, audit=True, project=tmp_path, name="run", **{**TINY, "epochs": 1})
    history = load_history(tmp_path / "run")
    count = sum(len(read_lines(file)) for file in (shapes.parent / "labels" / "train").iterdir())
    assert len({*zip(history.image.tolist(), history.line.tolist(), strict=True)}) == count
    for image, line, cls, box in zip(history.image, history.line, history.cls, history.box, strict=True):
        label = parse(read_lines(label_file(Path(image))))[line - 1]
        assert (label.line, label.cls) == (line, cls)
        assert label.values == pytest.approx(box, abs=2e-6)
    size = (tmp_path / "run" / HISTORY).stat().st_size
    assert size == count * RECORD.itemsize <= 16 * count


def test_an_epoch_is_the_mean_of_its_positives_and_of_the_times_that_a_label_was_seen(tmp_path: Path) -> None:
    mean = RunningMean(0.1)
    mean.mean.fill_(0.5)
    recorder = LabelRecorder.__new__(LabelRecorder)
    recorder.count, recorder.running_mean, recorder.folder = 3, mean, tmp_path
    recorder.start_epoch()
    numbers = torch.tensor([2, -1, 0, 2])  # objects 0 and 3 are one label, 1 is none
    scores = torch.tensor([[0.9, 0.2, 0.1], [0.3, 0.6, 0.4], [0.2, 0.5, 0.3], [0.1, 0.1, 0.7]])
    of_class = class_scores(scores, torch.tensor([0, 0, 1, 2]))
    torch.testing.assert_close(of_class, torch.tensor([[0.9, 0.3, 0.5, 0.7], [0.2, 0.6, 0.3, 0.1]]))
    recorder.add(Objects(torch.tensor([0, 0, 2, 3]), 4), numbers, of_class, torch.tensor([0.2, 0.4, 0.5, 0.1]))
    recorder.end_epoch(0)
    row = np.fromfile(tmp_path / HISTORY, RECORD)
    assert row["boxes"].tolist() == [1, 0, 3]
    assert row["iou"][[0, 2]] == pytest.approx([0.5, (0.8 + 0.6 + 0.9) / 3], abs=1e-3)
    assert row["beta"][[0, 2]] == pytest.approx([1.0, (0.4 + 0.8 + 0.2) / 3], abs=1e-3)
    assert row["margin"][[0, 2]] == pytest.approx([0.2, ((0.9 - 0.6) + (0.7 - 0.1)) / 2], abs=1e-3)
    assert np.isnan([row[name][1] for name in ("iou", "beta", "margin")]).all()


def cost(loss: str, shapes: Path, *, numbered: bool, folder: Path | None = None) -> Count:
    """What the criterion takes for a batch of the data set, with the labels' numbers, and a record in a folder."""
    model = DetectionModel(DETECT, nc=2, verbose=False)
    model.args = DEFAULT_CFG
    data = describe(shapes)
    dataset = build_yolo_dataset(get_cfg(overrides={"imgsz": 64}), data["train"], 4, data, mode="train", stride=32)
    ids = LabelIds(dataset) if numbered else None
    batch = next(iter(build_dataloader(dataset, 4, 0, shuffle=False)))
    if ids is None:
        batch["cls"] = torch.zeros_like(batch["cls"])
    batch["img"] = batch["img"].float() / 255
    criterion = model.init_criterion()
    head = install(criterion, load_config(loss), label_ids=ids)[""]
    if ids and folder:
        head.record(LabelRecorder(ids, head.box_loss.running_mean, folder, 0))
    predictions = model(batch["img"])
    counted = Count()
    with counted:
        criterion(predictions, batch)[0].sum().backward()
    assert head.recorder is None or head.recorder.by_box[2].sum() > 0
    return counted


def test_a_step_that_is_not_finite_does_not_count(tmp_path: Path) -> None:
    """As half precision has one now and then, which the scaler skips."""
    recorder = LabelRecorder.__new__(LabelRecorder)
    recorder.count, recorder.running_mean, recorder.folder = 2, RunningMean(0.01), tmp_path
    recorder.start_epoch()
    objects, numbers = Objects(torch.tensor([0, 0, 1]), 2), torch.tensor([0, 1])
    scores, loss = torch.tensor([[0.9, 0.8, 0.7], [0.1, 0.1, 0.2]]), torch.tensor([0.2, 0.4, 0.6])
    for factor in (1.0, torch.nan, torch.inf):
        recorder.add(objects, numbers, scores * factor, loss * factor)
    recorder.end_epoch(0)
    row = np.fromfile(tmp_path / HISTORY, RECORD)
    assert row["boxes"].tolist() == [2, 1]
    assert row["iou"] == pytest.approx([0.7, 0.4], abs=1e-3)
    assert row["beta"] == pytest.approx([0.3, 0.6], abs=1e-3)
    assert row["margin"] == pytest.approx([0.8, 0.5], abs=1e-3)


def test_a_batch_that_is_prepared_before_there_is_a_criterion_has_its_classes(shapes: Path, tmp_path: Path) -> None:
    """Ultralytics calibrates a quantised training by such batches."""
    model = YOLO(DETECT)
    classes: list[float] = []

    def calibrate(trainer: Any) -> None:
        criterion = trainer.model.__dict__.pop("criterion")
        classes.extend(trainer.preprocess_batch(next(iter(trainer.train_loader)))["cls"].unique().tolist())
        trainer.model.criterion = criterion

    model.add_callback("on_pretrain_routine_end", calibrate)
    model.train(data=shapes, project=tmp_path, **{**TINY, "epochs": 1, "loss": "trust"})
    assert set(classes) <= {0.0, 1.0}


def test_a_new_run_in_an_old_one_s_folder_keeps_no_record_of_it(shapes: Path, tmp_path: Path) -> None:
    arguments = {**TINY, "epochs": 1, "data": shapes, "project": tmp_path, "name": "run", "exist_ok": True}
    YOLO(DETECT).train(loss="wiou3", audit=True, **arguments)
    assert load_history(tmp_path / "run")
    YOLO(DETECT).train(loss="wiou3", **arguments)
    assert not {LABELS, HISTORY} & {file.name for file in (tmp_path / "run").iterdir()}
    (tmp_path / "run" / LABELS).write_text("a table of the user's own")
    YOLO(DETECT).train(loss="wiou3", **arguments)
    assert (tmp_path / "run" / LABELS).read_text() == "a table of the user's own"


def test_recording_costs_some_operators_and_no_wait_for_the_device(shapes: Path, tmp_path: Path) -> None:
    plain, recorded = cost("ciou", shapes, numbered=False), cost("ciou", shapes, numbered=True, folder=tmp_path)
    assert recorded.syncs == plain.syncs > 0
    assert recorded.total <= plain.total + 110  # small ones; a third of them for the IoU and its mean


def test_trust_takes_no_more_operators_than_stock_in_a_training_which_numbers_its_labels(shapes: Path) -> None:
    stock, trusting = cost("ciou", shapes, numbered=False), cost("trust", shapes, numbered=True)
    assert trusting.syncs == stock.syncs
    assert trusting.total <= stock.total


@pytest.fixture
def stopped(shapes: Path, tmp_path: Path) -> Path:
    return stopped_run(DETECT, shapes, tmp_path, audit=True, **THREE)


def resume(run: Path, **arguments: Any) -> Any:
    return YOLO(run / "weights" / "last.pt").train(resume=True, **arguments)


def test_resume_goes_on_with_the_record(stopped: Path) -> None:
    before = load_history(stopped)
    assert len(before.iou) == 2
    with (stopped / HISTORY).open("ab") as stream:
        stream.write(b"half a row")
    assert len(load_history(stopped).iou) == 2
    resume(stopped)
    after = load_history(stopped)
    assert np.array_equal(after.iou[0], before.iou[0], equal_nan=True)
    assert not np.array_equal(after.iou[1], before.iou[1], equal_nan=True)
    assert means(stopped) == pytest.approx(columns(stopped)["wiou/iou"], abs=2e-4)
    assert yaml.safe_load((stopped / "args.yaml").read_text())["audit"] is True


def test_what_a_lost_record_held_was_not_seen(stopped: Path) -> None:
    (stopped / HISTORY).unlink()
    resume(stopped)
    boxes = load_history(stopped).boxes.sum(1)
    assert len(boxes) == 3
    assert boxes[0] == 0 < boxes[1:].min()


def test_a_record_goes_on_where_the_data_set_has_been_moved(stopped: Path) -> None:
    first = load_history(stopped).iou[0]
    moved = Path(shutil.move(stopped.parent / "data", stopped.parent / "elsewhere"))
    data = moved / "data.yaml"
    data.write_text(data.read_text().replace(str(stopped.parent / "data"), str(moved)))
    resume(stopped, data=data)
    history = load_history(stopped)
    assert np.array_equal(history.iou[0], first, equal_nan=True)
    assert len(history.iou) == 3
    assert all(Path(image).is_file() for image in history.image)


def test_a_record_of_other_labels_begins_anew(stopped: Path) -> None:
    file = next((stopped.parent / "data" / "labels" / "train").iterdir())
    file.write_text(file.read_text().splitlines()[0] + "\n")
    (stopped.parent / "data" / "labels" / "train.cache").unlink()
    resume(stopped)
    history = load_history(stopped)
    assert history.boxes.sum(1)[0] == 0
    assert [Path(image).stem for image in history.image].count(file.stem) == 1


def test_a_resumed_run_is_recorded_as_it_was(stopped: Path, shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="was trained with audit=True, and resume continues it"):
        resume(stopped, audit=False)
    model = YOLO(DETECT)
    model.add_callback("on_train_epoch_end", stop_in_the_second_epoch)
    with pytest.raises(Stopped):
        model.train(data=shapes, project=tmp_path, name="plain", **THREE)
    with pytest.raises(ConfigError, match="was trained with audit=False"):
        resume(tmp_path / "plain", audit=True)
    assert not (tmp_path / "plain" / LABELS).exists()
    with pytest.raises(ConfigError, match="is no run that recorded its labels: train with audit=true"):
        load_history(tmp_path / "plain")


def test_two_processes_record_in_one_file(shapes: Path, tmp_path: Path) -> None:
    arguments = {**TINY, "batch": 4, "model": DETECT, "data": str(shapes), "device": "cpu", "amp": False}
    arguments |= {"project": str(tmp_path), "name": "run", "audit": True}
    codes = two_processes(tmp_path, arguments)
    assert codes == [0, 0], (tmp_path / "log0").read_text()[-3000:] + (tmp_path / "log1").read_text()[-3000:]
    assert means(tmp_path / "run") == pytest.approx(columns(tmp_path / "run")["wiou/iou"], abs=2e-4)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("train audit=maybe", "'audit=maybe' is neither True nor False"),
        ("train audit", "'audit' needs a value, with an equals sign: audit=True"),
        ("train audti=true", "audit"),
        ("val audit=true", "'audit=true' belongs to train"),
        ("compare audit=true", "'audit' has no place in a study"),
        ("classify train audit=true data=mnist model=yolo11n-cls.yaml", "has no box loss to exchange"),
    ],
)
def test_mistakes(
    command: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(command.split()) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_trainer_that_makes_texts_of_its_classes_is_refused(shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="of which YOLO-World makes texts"):
        WorldTrainer(
            overrides={"model": "yolov8s-worldv2.yaml", "data": str(shapes), "audit": True, "project": tmp_path}
        )
    assert RTDETRTrainer.takes_labels
    assert not list(tmp_path.iterdir())
