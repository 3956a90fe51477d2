"""`yolo-wiou compare` on a tiny data set: two losses, two seeds, trained for real."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.places import places
from helpers.running import shell
from helpers.studies import result_of

from yolo_wiou.compare.coco import read_detections, read_truth
from yolo_wiou.compare.control import read_controls
from yolo_wiou.compare.evaluation import evaluate, metrics_of
from yolo_wiou.compare.pairing import FirstBatches, objections, read_first_batches
from yolo_wiou.compare.rotated import corners_of
from yolo_wiou.compare.run import Record, Run
from yolo_wiou.compare.runner import LocalJob, train
from yolo_wiou.compare.study import Study
from yolo_wiou.compare.worker import first_batches, train_and_detect
from yolo_wiou.data.shapes import ShapesConfig, render_dataset
from yolo_wiou.files import read_json

TINY = ["model=yolo11n.yaml", "imgsz=32", "epochs=1", "batch=4", "nbs=4", "workers=0"]
TINY += ["losses=ciou,wiou3", "seeds=2", "control=false", "jobs=2"]


@pytest.fixture(scope="session")
def compared(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """The folder of a study, and what `compare --json` wrote to stdout and stderr."""
    folder = tmp_path_factory.mktemp("compare")
    env = {"YOLO_CONFIG_DIR": str(tmp_path_factory.mktemp("new"))}  # Ultralytics greets a machine that it is new on
    command = ("-m", "yolo_wiou", "compare", f"data={shapes}", *TINY, "out=study", "--json")
    done = shell(*command, cwd=folder, env=env)
    return folder / "study", done.stdout, done.stderr


@pytest.fixture(scope="session")
def study(compared: tuple[Path, str, str]) -> Path:
    """The folder of a finished study."""
    return compared[0]


def test_stdout_is_the_report_alone(compared: tuple[Path, str, str]) -> None:
    folder, out, err = compared
    assert json.loads(out) == read_json(folder / "report.json")
    assert "4 runs: 2 losses (ciou, wiou3) x 2 seeds x 1 data set (shapes), 2 at a time" in err
    assert "4/4 shapes" in err
    assert {result_of(run, folder).steps for run in Study.load(folder).runs()} == {3}
    assert " left." in err
    assert {"report.html", "runs.csv", "study.json"} <= {file.name for file in folder.iterdir()}
    assert sorted(map(str, Study.load(folder).data.values())) == [str(Study.load(folder).data["shapes"])]
    assert places(err) == {"results": folder / "report.html", "weights": folder / "runs"}


def test_losses_saw_the_same_images_and_seeds_did_not(study: Path) -> None:
    runs = Study.load(study).runs()
    streams = {(run.loss, run.seed): result_of(run, study).stream for run in runs}
    assert streams["ciou", 0] == streams["wiou3", 0] != streams["ciou", 1] == streams["wiou3", 1]
    assert all(len(stream) == 1 for stream in streams.values())
    beginnings = read_first_batches(study)
    assert [(run.loss, run.seed) for run in beginnings] == [("ciou", 0), ("wiou3", 0), ("ciou", 1)]
    assert objections(beginnings) == []
    assert {result_of(run, study).optimizer.name for run in runs} == {"AdamW"}  # what auto came to


def test_runs_are_trained_as_asked(study: Path) -> None:
    for run in Study.load(study).runs():
        folder = run.folder(study)
        arguments = (folder / "train" / "args.yaml").read_text()
        assert f"loss: {run.loss}\n" in arguments
        assert f"seed: {run.seed}\n" in arguments
        assert (folder / "train" / "weights" / "last.pt").is_file()


def test_the_truth_is_the_labels(study: Path, shapes: Path) -> None:
    """Boxes of truth.json are those of the label files, read by hand."""
    run = Study.load(study).runs()[0]
    truth = read_json(run.folder(study) / "truth.json")
    boxes = {}
    for image in truth["images"]:
        rows = [a for a in truth["annotations"] if a["image_id"] == image["id"]]
        boxes[Path(image["file_name"]).stem] = sorted([a["category_id"], *a["bbox"]] for a in rows)
    for file in (shapes.parent / "labels" / "val").glob("*.txt"):
        c, x, y, w, h = np.loadtxt(file, ndmin=2).T
        by_hand = np.stack([c, (x - w / 2) * 64, (y - h / 2) * 64, w * 64, h * 64], 1)
        np.testing.assert_allclose(boxes[file.stem], sorted(by_hand.tolist()), atol=1e-4)
    assert len(boxes) == 6


def test_detections_are_boxes_of_those_images(study: Path) -> None:
    run = Study.load(study).runs()[0]
    for checkpoint in run.checkpoints:
        table = np.load(run.folder(study) / f"detections-{checkpoint}.npz")["detections"]
        assert table.shape[1] == 7
        assert len(table) > 0
        assert set(table[:, 0]) <= set(range(6))
        assert (table[:, 3:5] > 0).all()
        assert ((table[:, 5] > 0) & (table[:, 5] <= 1)).all()
        assert set(table[:, 6]) <= {0, 1}


def test_the_same_command_goes_on(study: Path, shapes: Path, tmp_path: Path) -> None:
    """A run that is gone is trained again, and comes out the same though it is alone; the others stay as they are.

    With controls, which may come later, and are trained as runs are.
    """
    own = Path(shutil.copytree(study, tmp_path / "study"))
    first, *others = Study.load(own).runs()
    before = {str(run): run.result(own) for run in others}
    shutil.rmtree(first.folder(own))

    argv = [word.replace("control=false", "control=true") for word in TINY[:-1]]
    done = shell("-m", "yolo_wiou", "compare", f"data={shapes}", *argv, "out=study", cwd=tmp_path)
    assert "Finished: 3." in done.stderr
    (control,) = read_controls(own)
    for seed in (0, 1):
        record = Record(control.beside(others[-1]), own / "runs" / "shapes" / "ciou_as_heavy_as_wiou3" / f"seed{seed}")
        assert record.gradient_ratio == pytest.approx(control.weight, rel=1e-3)
        assert record.result
        assert record.result.stream == result_of(next(run for run in others if run.seed == seed), own).stream
    assert f"- against ciou x {control.weight:.3g}" in done.stdout
    assert {str(run): run.result(own) for run in others} == before
    old, new = (np.load(first.folder(root) / "detections-last.npz")["detections"] for root in (study, own))
    np.testing.assert_array_equal(old, new)
    assert result_of(first, study).stream == result_of(first, own).stream


def test_another_study_is_refused(study: Path, shapes: Path) -> None:
    before = sorted(study.rglob("*"))
    argv = [word.replace("epochs=1", "epochs=2") for word in TINY]
    done = shell("-m", "yolo_wiou", "compare", f"data={shapes}", *argv, "out=study", cwd=study.parent, check=False)
    assert done.returncode == 2
    assert "arguments.epochs is 1 there and 2 here" in done.stderr
    assert sorted(study.rglob("*")) == before


def test_a_loss_that_tells_labels_apart_sees_the_same_data(shapes: Path, tmp_path: Path) -> None:
    arguments = {"model": "yolo11n.yaml", "imgsz": 32, "epochs": 1, "batch": 2, "workers": 0, "data": str(shapes)}
    runs = [Run(data="set", loss=loss, seed=0, spec=loss, arguments=arguments) for loss in ("ciou", "trust")]
    first, second = (first_batches(run, tmp_path).stream for run in runs)
    assert first == second


def test_images_and_objects_of_a_data_set_are_counted(shapes: Path, tmp_path: Path) -> None:
    shutil.copytree(shapes.parent, tmp_path / "set", ignore=shutil.ignore_patterns("*.cache"))
    first, second, *_ = sorted((tmp_path / "set" / "labels" / "train").iterdir())
    first.write_text("cell 0.5 0.5 0.1 0.1\n")
    second.write_text("9 0.5 0.5 0.1 0.1\n")  # there are two classes
    arguments = {"model": "yolo11n.yaml", "imgsz": 32, "epochs": 1, "batch": 2, "workers": 0}
    arguments["data"] = str(tmp_path / "set" / shapes.name)
    run = Run(data="set", loss="ciou", seed=0, spec="ciou", arguments=arguments)
    counts = {split: count.plain() for split, count in first_batches(run, tmp_path).images.items()}
    objects = [len(file.read_text().split("\n")) - 1 for file in (tmp_path / "set" / "labels" / "val").iterdir()]
    assert counts["validation"] == {"images": 6, "left out": 0, "objects": sum(objects)}
    assert (counts["training"]["images"], counts["training"]["left out"]) == (12, 2)


def test_rotated_boxes_are_detected_and_evaluated_as_such(tmp_path: Path) -> None:
    """Truth is the corners of the labels, and each detection has an angle."""
    config = ShapesConfig(task="obb", train=8, val=4, imgsz=64, classes=("disc", "box"))
    data = render_dataset(tmp_path / "set", config)
    arguments = {"model": "yolo11n-obb.yaml", "imgsz": 32, "epochs": 1, "batch": 4, "workers": 0, "data": str(data)}
    arguments["conf"] = 1e-6  # the network has learnt nothing
    run = Run(data="set", loss="wiou3", seed=0, spec="wiou3", arguments=arguments, checkpoints=("last",))
    train_and_detect(run, tmp_path)
    held = read_truth(tmp_path)
    corners = {}
    for image in held["images"]:
        boxes = [[*a["bbox"], a["angle"]] for a in held["annotations"] if a["image_id"] == image["id"]]
        corners[Path(image["file_name"]).stem] = sorted(np.sort(corners_of(np.array(boxes)), 1).ravel().tolist())
    for file in (data.parent / "labels" / "val").glob("*.txt"):
        by_hand = np.loadtxt(file, ndmin=2)[:, 1:].reshape(-1, 4, 2) * 64
        np.testing.assert_allclose(corners[file.stem], sorted(np.sort(by_hand, 1).ravel().tolist()), atol=1e-2)
    rows = read_detections(tmp_path, "last")
    assert rows.shape[1] == 8
    assert len(rows) > 0
    assert (np.abs(rows[:, 7]) > 0).any()
    assert metrics_of(evaluate(tmp_path, "last")).AP is not None


@pytest.mark.slow
@pytest.mark.parametrize("task", ["segment", "pose"])
def test_boxes_of_other_tasks(task: str, tmp_path: Path) -> None:
    config = ShapesConfig(task=task, train=8, val=4, imgsz=64, classes=("disc", "box"))
    data = render_dataset(tmp_path / "set", config)
    argv = [word.replace("yolo11n", f"yolo11n-{task[:4].replace('segm', 'seg')}") for word in TINY]
    shell("-m", "yolo_wiou", task, "compare", f"data={data}", *argv, "out=study", cwd=tmp_path)
    run = Study.load(tmp_path / "study").runs()[0]
    assert np.load(run.folder(tmp_path / "study") / "detections-last.npz")["detections"].shape[1] == 7


@pytest.mark.slow
@pytest.mark.needs("ray")
def test_ray_trains_the_same(study: Path, tmp_path: Path) -> None:
    """Detections and data of a run are equal, whatever runner did it."""
    import ray

    from yolo_wiou.compare.ray_runner import RayRunner

    run = Study.load(study).runs()[-1]
    try:
        runner = RayRunner()
        assert runner.room >= 1
        (done,) = train([run], tmp_path, runner)
    finally:
        ray.shutdown()
    assert result_of(done, tmp_path).stream == result_of(run, study).stream
    local, far = (np.load(run.folder(folder) / "detections-last.npz")["detections"] for folder in (study, tmp_path))
    np.testing.assert_array_equal(local, far)


@pytest.mark.slow
def test_workers_load_what_the_seed_says(shapes: Path, tmp_path: Path) -> None:
    """With worker processes too, losses see the same images under one seed, and others under the next."""
    arguments = {"model": "yolo11n.yaml", "imgsz": 32, "epochs": 1, "batch": 4, "nbs": 4, "workers": 2}
    study = Study(
        losses={"ciou": "ciou", "wiou3": "wiou3"}, data={"shapes": str(shapes)}, seeds=(0, 1), arguments=arguments
    )
    assert len(list(train(study.runs(), tmp_path, LocalJob, 2))) == 4
    results = [(run, result_of(run, tmp_path)) for run in study.runs()]
    whole = [
        FirstBatches(data="", loss=run.loss, seed=run.seed, stream=result.stream, optimizer=result.optimizer)
        for run, result in results
    ]
    assert objections(whole) == []
