"""Every shell block of README, docs and CONTRIBUTING is run as it stands, on tiny data; every link leads somewhere.

A block that is not run has a comment above it that says why: `<!-- not run: reason -->`. `pip` does nothing here (the
wheel has tests of its own), and trainings are made small by arguments that are added at the end.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import shell

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"(?:<!-- not run: (?P<reason>[^>]+) -->\n)?```bash\n(?P<commands>.*?)```", re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")

SMALL = "imgsz=32 epochs=2 batch=4 workers=0 plots=False"
SHIM = f"""#!/bin/sh
# Runs the command line of this checkout, trainings made small.
case " $* " in
  *" resume"*) ;;
  *" compare "*) set -- "$@" {SMALL} seeds=2 ;;
  *" train "*data=*) set -- "$@" {SMALL} ;;
  *" train "*) set -- "$@" {SMALL} shapes.train=8 shapes.val=4 shapes.imgsz=32 ;;
esac
exec {sys.executable} -m yolo_wiou.cli "$@"
"""

INTERRUPTED = """
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


def blocks() -> list[tuple[str, str, str | None]]:
    """(page, commands, reason why not run) of every shell block."""
    return [
        (page.name, match["commands"], match["reason"]) for page in PAGES for match in BLOCK.finditer(page.read_text())
    ]


@pytest.fixture(scope="module")
def user(tmp_path_factory, shapes) -> Path:
    """A folder as a user has it: data, weights, an interrupted run, and the commands on the path."""
    folder = tmp_path_factory.mktemp("user")
    shutil.copytree(shapes.parent, folder / "data")
    text = shapes.read_text()
    (folder / "my.yaml").write_text(f"path: {folder / 'data'}\n{text}")
    for name, code in {"yolo-wiou": SHIM, "yolo": SHIM, "pip": "#!/bin/sh\n"}.items():
        (folder / "bin").mkdir(exist_ok=True)
        (folder / "bin" / name).write_text(code)
        (folder / "bin" / name).chmod(stat.S_IRWXU)
    make = "from ultralytics import YOLO; YOLO('yolo11n.yaml').save('yolo11n.pt')"
    shell("-c", make, cwd=folder)
    shell("-c", INTERRUPTED, cwd=folder)
    shutil.copy(folder / "runs" / "detect" / "train" / "weights" / "last.pt", folder / "unfinished.pt")
    shutil.copy(folder / "yolo11n.pt", folder / "best.pt")
    shutil.copy(ROOT / "cfg" / "losses" / "wiou3.yaml", folder / "my_loss.yaml")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("page", "commands", "reason"), blocks())
def test_a_shell_block_works(page, commands, reason, user):
    if reason:
        pytest.skip(reason)
    weights = user / "runs" / "detect" / "train" / "weights"
    shutil.copy(user / "unfinished.pt", weights / "last.pt")
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
