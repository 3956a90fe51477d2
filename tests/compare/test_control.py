"""Controls: which losses get one, when, how heavy; that it stays what it was; and what a report says of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers.running import ROOT
from helpers.synthetic import write_study

from yolo_wiou.compare.analysis import analyse
from yolo_wiou.compare.control import CONTROLS, Control, ControlPlan, carrier_of, read_controls
from yolo_wiou.compare.findings import DataFindings, Findings
from yolo_wiou.compare.report.html import page, table_of_runs
from yolo_wiou.compare.report.text import table
from yolo_wiou.compare.run import Record, ended_runs
from yolo_wiou.compare.run_study import run_study
from yolo_wiou.compare.runner import LocalJob
from yolo_wiou.compare.study import Study
from yolo_wiou.errors import ConfigError
from yolo_wiou.files import write_json
from yolo_wiou.losses.config import LossConfig
from yolo_wiou.losses.presets import load_config
from yolo_wiou.training.families import DetectionTrainer, OBBTrainer

HELPERS = Path(__file__).parents[1] / "helpers"
HEAVY = {"penalty": "ciou", "gain": {"name": "constant", "weight": 2.0}}
LOSSES = {"ciou": "ciou", "wiou3": "wiou3", "eiou": "eiou", "twice": HEAVY}
STUDY = Study(losses=LOSSES, data={"a": "/a.yaml"}, seeds=(0, 1), arguments={"model": "yolo11n.yaml"})
RATIOS = {"ciou": 1, "wiou3": 1.2341, "eiou": 1.0, "twice": 2.0}
AUTO = ControlPlan(load_config("ciou", {"gain.name": "constant"}))
BESIDE_WIOU3 = "ciou as heavy as wiou3"


def fake(folder: Path) -> LocalJob:
    """A runner whose processes do not train."""
    return LocalJob(folder, "fake_worker")


@pytest.fixture(autouse=True)
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (ROOT, HELPERS))))
    monkeypatch.setenv("RATIOS", json.dumps(RATIOS))
    monkeypatch.setattr("yolo_wiou.compare.run_study.check_pairing", lambda *_: {})


def finished(folder: Path) -> list[Record]:
    """The finished runs of controls."""
    return [r for r in STUDY.records(folder) if r.state == "finished" and r.run.loss not in LOSSES]


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_loss_that_is_heavier_is_followed_by_a_control_seed_by_seed(
    jobs: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not one as heavy as the baseline, nor one that is such a control already."""
    assert run_study(STUDY, tmp_path, fake, jobs, AUTO) == 0
    assert [(r.run.loss, r.run.seed) for r in finished(tmp_path)] == [(BESIDE_WIOU3, seed) for seed in (0, 1)]
    (control,) = read_controls(tmp_path)
    assert (control.data, control.loss, control.weight) == ("a", "wiou3", 1.234)
    for record in finished(tmp_path):
        assert record.run.config == load_config("ciou", {"gain.name": "constant", "gain.weight": 1.234})
        assert record.run.arguments == STUDY.runs()[0].arguments
    said = capsys.readouterr().err
    assert f"1 control beside the losses, under the same seeds: {BESIDE_WIOU3} (a constant gain of 1.23, a)" in said
    assert f"10/10 a, {BESIDE_WIOU3}, seed " in said


def test_all_of_them_where_that_is_asked_and_none_where_no_plan_is(tmp_path: Path) -> None:
    assert run_study(STUDY, tmp_path / "none", fake, 2) == 0
    assert not (tmp_path / "none" / CONTROLS).exists()
    always = ControlPlan(AUTO.carrier, always=True)
    assert run_study(STUDY, tmp_path / "all", fake, 3, always) == 0
    assert [control.loss for control in read_controls(tmp_path / "all")] == ["wiou3", "eiou"]


