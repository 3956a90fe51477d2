"""Every shell and Python block of README, docs and CONTRIBUTING is run as it stands, on tiny data.

And every link leads somewhere.

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
import textwrap
from pathlib import Path
from typing import Any

import pytest
from helpers.running import ROOT, argv_of, shell

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>[^>]+) -->\n)?^[ ]*```(?P<language>bash|python)\n(?P<text>.*?)^[ ]*```", re.M | re.S
)
FILE = re.compile(r"# (\w+\.py)\n")
"""What a block begins with that is a file, which the later ones of its page import."""
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")

SMALL = {"imgsz": 32, "epochs": 2, "batch": 4, "workers": 0, "plots": False}
ARGUMENTS = " ".join(argv_of(**SMALL))
SHIM = f"""#!/bin/sh
# Runs the command line of this checkout, trainings made small.
case " $* " in
  *" resume"*) ;;
  *" compare "*)
    for word; do shift; case "$word" in seeds=*) ;; *) set -- "$@" "$word" ;; esac; done
    set -- "$@" {ARGUMENTS} seeds=2 ;;
  *" train "*data=*) set -- "$@" {ARGUMENTS} ;;
  *" audit "*) set -- "$@" imgsz=32 batch=4 workers=0 ;;
  *" train "*) set -- "$@" {ARGUMENTS} shapes.train=8 shapes.val=4 shapes.imgsz=32 ;;
esac
exec {sys.executable} -m yolo_wiou "$@"
"""

PRELUDE = f"""
from ultralytics.engine.model import Model

train = Model.train
Model.train = lambda model, trainer=None, **given: train(model, trainer, **{{**given, **{SMALL}}})
"""
"""What stands before a Python block."""

RUN = re.compile(r"runs/detect/(\w+)")
"""The run that a block looks at."""

INTERRUPTED = """
import sys
from yolo_wiou.cli.main import run_command
from yolo_wiou import YOLO

def stop(trainer):
    if trainer.epoch == 1:
        raise KeyboardInterrupt

model = YOLO("yolo11n.pt")
model.add_callback("on_train_epoch_start", stop)
try:
    look = dict(imgsz=32, batch=4, workers=0, plots=False)
    model.train(data="my.yaml", loss="wiou3", audit=True, epochs=3, name=sys.argv[1], **look)
except KeyboardInterrupt:
    pass
"""


def line_of(match: re.Match[str]) -> int:
    """The line of a page that a block begins in."""
    return match.string.count("\n", 0, match.start("text"))


def blocks(language: str) -> list[Any]:
    """Every block of a language, (page, text); one that is not run is skipped, with the reason."""
    return [
        pytest.param(
            page,
            textwrap.dedent(match["text"]),
            id=f"{page.name}-{line_of(match)}",
            marks=[pytest.mark.skip(reason=match["reason"])] if match["reason"] else [],
        )
        for page in PAGES
        if page.name != "own-loop.md" or language == "bash"  # has a test of its own
        for match in BLOCK.finditer(page.read_text(encoding="utf-8"))
        if match["language"] == language
    ]


@pytest.fixture(scope="module")
def weights(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with untrained weights, under the name of trained ones, which nothing can download here, and a run."""
    folder = tmp_path_factory.mktemp("weights")
    shell("-c", "from ultralytics import YOLO; YOLO('yolo11n.yaml').save('yolo11n.pt')", cwd=folder)
    given = {**SMALL, "model": "yolo11n.pt", "data": shapes, "project": folder, "name": "run"}
    shell("-m", "yolo_wiou", "train", *argv_of(**given), cwd=folder)
    return folder


@pytest.fixture
def user(page: Path, text: str, tmp_path: Path, shapes: Path, weights: Path) -> Path:
    """A folder as a user has it: data, weights, the commands on the path and, where it is needed, a stopped run."""
    shutil.copytree(shapes.parent, tmp_path / "data")
    (tmp_path / "my.yaml").write_text(f"path: {tmp_path / 'data'}\n{shapes.read_text()}")
    shutil.copy(weights / "yolo11n.pt", tmp_path)
    shutil.copy(weights / "run" / "weights" / "best.pt", tmp_path)
    shutil.copy(ROOT / "cfg" / "losses" / "wiou3.yaml", tmp_path / "my_loss.yaml")
    (tmp_path / "bin").mkdir()
    for name, code in {"yolo-wiou": SHIM, "yolo": SHIM, "pip": "#!/bin/sh\n"}.items():
        (tmp_path / "bin" / name).write_text(code)
        (tmp_path / "bin" / name).chmod(stat.S_IRWXU)
    for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
        if file := FILE.match(match["text"]):
            (tmp_path / file[1]).write_text(match["text"], encoding="utf-8")
    if (run := RUN.search(text)) and "train(" not in text:
        shell("-c", INTERRUPTED, run[1], cwd=tmp_path)
    return tmp_path


def run(user: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as the user's shell would."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    env |= {"PATH": f"{user / 'bin'}:{env['PATH']}", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=user, env=env, text=True, capture_output=True, timeout=1200)


@pytest.mark.slow
@pytest.mark.parametrize(("page", "text"), blocks("bash"))
def test_a_shell_block_works(page: Path, text: str, user: Path) -> None:
    done = run(user, "bash", "-euo", "pipefail", "-c", text)
    assert done.returncode == 0, f"{page}:\n{text}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"


@pytest.mark.slow
@pytest.mark.parametrize(("page", "text"), blocks("python"))
def test_a_python_block_works(page: Path, text: str, user: Path) -> None:
    (user / "block.py").write_text(PRELUDE + text, encoding="utf-8")
    done = run(user, sys.executable, "block.py")
    assert done.returncode == 0, f"{page}:\n{text}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        file = (page.parent / target) if target else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{page.name} links to {target}#{anchor}"
