"""What an analysis says of studies whose truth is known, finished, unfinished and unfair ones."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.synthetic import EPOCHS, write_study

from yolo_wiou.compare import evaluation
from yolo_wiou.compare.analysis import analyse
from yolo_wiou.compare.evaluation import evaluate, metrics_of
from yolo_wiou.compare.findings import METRICS, Findings
from yolo_wiou.compare.report.html import page
from yolo_wiou.compare.report.text import table
from yolo_wiou.compare.run import ended_runs
from yolo_wiou.compare.study import Study
from yolo_wiou.errors import ConfigError
from yolo_wiou.files import read_json, write_json

EFFECTS = {"ciou": 0.0, "closer": -0.05, "looser": 0.1, "same": 0.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"), EFFECTS, seeds=7)


def findings(folder: Path) -> Findings:
    """What is found in a folder, by its study.json where it has one."""
    if not (folder / "study.json").is_file():
        return analyse(ended_runs(folder), folder)
    study = Study.load(folder)
    return analyse(study.records(folder), folder, study.baseline, study.arguments)


def report(folder: Path) -> dict[str, Any]:
    """What report.json holds."""
    return findings(folder).plain()


def ap(folder: Path) -> float:
    value = metrics_of(evaluate(folder, "last")).AP
    assert value is not None
    return value


@pytest.fixture(scope="module")
def analysis(folder: Path) -> dict[str, Any]:
    return report(folder)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder / "runs", tmp_path / "runs")).parent


def compared(analysis: dict[str, Any], loss: str, data: str = "shapes") -> dict[str, Any]:
    return next(c for c in analysis["data"][data]["comparisons"] if c["loss"] == loss)


def test_it_writes_nothing_and_is_json(folder: Path, analysis: dict[str, Any]) -> None:
    assert {place.name for place in folder.iterdir()} == {"images", "runs"}
    assert json.loads(json.dumps(analysis, allow_nan=False)) == analysis


def test_verdicts(analysis: dict[str, Any]) -> None:
    assert compared(analysis, "closer")["verdict"] == "better"
    assert compared(analysis, "looser")["verdict"] == "worse"
    assert compared(analysis, "same")["verdict"] == "no detectable difference"
    assert analysis["baseline"] == "ciou"
    assert analysis["states"] == {"finished": 28, "failed": 0, "waiting": 0}


def test_differences_are_of_the_last_epoch_seed_by_seed(folder: Path, analysis: dict[str, Any]) -> None:
    place = folder / "runs" / "shapes"
    closer = compared(analysis, "closer")
    expected = [ap(place / "closer" / f"seed{i}") - ap(place / "ciou" / f"seed{i}") for i in range(7)]
    assert closer["differences"] == pytest.approx(expected)
    assert closer["mean"] == pytest.approx(np.mean(expected))
    assert closer["sd"] == pytest.approx(np.std(expected, ddof=1))
    assert closer["interval"][0] < closer["mean"] < closer["interval"][1]
    assert closer["seeds_and_images"][0] < closer["mean"] < closer["seeds_and_images"][1]
    assert closer["p"] == 2 / 128
    assert closer["p_holm"] == pytest.approx(3 * 2 / 128)
    assert closer["exploratory"]["figures"]["AP"]["mean"] == closer["mean"]
    assert list(closer["exploratory"]["by_class"]) == ["disc", "box"]


def test_summaries(analysis: dict[str, Any]) -> None:
    summary = analysis["data"]["shapes"]["losses"]["ciou"]
    assert set(summary["figures"]["last"]) == set(METRICS)
    assert summary["figures"]["last"]["AP_large"]["mean"] is None  # no object is that large
    assert summary["seconds"] == {"mean": 63.0, "sd": pytest.approx(2.16, abs=0.01), "n": 7}
    assert len(summary["curves"]["AP"]["mean"]) == EPOCHS
    assert 1 < summary["epochs_to_near"]["mean"] < EPOCHS
    assert summary["iou"]["mean"] == pytest.approx(0.78, abs=0.01)


def test_epochs_to_near_are_the_first_at_nine_tenths_of_the_baselines_final_ap(copy: Path) -> None:
    for place in copy.glob("runs/shapes/*/*"):
        values = [0.1, 0.46, 0.2, 0.5] if place.parent.name == "ciou" else [0.1, 0.2, 0.3, 0.4]
        rows = [f"{i},{i},{value},0.5" for i, value in enumerate(values, 1)]
        (place / "train" / "results.csv").write_text("\n".join(["epoch, time, metrics/mAP50-95(B), wiou/iou", *rows]))
    losses = report(copy)["data"]["shapes"]["losses"]
    assert losses["ciou"]["epochs_to_near"] == {"mean": 2.0, "sd": 0.0, "n": 7}
    assert losses["closer"]["epochs_to_near"]["n"] == 0


def test_a_loss_that_is_not_known_here_is_reported_all_the_same(copy: Path) -> None:
    for file in copy.glob("runs/shapes/same/*/run.json"):
        write_json(file, {**read_json(file), "spec": {"name": "same", "penalty": {"name": "of-a-plugin"}}})
    assert compared(report(copy), "same")["verdict"] == "no detectable difference"


def test_a_run_with_a_damaged_file_is_named_and_the_others_are_judged(copy: Path) -> None:
    (copy / "runs/shapes/closer/seed2/detections-best.npz").write_bytes(b"PK")
    (copy / "runs/shapes/closer/seed3/truth.json").write_text("{")
    found = report(copy)
    assert "Judged without closer seed 2, closer seed 3, which failed." in found["data"]["shapes"]["warnings"]
    assert [run["seed"] for run in found["data"]["shapes"]["runs"] if "is damaged" in run.get("failure", "")] == [2, 3]
    assert compared(found, "closer")["seeds"] == [0, 1, 4, 5, 6]


@pytest.mark.parametrize(("moved", "is_told"), [(0.0, False), (0.04, False), (0.2, True), (-0.2, True)])
def test_an_ap_far_from_ultralytics_own_is_a_warning(copy: Path, moved: float, is_told: bool) -> None:
    folder = copy / "runs/shapes/looser/seed3"
    own = {"metrics/mAP50-95(B)": ap(folder) + moved}
    write_json(folder / "ultralytics-last.json", own)
    (copy / "runs/shapes/looser/seed4/ultralytics-last.json").write_text("{")  # nothing is known of that
    told = [warning for warning in report(copy)["data"]["shapes"]["warnings"] if "far apart" in warning]
    assert len(told) == is_told
    assert not is_told or f"looser seed 3, last epoch: {100 * ap(folder):.2f} here" in told[0]


def test_images_are_redrawn_only_where_all_runs_have_the_same(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    truth = read_json(copy / "runs/shapes/ciou/seed0/truth.json")
    truth["images"][0]["width"] += 1
    write_json(copy / "runs/shapes/ciou/seed0/truth.json", truth)
    monkeypatch.setattr(evaluation, "redraw", lambda *_: pytest.fail("nobody asks for it"))
    assert compared(report(copy), "closer")["seeds_and_images"] is None


def test_what_shows_the_pairs_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for data in ("a", "b"):
        write_study(tmp_path, {"ciou": 0.0, "closer": -0.05}, seeds=1, images=3, data=data)
    read: list[Path] = []

    def noted(file: Path) -> Any:
        read.append(file)
        return read_json(file)

    monkeypatch.setattr("yolo_wiou.compare.pairing.read_json", noted)
    report(tmp_path)
    assert read == [tmp_path / "proof" / "proof.json"]


def test_an_ap_of_exactly_nine_tenths_is_near(copy: Path) -> None:
    final = 0.103
    for place in copy.glob("runs/shapes/*/*"):
        rows = f"1,1,0.01,0.5\n2,2,{0.9 * final!r},0.5\n3,3,{final},0.5"
        (place / "train" / "results.csv").write_text(f"epoch, time, metrics/mAP50-95(B), wiou/iou\n{rows}")
    losses = report(copy)["data"]["shapes"]["losses"]
    assert losses["ciou"]["epochs_to_near"]["mean"] == 2.0


def test_pictures_are_those_that_differ_most(analysis: dict[str, Any]) -> None:
    pictures = compared(analysis, "looser")["pictures"]
    assert pictures
    assert min(picture["mean"] for picture in pictures) < -0.1
    assert all(0 <= picture["image"] < 12 and picture["seed"] in range(7) for picture in pictures)


def test_an_unfinished_study_tells_what_it_has(copy: Path) -> None:
    for seed in (5, 6):
        (copy / "runs/shapes/closer" / f"seed{seed}" / "result.json").unlink()
    (copy / "runs/shapes/closer/seed5/log.txt").write_text(
        "Traceback (most recent call last):\nRuntimeError: no memory\n"
    )
    shutil.rmtree(copy / "runs/shapes/same")
    Study(
        losses=dict.fromkeys(EFFECTS, "ciou"), data={"shapes": "shapes.yaml"}, seeds=tuple(range(7)), arguments={}
    ).save(copy)
    found = report(copy)
    closer, same = compared(found, "closer"), compared(found, "same")
    assert found["states"] == {"finished": 19, "failed": 2, "waiting": 7}
    assert (closer["seeds"], closer["verdict"]) == ([0, 1, 2, 3, 4], "too few seeds")  # two have failed
    assert closer["interval"] is None
    assert "5 of the 7 seeds" in closer["sentence"]
    assert (same["seeds"], same["p"], same["verdict"]) == ([], None, "not finished")
    assert compared(found, "looser")["p_holm"] == pytest.approx(3 * 2 / 128)  # what waits counts
    (warning,) = found["data"]["shapes"]["warnings"]
    assert warning == "Judged without closer seed 5, closer seed 6, which failed."
    failed = [run for run in found["data"]["shapes"]["runs"] if run["state"] == "failed"]
    assert "no memory" in failed[0]["failure"]
    assert "too few seeds" in table(findings(copy))


def test_while_seeds_wait_there_is_no_verdict(copy: Path) -> None:
    Study(
        losses=dict.fromkeys(EFFECTS, "ciou"), data={"shapes": "shapes.yaml"}, seeds=tuple(range(9)), arguments={}
    ).save(copy)
    looser = compared(report(copy), "looser")
    assert looser["p"] < 0.05 / 3
    assert looser["p_holm"] is None
    assert (looser["verdict"], looser["seeds_waiting"]) == ("not finished", [7, 8])
    assert "7 of 9 seeds so far" in looser["sentence"]


def test_what_is_not_finished_does_not_help_what_is(copy: Path) -> None:
    """Its p so far may be small, and Holm's correction of the others smaller for it."""
    (copy / "runs/shapes/looser/seed6/result.json").unlink()
    (copy / "runs/shapes/looser/seed6/run.json").unlink()
    Study(
        losses=dict.fromkeys(EFFECTS, "ciou"), data={"shapes": "shapes.yaml"}, seeds=tuple(range(7)), arguments={}
    ).save(copy)
    found = report(copy)
    assert compared(found, "looser")["p_holm"] is None
    same = compared(found, "same")
    assert same["p"] < 1
    assert same["p_holm"] == pytest.approx(min(1, 2 * same["p"]))  # as if the one under way ended at 1