def test_the_same_command_goes_on_and_a_weight_stays_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A control that failed is tried again; a loss whose runs come out otherwise later has the same one."""
    monkeypatch.setenv("FAIL", BESIDE_WIOU3)
    STUDY.save(tmp_path)
    assert run_study(STUDY, tmp_path, fake, 2, AUTO) == 1
    assert finished(tmp_path) == []
    assert "2 of 10 runs failed" in capsys.readouterr().err
    before = (tmp_path / CONTROLS).read_bytes()

    monkeypatch.setenv("FAIL", "")
    monkeypatch.setenv("RATIOS", json.dumps({**RATIOS, "wiou3": 7}))
    (STUDY.runs()[1].folder(tmp_path) / "truth.json").write_text("{")  # damaged: it is trained again
    with STUDY.claim(tmp_path):
        assert run_study(STUDY, tmp_path, fake, 2) == 0  # also where no new one is wanted
    assert "8 runs: 4 losses" in (said := capsys.readouterr().err)
    assert "Beside them 2 runs of controls." in said
    assert "Finished: 7." in said
    assert (tmp_path / CONTROLS).read_bytes() == before
    assert [r.run.spec["gain"]["weight"] for r in finished(tmp_path)] == [1.234] * 2  # type: ignore[index]


def test_data_sets_have_weights_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a gain that weighs the distance term too has a control that does."""
    losses = {"ciou": "ciou", "wiou3": load_config("wiou3", {"gain.dfl": True})}
    study = Study(losses=losses, data={"a": "/a.yaml", "b": "/b.yaml"}, seeds=(0,), arguments=STUDY.arguments)
    monkeypatch.setenv("RATIOS", json.dumps({"ciou": 1, "wiou3": 1.5, "b": {"wiou3": 0.7}}))
    assert run_study(study, tmp_path, fake, 2, AUTO) == 0
    findings = analyse(study.records(tmp_path), tmp_path, study.baseline, study.arguments)
    (on_a,), (on_b,) = (findings.data[data].comparisons for data in "ab")
    assert on_a.control
    assert on_b.control
    assert (on_a.control.weight, on_b.control.weight) == (1.5, 0.7)
    specs = {r.run.data: r.run.config for r in study.records(tmp_path) if r.run.loss == BESIDE_WIOU3}
    for data, weight in {"a": 1.5, "b": 0.7}.items():
        constant = {"gain.name": "constant", "gain.weight": weight, "gain.dfl": True}
        assert specs[data] == load_config("ciou", constant)


def test_what_nobody_can_know_has_no_control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that wrote no ratio down, and one that no constant gain reaches."""
    monkeypatch.setenv("RATIOS", json.dumps({"ciou": 1, "wiou3": 40}))
    assert run_study(STUDY, tmp_path, fake, 3, ControlPlan(AUTO.carrier, always=True)) == 0
    assert read_controls(tmp_path) == []


@pytest.mark.parametrize("text", ["", "{}", '{"controls": [{"name": "c"}]}'])
def test_a_damaged_list_of_controls_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / CONTROLS).write_text(text)
    with pytest.raises(ConfigError, match=r"controls.json' is damaged. Remove it and the runs of controls, .*/runs/"):
        STUDY.records(tmp_path)


def test_a_study_that_has_not_begun_forgets_another_s_controls(tmp_path: Path) -> None:
    STUDY.save(tmp_path)
    write_json(tmp_path / CONTROLS, {"controls": []})
    with STUDY.claim(tmp_path):
        assert not (tmp_path / CONTROLS).exists()


def test_what_carries_the_weight() -> None:
    """The baseline's formula and switches; of rotated boxes, which have no CIoU, the overlap alone, as stock has it."""
    upright, rotated = DetectionTrainer.takes, OBBTrainer.takes
    heavy = load_config("ciou", {"gain.name": "constant"})

    def carrier(baseline: Any, takes: Callable[[LossConfig], bool]) -> LossConfig:
        found = carrier_of(load_config(baseline), takes)
        assert found
        return found

    for baseline in ("ciou", HEAVY):
        assert carrier(baseline, upright).differs_in_name_alone(
            heavy.model_copy(update={"gain": load_config(baseline, {"gain.name": "constant"}).gain})
        )
    assert carrier("siou", upright).penalty.name == "siou"
    assert carrier("iou-balanced-cls", upright).cls_weighting.name == "iou-balanced"
    assert carrier("ciou", rotated).penalty.name == "none"
    assert carrier("diou", rotated).penalty.name == "diou"
    assert carrier_of(load_config("wiou3"), upright) is None


# ---- what a report says ------------------------------------------------------------------------------------------

WEIGHTS = {"closer": 1.66, "heavier": 2.0}


