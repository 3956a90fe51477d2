"""The scripts behind docs/study.md: studies that share runs, and a page that is its data's."""

from __future__ import annotations

import csv

import pytest
import questions
import study_bccd
import study_noise
import study_page
import study_results
import study_tables
from studies.synthetic import write_study

from yolo_wiou.compare.average_precision import measure
from yolo_wiou.compare.run import RESULT, Run
from yolo_wiou.compare.study import Study


def study(**changes) -> Study:
    arguments = {"model": "yolo11n.yaml", "epochs": 1, **changes}
    return Study(losses={"ciou": "ciou", "wiou3": "wiou3"}, data={"a": "a.yaml"}, seeds=(0, 1), arguments=arguments)


def finish(run: Run, folder) -> None:
    run.folder(folder).mkdir(parents=True)
    run.save(run.folder(folder))
    (run.folder(folder) / RESULT).write_text("{}")


def test_a_study_takes_over_what_another_has_finished_and_nothing_else(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    first, second, third, fourth = study().runs()
    finish(first, one)
    finish(study(epochs=2).runs()[1], one)  # of the same name, trained in another way
    questions.adopt(study(), other, [one])
    assert [run.is_finished(other) for run in (first, second, third, fourth)] == [True, False, False, False]
    assert first.folder(other).resolve() == first.folder(one)


def test_a_link_to_a_study_that_is_gone_is_no_run(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    run = study().runs()[0]
    finish(run, one)
    questions.adopt(study(), other, [one])
    (one / "runs").rename(tmp_path / "gone")
    questions.adopt(study(), other, [one])
    assert not run.folder(other).is_symlink()


def plan(out) -> dict[str, Study]:
    return {"first": study(), "second": study(epochs=2)}


@pytest.mark.parametrize(
    ("words", "out", "jobs", "only"),
    [
        ((), "d", 1, ["first", "second"]),
        (("o", "jobs=2"), "o", 2, ["first", "second"]),
        (("only=second,first", "jobs=3"), "d", 3, ["second", "first"]),
    ],
)
def test_the_command_line(words, out, jobs, only, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    request = questions.parse(words, "d", plan)
    assert (request.out, request.jobs, request.only) == (tmp_path / out, jobs, only)


@pytest.mark.parametrize(
    ("word", "message"), [("only=secnd", "second"), ("jobs=0", "'jobs'"), ("jbos=2", "jobs"), ("b", "one folder")]
)
def test_a_mistake_ends_in_one_message(word, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        questions.parse(["a", word], "d", plan)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_plans_of_both_studies_name_their_losses_and_write_nothing(tmp_path):
    for name, script in (("noise", study_noise), ("bccd", study_bccd)):
        studies = script.questions(tmp_path)
        assert set(study_page.TITLES[name]) <= set(studies)
        assert all(study.baseline == "ciou" for study in studies.values())
    assert not list(tmp_path.iterdir())


def write_runs(file, **aps) -> None:
    """Runs of some losses on data set "a", AP by seed."""
    blank = dict.fromkeys((*study_results.FIGURES, *study_results.SIZES, *study_results.LOGGED), "1")
    rows = [
        {"data": "a", "loss": loss, "seed": seed, "checkpoint": "last", **blank, "AP": ap}
        for loss, each in aps.items()
        for seed, ap in enumerate(each)
    ]
    with file.open("w", newline="") as text:
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_a_part_of_a_study_leaves_the_other_runs_as_they_are(tmp_path, monkeypatch):
    new = [
        {"data": "a", "loss": "ciou", "seed": "1", "checkpoint": "last", "AP": "0.600001", "commit": "c"},
        {"data": "a", "loss": "ciou", "seed": "10", "checkpoint": "last", "AP": "0.8", "commit": "c"},
    ]
    monkeypatch.setattr(study_results, "OUT", tmp_path)
    monkeypatch.setattr(study_results, "rows_of", lambda folder: new)
    write_runs(tmp_path / "noise.csv", ciou=[0.5, 0.6], wiou3=[0.4])
    study_results.publish("noise", tmp_path)
    found = study_results.read_rows(tmp_path / "noise.csv")
    assert [(row["loss"], row["seed"], row["AP"], row["commit"]) for row in found] == [
        ("ciou", "0", "0.5", ""),
        ("ciou", "1", "0.600001", "c"),
        ("ciou", "10", "0.8", "c"),
        ("wiou3", "0", "0.4", ""),
    ]


def test_runs_that_come_out_otherwise_are_not_mixed_with_the_published(tmp_path, monkeypatch):
    monkeypatch.setattr(study_results, "OUT", tmp_path)
    again = [{"data": "a", "loss": "ciou", "seed": "1", "checkpoint": "last", "AP": "0.601"}]
    monkeypatch.setattr(study_results, "rows_of", lambda folder: again)
    write_runs(tmp_path / "noise.csv", ciou=[0.5, 0.6])
    before = (tmp_path / "noise.csv").read_bytes()
    with pytest.raises(SystemExit, match=r"a, ciou, 1, last: AP 0\.6 as published and 0\.601 now"):
        study_results.publish("noise", tmp_path)
    assert (tmp_path / "noise.csv").read_bytes() == before


def test_every_finished_run_of_every_question_is_published(tmp_path):
    write_study(tmp_path / "wise", {"ciou": 0.0, "wiou3": -0.05}, seeds=2, images=4)
    rows = list(study_results.rows_of(tmp_path))
    assert [(row["loss"], row["seed"], row["checkpoint"]) for row in rows] == [
        (loss, seed, checkpoint) for loss in ("ciou", "wiou3") for seed in "01" for checkpoint in ("last", "best")
    ]
    measured = measure(tmp_path / "wise" / "runs" / "shapes" / "wiou3" / "seed1", "last")
    assert float(rows[6]["AP"]) == pytest.approx(measured["AP"], abs=1e-6)
    assert (rows[6]["IoU"], rows[6]["running mean"], rows[6]["gain"]) == ("0.77962", "0.3", "1")
    assert rows[6]["AP_large"] == "" == rows[6]["commit"]


def test_results_are_judged_as_compare_judges_them(tmp_path):
    write_runs(tmp_path / "runs.csv", ciou=[0.5] * 6, wiou3=[0.51, 0.52, 0.53, 0.54, 0.55, 0.56])
    results = study_results.Results(tmp_path / "runs.csv")
    whole = study().model_copy(update={"seeds": tuple(range(6))})
    (better,) = results.compare(whole, "a")
    assert better["mean"] == pytest.approx(0.035)
    assert (better["p"], better["p_holm"], better["verdict"]) == (2 / 64, 2 / 64, "better")
    (unfinished,) = results.compare(whole.model_copy(update={"seeds": tuple(range(7))}), "a")
    assert (unfinished["verdict"], unfinished["seeds_waiting"]) == ("not finished", [6])


def test_the_page_and_readme_s_table_are_the_data_s():
    assert study_page.PAGE.read_text(encoding="utf-8") == study_page.page()
    readme = (study_page.PAGE.parents[1] / "README.md").read_text(encoding="utf-8")
    asked = (("noise", ("confirmed", "falling", "wise"), "jitter40"), ("bccd", ("wise", "balanced"), "jitter30"))
    for name, questions_, data in asked:
        results, plan = study_results.Results(study_results.OUT / f"{name}.csv"), study_page.PLANS[name]
        assert study_tables.in_short(results, [plan[question] for question in questions_], data) in readme


@pytest.mark.parametrize("name", ["noise", "bccd"])
def test_published_pairs_saw_the_same_data(name):
    streams: dict[tuple[str, str], set[str]] = {}
    for row in study_results.read_rows(study_results.OUT / f"{name}.csv"):
        if row["stream"]:  # the first rows have none
            streams.setdefault((row["data"], row["seed"]), set()).add(row["stream"])
    assert streams
    assert all(len(each) == 1 for each in streams.values())
    assert len(set.union(*streams.values())) == len(streams)
