"""Pages that are generated, and files that repeat what the code says, must agree with it."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import yaml

from yolo_wiou import available_losses
from yolo_wiou.files import CFG
from yolo_wiou.losses.config import LossConfig
from yolo_wiou.losses.presets import about

ROOT = Path(__file__).parents[1]


def test_losses_page_is_the_catalogue_s():
    page = runpy.run_path(str(ROOT / "scripts" / "make_docs.py"))["page"]()
    assert (ROOT / "docs" / "losses.md").read_text(encoding="utf-8") == page
    assert all((ROOT / "docs" / "img" / f"{name}.png").stat().st_size > 10_000 for name in available_losses())


def test_compatibility_page_is_its_data_s_and_nothing_of_ours_fails(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import check_releases
    import compatibility

    assert compatibility.PAGE.read_text(encoding="utf-8") == compatibility.page()
    rows = compatibility.read("releases")["rows"]
    assert {row["release"] for row in rows} >= set(check_releases.RELEASES)
    for row in rows:
        assert list(row["checks"]) == check_releases.CHECKS
        assert all(result["outcome"] != "failed" for result in row["checks"].values())


def test_performance_page_is_its_data_s_and_every_preset_is_in_it(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import performance

    assert performance.PAGE.read_text(encoding="utf-8") == performance.page()
    assert set(performance.read("loss")["counts"]) == {"stock", *available_losses()}
    assert {"box loss", "criterion", "epoch"} == set(performance.read("train")["parts"]["cpu"])


def test_catalogue_lists_every_preset_once():
    listed = yaml.safe_load((CFG / "catalogue.yaml").read_text())
    assert sorted(listed) == sorted(path.stem for path in (CFG / "losses").glob("*.yaml"))


PROMISED = """iou giou diou ciou eiou siou alpha-iou alpha-ciou mpdiou shape-iou piou piou2 nwd uiou
interpiou d-interpiou inner-iou inner-ciou inner-siou inner-shape-iou focaler-iou focaler-ciou inner-focaler-ciou
focal-eiou focal-l1 wiou1 wiou2 wiou3 ciou-v3 siou-v3 inner-wiou3 iou-balanced iou-balanced-cls iou-balanced-loc alwa"""


def test_every_promised_name_is_there():
    assert set(available_losses()) >= set(PROMISED.split())


@pytest.mark.parametrize(("name", "words", "config"), list(about()), ids=available_losses())
def test_every_preset_describes_itself(name, words, config):
    assert set(words) == {"formula", "good_for", "caveat", "paper"}
    assert all(isinstance(word, str) and (word or key == "paper") for key, word in words.items())
    assert config.name == name


def test_default_yaml_lists_every_switch():
    """cfg/default.yaml is the empty configuration with wiou3's parts; every key of LossConfig is in it, commented."""
    text = (CFG / "default.yaml").read_text(encoding="utf-8")
    written = yaml.safe_load(text)
    assert set(written) == set(LossConfig.model_fields)
    full = LossConfig.model_validate(written).model_dump(mode="json")
    assert written == full
    lines = [line for line in text.splitlines() if ":" in line and not line.lstrip().startswith("#")]
    assert all("#" in line for line in lines)
