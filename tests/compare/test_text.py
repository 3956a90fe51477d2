"""Verdicts in words."""

from __future__ import annotations

from typing import Any

import pytest

from yolo_wiou.compare.findings import Comparison
from yolo_wiou.compare.report.text import headlines, points, sentence

PLAIN: dict[str, Any] = {
    "loss": "wiou3",
    "seeds": range(6),
    "pairs": [(0.3, 0.312)] * 6,
    "differences": [0.012] * 6,
    "mean": 0.012,
    "interval": (0.004, 0.02),
    "p": 0.03125,
    "p_holm": 0.03125,
    "sd": 0.005,
    "detectable": 0.008,
    "seeds_needed": 6,
    "seeds_waiting": (),
    "seeds_and_images": (0.002, 0.022),
}


def comparison(verdict: str, **changes: Any) -> Comparison:
    return Comparison.model_validate({**PLAIN, "verdict": verdict, **changes})


def test_sentences() -> None:
    better = "wiou3 is better than ciou by 1.20 AP points [0.40, 2.00], p = 0.031 over 6 seeds."
    assert sentence(comparison("better"), "ciou", 1) == better
    assert "corrected for 3 losses" in sentence(comparison("better"), "ciou", 3)
    narrow = sentence(comparison("better", seeds_and_images=[-0.001, 0.025]), "ciou", 1)
    assert narrow == better + " On other images it may be otherwise: [−0.10, 2.50]."
    worse = sentence(comparison("worse", mean=-0.012, interval=[-0.02, -0.004]), "ciou", 1)
    assert worse.startswith("wiou3 is worse than ciou by 1.20 AP points [−2.00, −0.40]")
    none = sentence(comparison("no detectable difference"), "ciou", 1)
    assert none.startswith("No detectable difference between wiou3 and ciou: +1.20 AP points")
    assert none.endswith("such a study finds 0.80 points four times out of five.")
    few = sentence(comparison("too few seeds", seeds=[0, 1]), "ciou", 1)
    assert (
        few == "Too few seeds to tell wiou3 from ciou: 2 of the 6 seeds that a verdict takes. So far +1.20 AP points."
    )


def test_a_loss_that_pulls_harder_is_told_beside_the_verdict() -> None:
    plain = sentence(comparison("better"), "ciou", 1)
    assert [sentence(comparison("better", pull=pull), "ciou", 1) for pull in (None, 0.92, 1.08)] == [plain] * 3
    heavy = sentence(comparison("better", pull=1.84), "ciou", 1)
    assert heavy == (
        f"{plain} By its gain the box term of wiou3 pulls 1.8 times as hard as that of ciou: some of the "
        "difference may be weight. Compare with ciou at a constant gain of 1.8."
    )
    assert "0.88 times as hard" in sentence(comparison("too few seeds", pull=0.88), "ciou", 1)


@pytest.mark.parametrize(
    ("verdict", "against", "conclusion"),
    [
        ("better", "better", "So it is more than weight."),
        ("better", "no detectable difference", "So what it won may be weight."),
        ("worse", "better", "So what it lost is no more than weight."),
        ("no detectable difference", "better", ""),
        ("better", "not finished", ""),
    ],
)
def test_what_a_control_says_of_a_verdict(verdict: str, against: str, conclusion: str) -> None:
    control = {"name": "c", "weight": 1.84, "comparison": comparison(against, sentence="Against the control.")}
    found = comparison(verdict, pull=1.84, control=control)
    plain = sentence(comparison(verdict), "ciou", 1)
    assert sentence(found, "ciou", 1) == f"{plain} Against the control. {conclusion}".strip()


def test_many_undecided_losses_share_a_headline() -> None:
    many = [comparison("no detectable difference", loss=f"l{i}") for i in range(9)]
    found = headlines([*many, comparison("better", sentence="won")], "ciou")
    assert found[0] == ("better", "won")
    assert len(found) == 2
    assert "9 losses" in found[1][1]


def test_points() -> None:
    assert [points(v) for v in (0.0123, -0.0123, 0.0, -0.0004, None)] == [
        "+1.23",
        "−1.23",
        "0.00",
        "−0.04",
        "—",
    ]
