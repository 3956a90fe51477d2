"""The command as it is started, in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from helpers.running import shell


def test_what_ultralytics_says_first_is_not_in_what_may_be_piped(tmp_path: Path) -> None:
    """`yolo-wiou losses wiou3 > my_loss.yaml`, on the first day of a machine."""
    done = shell("-m", "yolo_wiou", "losses", "wiou3", cwd=tmp_path, env={"YOLO_CONFIG_DIR": str(tmp_path / "new")})
    assert "Creating new Ultralytics Settings" in done.stderr
    assert yaml.safe_load(done.stdout)["gain"]["delta"] == 3.0


@pytest.mark.parametrize("command", [["losses"], ["train", "--help"]])
def test_a_pipe_of_windows_takes_the_greek_letters(command: list[str], tmp_path: Path) -> None:
    done = shell("-m", "yolo_wiou", *command, cwd=tmp_path, env={"PYTHONIOENCODING": "cp1252"})
    assert "α" in done.stdout
