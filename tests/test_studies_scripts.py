"""The scripts behind docs/study.md: studies that share runs, and a page that is its data's."""

from __future__ import annotations

import pytest
import questions

from yolo_wiou.studies.compare.plan import Study
from yolo_wiou.studies.compare.run import RESULT, Run


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
    import study_bccd
    import study_noise
    import study_page

    for name, script in (("noise", study_noise), ("bccd", study_bccd)):
        studies = script.questions(tmp_path)
        assert set(study_page.QUESTIONS[name]) <= set(studies)
        assert all(study.baseline == "ciou" for study in studies.values())
    assert not list(tmp_path.iterdir())


def test_a_part_of_a_study_leaves_the_others_as_they_are(tmp_path, monkeypatch):
    import study_page

    def collected(question, ap):
        return {question: {"data": {}}}, [{"data": "a", "loss": "ciou", "seed": 0, "checkpoint": "last", "AP": ap}]

    monkeypatch.setattr(study_page, "OUT", tmp_path)
    monkeypatch.setattr(study_page, "collect", lambda folder: folder)
    study_page.write("noise", collected("first", "0.5"))
    rows = [
        {"data": "a", "loss": "ciou", "seed": seed, "checkpoint": "last", "AP": "0.6", "gain": "1"} for seed in (0, 1)
    ]
    study_page.write("noise", ({"second": {"data": {}}}, rows))
    assert list(study_page.read_json(tmp_path / "noise.json")) == ["first", "second"]
    found = study_page.read_runs(tmp_path / "noise.csv")
    assert [(row["seed"], row["AP"], row["gain"]) for row in found] == [("0", "0.6", "1"), ("1", "0.6", "1")]


def test_the_page_and_readme_s_table_are_the_data_s():
    import study_page
    import study_tables

    assert study_page.PAGE.read_text(encoding="utf-8") == study_page.page()
    noise, bccd = (study_page.read_json(study_page.OUT / f"{name}.json") for name in ("noise", "bccd"))
    readme = (study_page.PAGE.parents[1] / "README.md").read_text(encoding="utf-8")
    assert study_tables.in_short(noise, ("wise", "falling"), "jitter40") in readme
    assert study_tables.in_short(bccd, ("wise",), "jitter30") in readme
