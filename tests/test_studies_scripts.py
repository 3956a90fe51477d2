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


@pytest.mark.parametrize(("words", "expected"), [((), ("d", 1)), (("o", "jobs=2"), ("o", 2)), (("jobs=3",), ("d", 3))])
def test_the_command_line(words, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert questions.parse(words, "d") == (tmp_path / expected[0], expected[1])


def test_the_page_and_readme_s_table_are_the_data_s():
    import study_page
    import study_tables

    assert study_page.PAGE.read_text(encoding="utf-8") == study_page.page()
    noise, bccd = (study_page.read_json(study_page.OUT / f"{name}.json") for name in ("noise", "bccd"))
    readme = (study_page.PAGE.parents[1] / "README.md").read_text(encoding="utf-8")
    assert study_tables.in_short(noise, ("wise", "falling"), "jitter40") in readme
    assert study_tables.in_short(bccd, ("wise",), "jitter30") in readme
