"""The report: one file, complete without a network, that works in a browser."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.browser import CHROMIUM, QUIET
from helpers.synthetic import write_study
from jinja2.filters import FILTERS

from yolo_wiou.compare.analysis import analyse
from yolo_wiou.compare.findings import Findings
from yolo_wiou.compare.report import html
from yolo_wiou.compare.report.html import environment, table_of_runs, write_report
from yolo_wiou.compare.report.html import page as html_page
from yolo_wiou.compare.run import ended_runs


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Findings]:
    folder = write_study(tmp_path_factory.mktemp("study"), {"ciou": 0.0, "closer": -0.05, "same": 0.0}, seeds=7)
    write_study(folder, {"ciou": 0.0, "closer": 0.0}, seeds=2, data="others")
    shutil.rmtree(folder / "images" / "others")  # pictures that are gone are left out
    return folder, analyse(ended_runs(folder), folder)


@pytest.fixture(scope="module")
def report(study: tuple[Path, Findings]) -> Path:
    return write_report(*study, ended_runs(study[0]))


def without_library(page: str) -> str:
    """The page without plotly's library."""
    return re.sub(r"<script>.{1000000,}?</script>", "", page, flags=re.S)


def page_of(folder: Path) -> str:
    """The report of a study's folder."""
    records = ended_runs(folder)
    return without_library(html_page(analyse(records, folder), records))


def own(report: Path) -> str:
    return without_library(report.read_text(encoding="utf-8"))


def test_it_loads_nothing(report: Path) -> None:
    page = report.read_text(encoding="utf-8")
    assert "Plotly.newPlot" in page
    assert len(page) - len(own(report)) > 1_000_000  # the library is in it
    loaded = re.findall(r"(?:src|href)\s*=\s*[\"']?([^\"'> ]+)", own(report))
    assert loaded
    assert all(target.startswith(("#", "data:")) for target in loaded)
    assert "@import" not in own(report)
    assert not re.search(r"<(link|iframe)\b", own(report))


def test_it_says_what_was_found(study: tuple[Path, Findings], report: Path) -> None:
    page = own(report)
    for data in study[1].data.values():
        for comparison in data.comparisons:
            assert comparison.sentence in page
    verdicts = page.index('id="verdicts"')
    assert verdicts < page.index("closer is better than ciou") < page.index("<h2>")
    assert page.count("data:image/jpeg;base64,") >= 2
    assert "Before you trust this" not in page


def test_it_warns_loudly(study: tuple[Path, Findings], tmp_path: Path) -> None:
    warned = study[1].data["shapes"].model_copy(update={"warnings": ("The <losses> differ.",), "comparisons": ()})
    findings = study[1].model_copy(update={"data": {"shapes": warned}})
    page = without_library(html_page(findings, []))
    assert "Before you trust this" in page
    assert "The &lt;losses&gt; differ." in page
    assert page.index("The &lt;losses") < page.index('id="verdicts"')


def test_a_study_without_a_finished_run_has_a_report(study: tuple[Path, Findings], tmp_path: Path) -> None:
    shutil.copytree(study[0] / "runs", tmp_path / "runs")
    for file in tmp_path.glob("runs/*/*/*/result.json"):
        file.unlink()
    assert "failed" in without_library(html_page(analyse(records := ended_runs(tmp_path), tmp_path), records))


def test_every_run_is_a_row(study: tuple[Path, Findings]) -> None:
    rows = list(csv.DictReader(table_of_runs(study[1]).splitlines()))
    assert len(rows) == 2 * (3 * 7 + 2 * 2)
    first = study[1].data["shapes"].runs[0]
    row = next(row for row in rows if row["data"] == "shapes")
    assert float(row["AP"]) == first.metrics["last"].AP
    assert (row["loss"], row["seed"], row["checkpoint"]) == ("ciou", "0", "last")
    assert row["AP_large"] == ""


