"""Every shell block of README, docs and CONTRIBUTING is run as it stands, on tiny data; every link leads somewhere.

A block that is not run has a comment above it that says why: `<!-- not run: reason -->`. `pip` does nothing here (the
wheel has tests of its own), and trainings are made small by arguments that are added at the end. Every block has a
folder of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.running import ROOT, shell

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"(?:<!-- not run: (?P<reason>[^>]+) -->\n)?```bash\n(?P<commands>.*?)```", re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")

SMALL = "imgsz=32 epochs=2 batch=4 workers=0 plots=False"
SHIM = f"""#!/bin/sh
# Runs the command line of this checkout, trainings made small.
case " $* " in
  *" resume"*) ;;
  *" compare "*)
    for word; do shift; case "$word" in seeds=*) ;; *) set -- "$@" "$word" ;; esac; done
    set -- "$@" {SMALL} seeds=2 ;;
  *" train "*data=*) set -- "$@" {SMALL} ;;
  *" train "*) set -- "$@" {SMALL} shapes.train=8 shapes.val=4 shapes.imgsz=32 ;;
esac
exec {sys.executable} -m yolo_wiou "$@"
"""

INTERRUPTED = """
from yolo_wiou.cli.main import run_command
from yolo_wiou import YOLO

def stop(trainer):
    if trainer.epoch == 1:
        raise KeyboardInterrupt

model = YOLO("yolo11n.pt")
model.add_callback("on_train_epoch_start", stop)
try:
    model.train(data="my.yaml", loss="wiou3", epochs=3, imgsz=32, batch=4, workers=0, plots=False)
except KeyboardInterrupt:
    pass
"""


def blocks() -> list[Any]:
    """Every shell block, (page, commands); one that is not run is skipped, with the reason."""
    return [
        pytest.param(
            page.name,
            match["commands"],
            marks=[pytest.mark.skip(reason=match["reason"])] if match["reason"] else [],
        )
        for page in PAGES
        for match in BLOCK.finditer(page.read_text(encoding="utf-8"))
    ]


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """Untrained weights, under the name of the trained ones, which nothing can download here."""
    folder = tmp_path_factory.mktemp("weights")
    shell("-c", "from ultralytics import YOLO; YOLO('yolo11n.yaml').save('yolo11n.pt')", cwd=folder)
    return folder / "yolo11n.pt"


@pytest.fixture
def user(commands, tmp_path, shapes, weights) -> Path:
    """A folder as a user has it: data, weights, the commands on the path and, where it is needed, a stopped run."""
    shutil.copytree(shapes.parent, tmp_path / "data")
    (tmp_path / "my.yaml").write_text(f"path: {tmp_path / 'data'}\n{shapes.read_text()}")
    for name in ("yolo11n.pt", "best.pt"):
        shutil.copy(weights, tmp_path / name)
    shutil.copy(ROOT / "cfg" / "losses" / "wiou3.yaml", tmp_path / "my_loss.yaml")
    (tmp_path / "bin").mkdir()
    for name, code in {"yolo-wiou": SHIM, "yolo": SHIM, "pip": "#!/bin/sh\n"}.items():
        (tmp_path / "bin" / name).write_text(code)
        (tmp_path / "bin" / name).chmod(stat.S_IRWXU)
    if "runs/detect/train" in commands:
        shell("-c", INTERRUPTED, cwd=tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(("page", "commands"), blocks())
def test_a_shell_block_works(page, commands, user):
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    env |= {"PATH": f"{user / 'bin'}:{env['PATH']}", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], cwd=user, env=env, text=True, capture_output=True, timeout=600
    )
    assert run.returncode == 0, f"{page}:\n{commands}\n{run.stdout[-2000:]}\n{run.stderr[-3000:]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        file = (page.parent / target) if target else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{page.name} links to {target}#{anchor}"
