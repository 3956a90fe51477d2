"""Help: of the whole, and the page of every command of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from yolo_wiou.cli import advise, plant, plots
from yolo_wiou.cli.main import COMMANDS, run_command
from yolo_wiou.data.planting import PlantConfig
from yolo_wiou.version import __version__

OWN = sorted({*COMMANDS, "train", "compare", "audit"} - {"version", "v", "help", "h"})
OPTIONS = {"plant": plant.DEFAULTS, "curves": plots.CURVES, "simulate": plots.SIMULATION, "advise": advise.DEFAULTS}


@pytest.mark.parametrize("command", OWN)
def test_every_command_of_ours_has_a_page(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    pages = []
    for argv in ([command, "--help"], [command, "-h"], ["help", command], [command, "data=my.yaml", "help"]):
        assert run_command(argv) == 0
        pages.append(capsys.readouterr().out)
    assert set(pages) == {pages[0]}
    assert pages[0].startswith("yolo-wiou ")
    assert command in pages[0].splitlines()[0].split("data=")[0]


@pytest.mark.parametrize(("command", "options"), OPTIONS.items(), ids=OPTIONS)
def test_a_page_has_every_option_with_its_default(
    command: str, options: Mapping[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run_command([command, "--help"])
    page = capsys.readouterr().out.translate(str.maketrans("[]", "  ")).split()
    for key, default in options.items():
        text = ",".join(map(str, default)) if isinstance(default, list) else str(default)
        assert any(word == f"{key}={text}" for word in page) or (not text and f"{key}=" in " ".join(page))


def test_the_page_of_plant_says_what_each_error_is(capsys: pytest.CaptureFixture[str]) -> None:
    run_command(["plant", "--help"])
    page = capsys.readouterr().out
    for name, field in PlantConfig.model_fields.items():
        assert any(line.startswith(f"{name}=") and (field.description or "") in line for line in page.splitlines())


@pytest.mark.parametrize("argv", [["val", "help"], ["detect", "--help"], ["export", "-h"]])
def test_help_is_for_whoever_asks(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(argv) == 0
    assert "yolo-wiou losses [NAME]" in capsys.readouterr().out


def test_version_help_and_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["version"]) == 0
    assert f"yolo-wiou {__version__} (ultralytics " in capsys.readouterr().out
    for argv in ([], ["help"], ["--help"], ["val", "-h"]):
        assert run_command(argv) == 0
        out = capsys.readouterr().out
        assert all(words in out for words in ("yolo-wiou train data=my.yaml", "compare --help", "--json"))


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (["train", "--help"], ("loss.gain.delta=5", "audit=true", "alpha: 1.9 # (float, 1-10)", "yolo-wiou cfg")),
        (["help", "train"], ("loss.gain.delta=5", "running_mean:")),
        (["segment", "train", "data=my.yaml", "-h"], ("loss.gain.delta=5",)),
        (["compare", "--help"], ("--json", "seeds: 6 # (int, >= 1)")),
        (["audit", "help"], ("--json", "threshold: 2.0 # (float, above 0)")),
    ],
)
def test_the_help_of_a_command_has_its_settings(
    argv: list[str], shown: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(argv) == 0
    out = capsys.readouterr().out
    assert [words for words in shown if words not in out] == []


@pytest.mark.parametrize("argv", [["compare", "--help"], ["compare", "help"], ["help", "compare"]])
def test_compare_has_help_of_its_own(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(argv) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("jobs:", "seeds:", "out:", "engine:", "--json", "loss.gain.delta=3,5"))


@pytest.mark.parametrize("argv", [["audit", "--help"], ["help", "audit"]])
def test_audit_has_help_of_its_own(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(argv) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("threshold:", "fix=FOLDER", "fix.remove", "--json", "run=runs/detect/train"))
