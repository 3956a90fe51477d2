"""The command as it is started, in a process of its own."""

from __future__ import annotations

import yaml
from helpers.running import shell


def test_what_ultralytics_says_first_is_not_in_what_may_be_piped(tmp_path):
    """`yolo-wiou losses wiou3 > my_loss.yaml`, on the first day of a machine."""
    done = shell("-m", "yolo_wiou", "losses", "wiou3", cwd=tmp_path, env={"YOLO_CONFIG_DIR": str(tmp_path / "new")})
    assert "Creating new Ultralytics Settings" in done.stderr
    assert yaml.safe_load(done.stdout)["gain"]["delta"] == 3.0
