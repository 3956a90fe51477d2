"""The help page of every command of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from yolo_wiou.cli import advise, plant, plots
from yolo_wiou.cli.main import COMMANDS, run_command

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