def test_a_run_without_ap_is_left_out_and_named(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = iter([{"AP": None}])  # of the first run that is evaluated, ciou's
    monkeypatch.setattr(evaluation, "metrics_of", lambda e: metrics_of(e).model_copy(update=next(unknown, {})))
    found = report(copy)
    assert all(comparison["seeds"] == [1, 2, 3, 4, 5, 6] for comparison in found["data"]["shapes"]["comparisons"])
    assert any("No AP is known of ciou seed 0" in warning for warning in found["data"]["shapes"]["warnings"])


def test_where_no_ap_is_known_it_is_not_called_zero(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "metrics_of", lambda e: metrics_of(e).model_copy(update={"AP": None}))
    (warning,) = warnings(copy)
    assert warning.startswith("No AP is known of")


def test_a_study_without_a_finished_run(copy: Path) -> None:
    for file in copy.glob("runs/*/*/*/result.json"):
        file.unlink()
    found = report(copy)
    assert found["states"] == {"finished": 0, "failed": 28, "waiting": 0}
    assert json.dumps(found, allow_nan=False)
    assert "closer" in table(findings(copy))


def change(place: Path, **values: Any) -> None:
    write_json(place / "result.json", {**read_json(place / "result.json"), **values})


def warnings(folder: Path) -> list[str]:
    return list(report(folder)["data"]["shapes"]["warnings"])


def test_a_fair_study_has_no_warnings(analysis: dict[str, Any]) -> None:
    assert analysis["data"]["shapes"]["warnings"] == []


def test_unequal_streams_of_a_seed_are_told(copy: Path) -> None:
    change(copy / "runs/shapes/closer/seed3", stream=[7] * EPOCHS)
    (warning,) = warnings(copy)
    assert "did not see the same training data at seed 3" in warning


def test_equal_streams_of_two_seeds_are_told(copy: Path) -> None:
    for loss in EFFECTS:
        change(copy / f"runs/shapes/{loss}/seed1", stream=[1000 * 4 + i for i in range(EPOCHS)])
    found = warnings(copy)
    assert len(found) == len(EFFECTS)
    assert "Seeds 1 and 4 of ciou" in found[0]


def test_equal_streams_are_told_loss_by_loss(copy: Path) -> None:
    for loss in ("ciou", "closer"):
        for seed in (1, 2):
            stream = [1000 * (seed + 3) + i for i in range(EPOCHS)]
            change(copy / f"runs/shapes/{loss}/seed{seed}", stream=stream)
    as_trained = sorted(ended_runs(copy), key=lambda record: record.run.seed)
    found = analyse(as_trained, copy).data["shapes"].warnings
    whose = [
        warning.removesuffix(" saw the same stream of training data.") for warning in found if "same stream" in warning
    ]
    assert whose == [
        "Seeds 1 and 4 of ciou",
        "Seeds 2 and 5 of ciou",
        "Seeds 1 and 4 of closer",
        "Seeds 2 and 5 of closer",
    ]


def test_another_optimizer_and_another_ground_truth_are_told(copy: Path) -> None:
    change(copy / "runs/shapes/closer/seed0", optimizer={"name": "SGD", "lr": 0.01, "momentum": 0.9})
    truth = read_json(copy / "runs/shapes/same/seed2/truth.json")
    truth["annotations"][0]["bbox"][0] += 1
    write_json(copy / "runs/shapes/same/seed2/truth.json", truth)
    found = " ".join(warnings(copy))
    assert "optimizer" in found
    assert "closer seed 0: lr=0.01, momentum=0.9, name=SGD" in found
    assert "ground truth" in found


@pytest.mark.parametrize("names", [["disc", "square"], ["disc", "box", "star"], ["disc"]])
def test_classes_that_were_renamed_or_added_between_runs_are_told(names: list[str], tmp_path: Path) -> None:
    """As data.yaml may be edited before a study goes on: each class is compared where both runs have it."""
    write_study(tmp_path, {"ciou": 0.0, "closer": -0.05, "looser": 0.1}, seeds=2, images=3)
    for file in tmp_path.glob("runs/shapes/*/seed0/truth.json"):
        if "looser" not in file.parts:
            write_json(
                file, {**read_json(file), "categories": [{"id": i, "name": name} for i, name in enumerate(names)]}
            )
    found = findings(tmp_path)
    assert "ground truth" in " ".join(found.data["shapes"].warnings)
    closer = found.data["shapes"].comparisons[0].exploratory
    assert closer
    assert closer.by_class["disc"].mean is not None
    assert "disc" in page(found, ended_runs(tmp_path))


def crowded(folder: Path, objects: int, **arguments: Any) -> Findings:
    """A study whose first image holds that many objects of a class, and is detected as before."""
    write_study(folder, {"ciou": 0.0, "closer": -0.05}, seeds=2, images=3)
    for file in folder.glob("runs/*/*/*/truth.json"):
        truth = read_json(file)
        box = {**truth["annotations"][0], "image_id": 0, "category_id": 0}
        truth["annotations"] += [{**box, "id": 1000 + i} for i in range(objects)]
        write_json(file, truth)
    for file in folder.glob("runs/*/*/*/run.json"):
        run = read_json(file)
        write_json(file, {**run, "arguments": {**run["arguments"], **arguments}})
    return findings(folder)


def test_a_crowd_is_told(tmp_path: Path) -> None:
    data = crowded(tmp_path / "crowd", 130).data["shapes"]
    assert data.crowd is not None
    assert data.crowd >= 130
    said = f"up to {data.crowd} of a class in an image, where all detections count"
    assert said in table(findings(tmp_path / "crowd"))
    assert data.warnings == ()
    assert "crowd" not in crowded(tmp_path / "few", 9).data["shapes"].plain()


def test_rotated_boxes_are_called_so(tmp_path: Path) -> None:
    write_study(tmp_path, {"ciou": 0.0, "closer": -0.05}, seeds=2, images=3)

    def turn(angle: float) -> Findings:
        for file in tmp_path.glob("runs/*/*/*/truth.json"):
            truth = read_json(file)
            write_json(file, {**truth, "annotations": [{**a, "angle": angle} for a in truth["annotations"]]})
        return findings(tmp_path)

    for checkpoint in tmp_path.glob("runs/*/*/*/detections-*.npz"):
        rows = np.load(checkpoint)["detections"]
        np.savez(checkpoint, detections=np.insert(rows, 7, 0.1, axis=1))
        write_json(checkpoint.with_name("ultralytics-last.json"), {"metrics/mAP50-95(B)": 0.99})  # by ProbIoU
    alike, turned = turn(0.1), turn(1.6)
    assert alike.data["shapes"].warnings == ()
    assert "rotated objects" in table(alike)
    assert "rotate(5.7 " in page(alike, ended_runs(tmp_path))
    before, after = (found.data["shapes"].runs[0].metrics["last"].AP for found in (alike, turned))
    assert before is not None
    assert after is not None
    assert after < before
    assert turned.data["shapes"].fingerprint.truth != alike.data["shapes"].fingerprint.truth


def test_detections_that_are_too_few_for_the_objects_are_told(tmp_path: Path) -> None:
    (warning,) = crowded(tmp_path, 130, max_det=50).data["shapes"].warnings
    assert re.match(r"max_det=50 keeps fewer detections of an image than the 13\d objects that one holds", warning)


def test_how_hard_a_loss_pulls_is_the_mean_of_the_runs_to_the_baselines(copy: Path) -> None:
    for file in copy.glob("runs/shapes/*/*/train/results.csv"):
        ratios = (3.0, 1.0) if "closer" in file.parts else (0.5, 1.5)
        rows = [f"{i},{i},0.3,{ratio}" for i, ratio in enumerate(ratios, 1)]
        file.write_text("\n".join(["epoch,time,metrics/mAP50-95(B),wiou/gradient_ratio", *rows]))
    found = report(copy)
    assert compared(found, "closer")["pull"] == 2
    assert compared(found, "same")["pull"] == 1
    assert "pulls 2 times as hard" in compared(found, "closer")["sentence"]
    assert "times as hard" not in compared(found, "same")["sentence"]
    assert found["data"]["shapes"]["losses"]["closer"]["gradient_ratio"] == {"mean": 2.0, "sd": 0.0, "n": 7}


def test_another_baseline(folder: Path) -> None:
    found = analyse(ended_runs(folder), folder, baseline="looser").plain()
    assert compared(found, "ciou")["verdict"] == "better"
    with pytest.raises(ConfigError, match="closer"):
        analyse(ended_runs(folder), folder, baseline="siou")


def test_a_folder_without_a_study(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no runs"):
        report(tmp_path)


def test_several_data_sets_are_judged_apart(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "runs", tmp_path / "runs")
    write_study(tmp_path, {"ciou": 0.0, "closer": 0.1}, seeds=6, data="others")
    found = report(tmp_path)
    assert compared(found, "closer", "others")["verdict"] == "worse"
    assert compared(found, "closer", "others")["p_holm"] == 2 / 64  # one loss there
    assert compared(found, "closer")["verdict"] == "better"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device": "cuda:0"}, "the same machine (most: None, cpu); closer seed 1: None, cuda:0."),
        ({"provenance": {"commit": "abc"}}, "the same commit of this package (most: None); closer seed 1: abc."),
    ],
)
def test_runs_that_were_trained_otherwise_are_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    file = write_study(tmp_path, {"ciou": 0.0, "closer": -0.05}, seeds=2) / "runs/shapes/closer/seed1/result.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    assert any(message in warning for warning in warnings(tmp_path))


def test_a_study_of_which_every_run_failed_has_a_report_too(tmp_path: Path) -> None:
    write_study(tmp_path, {"ciou": 0.0, "closer": -0.05}, seeds=2)
    for result in tmp_path.glob("runs/*/*/*/result.json"):
        result.unlink()
    found = report(tmp_path)
    assert found["states"] == {"finished": 0, "failed": 4, "waiting": 0}
    assert compared(found, "closer")["sentence"] == "No AP is known of closer and ciou under one seed."
    assert "seed0" in page(findings(tmp_path), ended_runs(tmp_path))


def test_a_study_in_which_nothing_is_detected_says_so(tmp_path: Path) -> None:
    folder = write_study(tmp_path, {"ciou": 20.0, "other": 20.0}, seeds=2)
    assert any("No loss detects anything yet" in warning for warning in warnings(folder))