@pytest.mark.parametrize("loss", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", "\tx"])
def test_no_name_is_a_formula_in_a_spreadsheet(loss: str, study: tuple[Path, Findings]) -> None:
    named = study[1].data["shapes"].runs[0].model_copy(update={"loss": loss, "data": loss})
    data = study[1].data["shapes"].model_copy(update={"runs": (named,)})
    row, *_ = csv.DictReader(table_of_runs(study[1].model_copy(update={"data": {"shapes": data}})).splitlines())
    assert (row["loss"], row["data"]) == (f"'{loss}", f"'{loss}")


def test_figures_and_runs_are_written_whatever_becomes_of_the_page(
    study: tuple[Path, Findings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> str:
        raise RuntimeError("no memory for pictures")

    monkeypatch.setattr("yolo_wiou.compare.report.html.page", fail)
    with pytest.raises(RuntimeError, match="no memory"):
        write_report(tmp_path, study[1], [])
    assert {file.name for file in tmp_path.iterdir()} == {"report.json", "runs.csv"}


def test_the_template_has_the_filters_that_it_uses_and_no_others() -> None:
    source = Path(html.__file__).with_name(html.TEMPLATE).read_text(encoding="utf-8")
    own = {name for name, function in environment().filters.items() if FILTERS.get(name) is not function}
    assert own == set(html.FILTERS)
    assert all(re.search(rf"\| *{name}\b", source) for name in html.FILTERS)


def test_where_no_image_is_shown_it_says_why(study: tuple[Path, Findings], tmp_path: Path) -> None:
    """Of `others` the files are gone; here nothing is detected with confidence; and four losses are too many."""
    assert "No images of closer: their files are no longer where they were." in page_of(study[0])
    faint = write_study(tmp_path / "faint", {"ciou": 0.0, "closer": -0.05}, seeds=2)
    for file in faint.glob("runs/*/*/*/detections-last.npz"):
        rows = np.load(file)["detections"]
        rows[:, 5] *= 0.2
        np.savez(file, detections=rows)
    page = page_of(faint)
    assert "No images of closer: no image differs in what is detected with a confidence of 0.25 or more" in page
    assert "data:image/jpeg" not in page
    many = {"ciou": 0.0, "a": 0.1, "b": 0.2, "c": 0.3, "d": 0.01}
    crowd = page_of(write_study(tmp_path / "many", many, seeds=2))
    assert "No images of d: they are shown of the 3 losses that differ most." in crowd


@pytest.fixture(params=[1280, 390])
def page(report: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The report in a browser without a network, as wide as a desk's or a phone's; it must raise no error."""
    from playwright.sync_api import sync_playwright

    if not CHROMIUM:
        pytest.skip("no Chromium here")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        page = browser.new_context(viewport={"width": request.param, "height": 900}, offline=True).new_page()
        trouble: list[str] = []
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("request", lambda asked: trouble.append(asked.url) if asked.url.startswith("http") else None)
        page.goto(report.as_uri())
        page.wait_for_function("document.querySelectorAll('.plotly-graph-div .main-svg').length > 10")
        yield page
        assert trouble == []
        browser.close()


@pytest.mark.needs("playwright")
def test_a_reader_can_look_around(page: Any) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")  # nothing sticks out
    assert "closer is better than ciou" in page.locator("#verdicts .verdict.better").inner_text()
    runs = page.locator("details", has=page.get_by_text("All runs", exact=True)).first
    assert not runs.locator("table.runs").is_visible()
    runs.locator("summary").click()
    assert runs.locator("table.runs").is_visible()


@pytest.mark.needs("playwright")
def test_a_legend_switches_a_loss_off_and_on(page: Any) -> None:
    figure = page.locator(".grid .plotly-graph-div").first
    hidden = "figure => figure.data.filter(trace => trace.visible === 'legendonly').length"
    toggle = figure.locator(".legendtoggle").first
    assert figure.evaluate(hidden) == 0
    toggle.click(delay=20)
    page.wait_for_function(f"figure => ({hidden})(figure) > 0", arg=figure.element_handle())
    page.wait_for_timeout(400)  # two clicks in quick succession would be a double click
    toggle.click(delay=20)
    page.wait_for_function(f"figure => ({hidden})(figure) === 0", arg=figure.element_handle())


@pytest.mark.needs("playwright")
def test_a_picture_shows_both_losses(page: Any) -> None:
    pair = page.locator("details[open] .pair").first
    boxes = pair.locator("svg")
    assert boxes.count() == 2
    for i in range(2):
        size = boxes.nth(i).bounding_box()
        assert size["width"] > 100
        assert size["height"] > 50
    assert pair.locator("rect.truth").count() >= 2
