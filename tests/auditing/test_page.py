"""The page: one file without a network, in which findings are looked at and decided."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.audits import a_report
from helpers.browser import CHROMIUM, QUIET

from yolo_wiou.auditing import gallery
from yolo_wiou.auditing.decisions import Decisions
from yolo_wiou.auditing.overlap import corners
from yolo_wiou.auditing.page import write_page


@pytest.fixture(scope="module")
def page(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(a_report(shapes), tmp_path_factory.mktemp("page"))


def test_it_loads_nothing_and_escapes_what_it_quotes(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    loaded = re.findall(r"(?:src|href)\s*=\s*[\"']([^\"'> ]+)", text)
    assert len(loaded) == 7
    assert all(target.startswith("data:image/jpeg;base64,") for target in loaded)
    assert not re.search(r"<(link|iframe)\b|@import|url\(", text)
    assert "<b>" not in text
    assert "The model &lt;finds&gt; little." in text
    assert "5 of 6 labels are flagged (2 loose, 1 shifted, 1 class, 1 spurious)" in text


def test_an_image_that_has_gone_leaves_its_boxes(shapes: Path, tmp_path: Path) -> None:
    shutil.copytree(shapes.parent, tmp_path / "set")
    report = a_report(tmp_path / "set" / "data.yaml")
    Path(report.labels[0].image).unlink()
    text = write_page(report, tmp_path).read_text(encoding="utf-8")
    assert text.count("data:image/jpeg") == 6
    assert text.count('<article class="card"') == 7


def test_a_split_without_labels_has_a_report(shapes: Path, tmp_path: Path) -> None:
    report = replace(a_report(shapes), labels=[], missing=[], duplicates=[], classes=[])
    assert report.sentence.startswith("0 of 0 labels are flagged, at least about 0")
    assert report.save(tmp_path).read_text().count("\n") == 1
    assert "<article" not in write_page(report, tmp_path).read_text(encoding="utf-8")


@pytest.mark.parametrize(("task", "without"), [("detect", 0), ("segment", 4), ("pose", 1), ("obb", 0)])
def test_what_cannot_be_put_right_is_not_to_be_accepted(task: str, without: int, shapes: Path, tmp_path: Path) -> None:
    text = write_page(replace(a_report(shapes), task=task), tmp_path).read_text(encoding="utf-8")
    assert text.count('<button data-do="a"') == 7 - without
    assert text.count('<button data-do="r"') == 7
    assert text.count("Not by <code>fix=</code>") == without


def test_only_the_worst_are_shown(shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "MOST", 5)
    shown = [card.reason for card in gallery.cards(a_report(shapes))]
    assert shown == ["loose", "shifted", "class", "missing", "duplicate"]


def test_a_place_is_within_its_image_and_shows_all_boxes() -> None:
    for box in [
        (0.0, 0.0, 5.0, 5.0),
        (600.0, 400.0, 40.0, 80.0),
        (-20.0, 100.0, 700.0, 50.0),
        (90.0, 90.0, 40.0, 10.0, 1.0),
    ]:
        left, top, width, height = gallery.place([box], (640, 480))
        assert left >= 0
        assert top >= 0
        assert left + width <= 640
        assert top + height <= 480
        points = corners(box).clip(0, (640, 480))
        assert (points >= (left, top)).all()
        assert (points <= (left + width, top + height)).all()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    if not CHROMIUM:
        pytest.skip("no chromium here")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture(params=[(1280, 800), (390, 844)], ids=["desktop", "phone"])
def view(request: pytest.FixtureRequest, browser: Any, page: Path) -> Iterator[Any]:
    """The page in a browser without a network; a warning or an error of it is one of the test."""
    width, height = request.param
    context = browser.new_context(viewport={"width": width, "height": height}, offline=True)
    found = context.new_page()
    troubles: list[str] = []
    found.on("console", lambda message: troubles.append(message.text) if message.type in {"error", "warning"} else None)
    found.on("pageerror", lambda error: troubles.append(str(error)))
    found.goto(page.as_uri())
    yield found
    context.close()
    assert troubles == []


@pytest.mark.needs("playwright")
def test_it_fits_the_screen(view: Any) -> None:
    assert view.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for card in view.locator(".card").all():
        box = card.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= view.viewport_size["width"]
    save = view.locator("#save").bounding_box()  # what is decided can be saved without a search for the button
    assert 0 <= save["x"] <= view.viewport_size["width"] - save["width"]
    letters = view.evaluate("Math.max(...[...document.querySelectorAll('th:first-child')].map(h => h.clientHeight))")
    assert letters < 3 * 25  # words of a table's first column stay whole
    widths = view.evaluate("[...document.querySelectorAll('.card image')].map(i => i.getBoundingClientRect().width)")
    assert min(widths) > 100


@pytest.mark.needs("playwright")
def test_it_is_filtered_by_reason_and_by_class(view: Any) -> None:
    def reasons() -> list[str]:
        return [card.get_attribute("data-reason") for card in view.locator(".card:visible").all()]

    assert reasons() == ["loose", "shifted", "class", "spurious", "loose", "missing", "duplicate"]
    view.get_by_role("button", name="loose 2").click()
    assert reasons() == ["loose", "loose"]
    view.get_by_role("button", name="all", exact=True).click()
    view.locator("#class").select_option("box")
    assert reasons() == ["missing", "duplicate"]
    view.get_by_role("button", name="missing 1").click()
    assert reasons() == ["missing"]
    assert "1 of 7 findings" in view.locator("#shown").inner_text()


@pytest.mark.needs("playwright")
def test_what_is_decided_is_saved_as_fix_reads_it(view: Any, shapes: Path, tmp_path: Path) -> None:
    report = a_report(shapes)
    view.locator(".card").first.focus()
    for key in ("a", "r", "s", "a"):  # each goes on to the next
        view.keyboard.press(key)
    view.keyboard.press("ArrowLeft")
    view.keyboard.press("s")  # takes the last one back
    view.locator(".card[data-reason=missing] button[data-do=a]").click()
    view.locator(".card[data-reason=duplicate] button[data-do=r]").click()
    assert view.locator("#count").inner_text() == "4"
    assert view.locator(".card.accepted").count() == view.locator(".card.rejected").count() == 2
    with view.expect_download() as download:
        view.locator("#save").click()
    assert download.value.suggested_filename == "decisions.json"
    download.value.save_as(file := tmp_path / "decisions.json")
    assert json.loads(file.read_text())["accepted"].keys() == {"labels", "missing", "duplicates"}
    decisions = Decisions.read(file)
    assert decisions.accepted.labels == [report.labels[0]]
    assert decisions.rejected.labels == [report.labels[1]]
    assert decisions.accepted.missing == report.missing
    assert decisions.rejected.duplicates == report.duplicates
    view.reload()
    assert view.locator("#count").inner_text() == "4"  # it remembers


@pytest.mark.needs("playwright")
def test_no_key_accepts_what_cannot_be_put_right(browser: Any, shapes: Path, tmp_path: Path) -> None:
    page = browser.new_page()
    page.goto(write_page(replace(a_report(shapes), task="segment"), tmp_path).as_uri())
    page.locator(".card").first.focus()
    page.keyboard.press("a")  # a loose outline
    page.keyboard.press("r")
    page.keyboard.press("a")  # a class
    assert page.locator(".card.accepted").count() == page.locator(".card.rejected").count() == 1
    assert page.locator("#count").inner_text() == "2"
    page.close()