def with_controls(folder: Path, effects: dict[str, float], seeds: int = 7) -> Findings:
    """What is found in a study whose controls are written too, by how much looser their boxes are."""
    write_study(folder, effects, seeds=seeds)
    controls = [
        Control(name=f"ciou as heavy as {loss}", data="shapes", loss=loss, weight=weight, spec=HEAVY)
        for loss, weight in WEIGHTS.items()
    ]
    write_json(folder / CONTROLS, {"controls": [control.plain() for control in controls]})
    return analyse(ended_runs(folder), folder)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Findings]:
    """Two losses win as much: the one by its shape, the other no more than its control."""
    effects = {"ciou": 0.0, "closer": -0.05, "heavier": -0.05}
    controls = {"ciou as heavy as closer": 0.0, "ciou as heavy as heavier": -0.05}
    folder = tmp_path_factory.mktemp("study")
    return folder, with_controls(folder, {**effects, **controls})


def shapes(findings: Findings) -> DataFindings:
    return findings.data["shapes"]


def test_a_control_is_no_candidate(found: tuple[Path, Findings], tmp_path: Path) -> None:
    """The verdicts on losses are what they are without it."""
    without = analyse(
        ended_runs(write_study(tmp_path, {"ciou": 0.0, "closer": -0.05, "heavier": -0.05}, seeds=7)), tmp_path
    )
    assert found[1].losses == without.losses == ("ciou", "closer", "heavier")
    for ours, theirs in zip(shapes(found[1]).comparisons, shapes(without).comparisons, strict=True):
        assert ours.verdict == theirs.verdict == "better"
        assert ours.seeds_needed == theirs.seeds_needed == 7
        assert ours.p_holm == theirs.p_holm
        assert "control" not in theirs.plain()


def test_each_is_better_than_an_equally_heavy_baseline_or_not(found: tuple[Path, Findings]) -> None:
    closer, heavier = shapes(found[1]).comparisons
    assert closer.control
    assert heavier.control
    assert (closer.control.weight, heavier.control.weight) == (1.66, 2.0)
    assert closer.control.comparison.verdict == "better"
    assert heavier.control.comparison.verdict == "no detectable difference"
    assert closer.control.comparison.p_holm == pytest.approx(2 * 2 / 2**7)  # of two losses that have a control
    assert "closer is better than ciou by" in closer.sentence
    assert "closer is better than an equally heavy ciou (a constant gain of 1.66) by" in closer.sentence
    assert closer.sentence.endswith("So it is more than weight.")
    assert "heavier is better than ciou by" in heavier.sentence
    assert (
        "No detectable difference between heavier and an equally heavy ciou (a constant gain of 2):" in heavier.sentence
    )
    assert heavier.sentence.endswith("So what it won may be weight.")


def test_it_stands_in_terminal_page_and_tables(found: tuple[Path, Findings]) -> None:
    folder, findings = found
    lines = table(findings).splitlines()
    rows = {line.split("  ")[0]: line for line in lines[2:7]}
    assert list(rows) == ["ciou", "closer", "- against ciou x 1.66", "heavier", "- against ciou x 2"]
    assert rows["- against ciou x 1.66"].endswith("better")
    html = page(findings, ended_runs(folder))
    assert all(c.sentence in html for c in shapes(findings).comparisons)
    assert "<td>- against ciou x 1.66</td>" in html
    assert table_of_runs(findings).count("ciou as heavy as closer") == 7 * 2
    plain: dict[str, Any] = findings.plain()["data"]["shapes"]["comparisons"][0]["control"]
    assert (plain["name"], plain["weight"]) == ("ciou as heavy as closer", 1.66)
    assert Findings.model_validate(findings.plain()) == findings


def test_there_is_no_verdict_while_a_control_s_runs_wait(found: tuple[Path, Findings]) -> None:
    folder, findings = found
    records: Sequence[Record] = [
        Record(record.run, folder / "nowhere")
        if (record.run.loss, record.run.seed) == ("ciou as heavy as closer", 3)
        else record
        for record in ended_runs(folder)
    ]
    closer, heavier = shapes(analyse(records, folder, "ciou")).comparisons
    assert closer.verdict == "better"
    assert closer.control
    assert closer.control.comparison.verdict == "not finished"
    assert "closer against an equally heavy ciou (a constant gain of 1.66) is not finished" in closer.sentence
    assert heavier.p_holm == shapes(findings).comparisons[1].p_holm
