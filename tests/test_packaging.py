"""The wheel: what it holds, and that it works from another folder."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from helpers.running import ROOT, shell

import yolo_wiou

PACKAGE: Any = yolo_wiou
"""With what its stub does not tell."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel in it, built from the sdist, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    build: list[str | Path] = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(build, check=True, capture_output=True, cwd=folder)
    wheel = next(folder.glob("*.whl"))
    site = folder / "site"
    install: list[str | Path] = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", site, wheel]
    subprocess.run(install, check=True, capture_output=True)
    return site


def test_the_wheel_works_from_another_folder(installed: Path, tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(installed)}
    where = shell("-c", "import yolo_wiou; print(yolo_wiou.__file__)", cwd=tmp_path, env=env).stdout
    assert where.startswith(str(installed))
    for command in (("-m", "yolo_wiou"), (str(installed / "bin" / "yolo-wiou"),)):  # one entry point, two names
        assert "delta: 3.0" in shell(*command, "losses", "wiou3", cwd=tmp_path, env=env).stdout
    for file in ("py.typed", "cfg/shapes.yaml", "compare/report/template.html.j2"):
        assert (installed / "yolo_wiou" / file).exists()


def test_the_sdist_holds_the_tests_and_what_they_read(installed: Path) -> None:
    with tarfile.open(next(installed.parent.glob("*.tar.gz"))) as sdist:
        held = {name.partition("/")[2] for name in sdist.getnames()}
    for folder in ("cfg", "docs", "notebooks", "scripts", "tests"):
        ours = {file for file in (ROOT / folder).rglob("*") if file.is_file() and "__pycache__" not in file.parts}
        assert {file.relative_to(ROOT).as_posix() for file in ours} <= held


def test_links_of_the_readme_lead_somewhere_on_pypi_too(installed: Path) -> None:
    metadata = next(installed.glob("*.dist-info/METADATA")).read_text(encoding="utf-8")
    assert "](https://github.com/yolo-wiou/yolo-wiou/raw/main/docs/img/" in metadata
    assert "](https://github.com/yolo-wiou/yolo-wiou/blob/main/docs/" in metadata
    assert not re.search(r"\]\((?!https?:|#)", metadata)


def test_the_wheel_holds_the_package_alone(installed: Path) -> None:
    assert {p.name for p in installed.iterdir()} - {"bin"} == {"yolo_wiou", next(installed.glob("*.dist-info")).name}


@pytest.mark.parametrize(
    ("line", "unwanted"),
    [
        ("import yolo_wiou", {"torch", "ultralytics", "pydantic"}),
        ("from yolo_wiou import load_loss", {"ultralytics", "matplotlib", "scipy"}),
        ("from yolo_wiou import YOLO", {"matplotlib.figure", "scipy", "plotly", "faster_coco_eval", "ray"}),
    ],
)
def test_an_import_brings_what_it_needs(line: str, unwanted: set[str], tmp_path: Path) -> None:
    done = shell("-c", f"{line}; import sys; print([m for m in {sorted(unwanted)} if m in sys.modules])", cwd=tmp_path)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there_and_a_wrong_one_is_an_attribute_error() -> None:
    assert all(getattr(yolo_wiou, name) is not None for name in yolo_wiou.__all__)
    assert set(yolo_wiou.__all__) < set(dir(yolo_wiou))
    assert PACKAGE.training.model.YOLO is yolo_wiou.YOLO
    with pytest.raises(AttributeError, match="has no attribute 'nope'"):
        _ = PACKAGE.nope


def test_type_checkers_see_the_names_that_are_there_from_the_same_modules() -> None:
    stub = ast.parse((ROOT / "yolo_wiou" / "__init__.pyi").read_text(encoding="utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    homes = {alias.name: str(node.module).removeprefix("yolo_wiou.") for node in imports for alias in node.names}
    assert homes == PACKAGE._HOMES
    assigned = {ast.unparse(node.targets[0]): node.value for node in stub.body if isinstance(node, ast.Assign)}
    assert sorted(ast.literal_eval(assigned.pop("__all__"))) == sorted(yolo_wiou.__all__)
    assert {old: ast.unparse(new) for old, new in assigned.items()} == PACKAGE._RENAMED


def test_a_registry_that_is_asked_for_alone_holds_the_losses(tmp_path: Path) -> None:
    """Or a user's function could take a built-in's name, and the built-in fail where it is imported."""
    script = (
        "from yolo_wiou import PENALTIES, ConfigError\n"
        "try: PENALTIES.register('siou')\n"
        "except ConfigError as e: print(e)"
    )
    assert shell("-c", script, cwd=tmp_path).stdout == "penalty 'siou' exists already.\n"
