"""scripts/docs/latex.py: the catalogue's formulas become LaTeX whole, as GitHub and the site show them."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable

import pytest
from helpers.running import ROOT

from yolo_wiou.losses.presets import about


@pytest.fixture
def latex(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    monkeypatch.syspath_prepend(str(ROOT / "scripts" / "docs"))
    convert: Callable[[str], list[str]] = importlib.import_module("latex").latex
    return convert


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(C - U)/C", r"\frac{C - U}{C}"),
        ("(a·v)^α", r"\left( a \, v \right)^{\alpha}"),
        ("β/(δ·α^(β - δ))", r"\frac{\beta}{\delta \, \alpha^{\beta - \delta}}"),
        ("Δw²/cw²", r"\frac{\Delta w^{2}}{c_{w}^{2}}"),
        ("1/x/y", r"\frac{\frac{1}{x}}{y}"),
        ("|Δx|/wg", r"\frac{\left| \Delta x \right|}{w_{g}}"),
        ("exp(-P²)", r"\exp\left( - P^{2} \right)"),
        ("IoU(inner boxes)", r"\mathrm{IoU}\left( \text{ inner boxes } \right)"),
        ("CIoU loss times w <- 2", r"\mathrm{CIoU} \text{ loss times } w \leftarrow 2"),
    ],
)
def test_a_formula_in_latex(text: str, expected: str, latex: Callable[[str], list[str]]) -> None:
    assert latex(text) == [expected]


def test_two_spaces_part_statements(latex: Callable[[str], list[str]]) -> None:
    assert latex("R·(1 - IoU),  R = q;  x") == [r"R \, \left( 1 - \mathrm{IoU} \right)", "R = q", "x"]


@pytest.mark.parametrize(("name", "described"), [(name, described) for name, described, _ in about()])
def test_no_sign_of_the_catalogue_is_left_as_it_was(
    name: str, described: dict[str, str], latex: Callable[[str], list[str]]
) -> None:
    for statement in latex(described["formula"]):
        assert statement.isascii(), name
        assert statement.count("{") == statement.count("}")
        assert len(re.findall(r"\\left\b", statement)) == len(re.findall(r"\\right\b", statement))
        assert not re.search(r"[/^](?!\{)", re.sub(r"1/4", "", statement))
