"""Pages that are generated, and files that repeat what the code says, must agree with it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.running import ROOT, shell

from yolo_wiou import GAINS, OVERLAPS, PENALTIES, available_losses
from yolo_wiou.files import CFG
from yolo_wiou.losses.cls_weighting import CLS_WEIGHTINGS
from yolo_wiou.losses.config import LossConfig
from yolo_wiou.losses.presets import about, groups, load_config
from yolo_wiou.losses.registry import Registry

PAGES = [
    "bench/performance_page.py",
    "compatibility/compatibility_page.py",
    "docs/losses_page.py",
    "reliability/reliability_page.py",
    "study/audit_page.py",
    "study/study_page.py",
]


@pytest.mark.parametrize("script", PAGES)
def test_a_generated_page_is_what_its_script_makes(script: str, tmp_path: Path) -> None:
    """Of the catalogue, or of the figures beside it; nobody edits the page."""
    checked = shell(str(ROOT / "scripts" / script), "--check", cwd=tmp_path, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_page_that_was_edited_is_told(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("edited")
    script = str(ROOT / "scripts" / "compatibility" / "compatibility_page.py")
    done = shell(script, str(tmp_path), str(tmp_path / "page.md"), "--check", cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert "page.md is not what its script makes of its data" in done.stderr


def test_every_preset_has_a_picture() -> None:
    assert all((ROOT / "docs" / "img" / f"{name}.png").stat().st_size > 10_000 for name in available_losses())


@pytest.mark.parametrize("name", available_losses())
def test_the_yaml_of_the_losses_page_is_the_preset(name: str) -> None:
    page = (ROOT / "docs" / "losses.md").read_text(encoding="utf-8")
    section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    written = yaml.safe_load(section.partition("```yaml\n")[2].partition("```")[0])
    assert load_config({"name": "written", **written}).model_copy(update={"name": name}) == load_config(name)


def test_catalogue_lists_every_preset_once() -> None:
    listed = [name for names in groups().values() for name in names]
    assert sorted(listed) == sorted(path.stem for path in (CFG / "losses").glob("*.yaml"))


def test_readme_counts_the_presets() -> None:
    assert f" {len(available_losses())} losses in all" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_readme_quotes_the_figures_of_the_study() -> None:
    """Differences with their intervals, as `+0.56 (+0.40 to +0.73)`, in bold where 0 is outside."""
    number = r"[+-]\d+\.\d\d"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    quoted = re.findall(rf"(\**)({number})\** \(({number}) to ({number})\)", readme)
    study = (ROOT / "docs" / "study.md").read_text(encoding="utf-8")
    assert len(quoted) == 22
    assert [figures for _, *figures in quoted if "{} ({} to {})".format(*figures) not in study] == []
    assert all((bold == "**") == (low[0] == high[0]) for bold, _, low, high in quoted)


@pytest.mark.parametrize("page", ["README.md", "docs/audit.md"])
def test_what_the_audit_flags_is_quoted_from_its_study(page: str) -> None:
    """Of planted errors, `1,095 of 1,800`; the study has both in a row."""
    rows = [line for line in (ROOT / "docs" / "audit-study.md").read_text(encoding="utf-8").splitlines() if "|" in line]
    quoted = re.findall(r"(\d,\d{3}) of (\d,\d{3})", (ROOT / page).read_text(encoding="utf-8"))
    assert len(quoted) == 2
    assert all(any(f" {flagged} |" in row and f" {wrong} |" in row for row in rows) for flagged, wrong in quoted)


PROMISED = """iou giou diou ciou eiou siou alpha-iou alpha-ciou mpdiou shape-iou piou piou2 nwd uiou
interpiou d-interpiou inner-iou inner-ciou inner-siou inner-shape-iou focaler-iou focaler-ciou inner-focaler-ciou
focal-eiou focal-l1 wiou1 wiou2 wiou3 ciou-v3 siou-v3 inner-wiou3 iou-balanced iou-balanced-cls iou-balanced-loc alwa"""


def test_every_promised_name_is_there() -> None:
    assert set(available_losses()) >= set(PROMISED.split())


@pytest.mark.parametrize(("name", "description", "config"), list(about()), ids=available_losses())
def test_every_preset_describes_itself(name: str, description: dict[str, str], config: LossConfig) -> None:
    assert set(description) == {"formula", "good_for", "caveat", "paper"}
    assert all(isinstance(word, str) and (word or key == "paper") for key, word in description.items())
    assert config.name == name


def test_default_yaml_lists_every_switch() -> None:
    """cfg/default.yaml is the empty configuration with wiou3's parts; every key of LossConfig is in it, commented."""
    text = (CFG / "default.yaml").read_text(encoding="utf-8")
    written = yaml.safe_load(text)
    assert set(written) == set(LossConfig.model_fields)
    full = LossConfig.model_validate(written).model_dump(mode="json")
    assert written == full
    lines = [line for line in text.splitlines() if ":" in line and not line.lstrip().startswith("#")]
    assert all("#" in line for line in lines)


@pytest.mark.parametrize("axis", [OVERLAPS, PENALTIES, GAINS, CLS_WEIGHTINGS], ids=lambda axis: axis.axis)
def test_default_yaml_lists_every_part_with_its_defaults(axis: Registry[Any]) -> None:
    text = (CFG / "default.yaml").read_text(encoding="utf-8")
    listed = re.search(rf"^#   {axis.axis} (.*?)(?=^#   \w|^$)", text, re.DOTALL | re.MULTILINE)
    assert listed
    parts = [entry.strip("# \n") for entry in listed[1].split("|")]
    settings = {entry.split()[0]: entry for entry in parts}
    assert set(settings) == set(axis.components)
    for name, component in axis.components.items():
        for setting in component.model_fields.keys() - axis.base.model_fields.keys():
            assert f"{setting}: {component.model_fields[setting].default}" in settings[name]
