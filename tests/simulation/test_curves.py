"""The curves of a loss: what they must obey whatever the loss, and the identities of single losses."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from yolo_wiou.losses.presets import available_losses, load_config
from yolo_wiou.simulation.curves import MEANS, CurvePoint, curves, plot
from yolo_wiou.simulation.plotting import write_csv

ALPHA, DELTA = 1.9, 3.0  # of wiou3


def curve(name: str, mean: float | None = None) -> dict[str, np.ndarray]:
    """One curve of a preset, by field."""
    points = curves([load_config(name)], MEANS if mean is None else (mean,))
    assert len({point.mean for point in points}) == 1
    numbers = ("distance", "iou", "gain", "value", "gradient", "slope")
    return {field: np.array([getattr(point, field) for point in points]) for field in numbers}


@pytest.mark.parametrize("name", available_losses())
def test_a_curve_runs_from_iou_one_to_boxes_apart(name: str) -> None:
    line = curve(name, 0.35)
    assert all(np.isfinite(values).all() for values in line.values())
    assert line["iou"][0] > 0.99
    assert line["iou"][-1] == 0
    assert (np.diff(line["iou"]) <= 0).all()
    assert (np.diff(line["distance"]) > 0).all()
    assert (line["gradient"] >= 0).all()
    assert 0 <= line["value"][0] < 0.05


@pytest.mark.parametrize("name", ["wiou2", "wiou3", "ciou-v3", "siou-v3", "inner-wiou3"])
def test_a_gain_that_needs_the_mean_has_a_curve_per_mean(name: str) -> None:
    assert list(dict.fromkeys(point.mean for point in curves([load_config(name)]))) == list(MEANS)


@pytest.mark.parametrize("name", ["ciou", "wiou1", "focal-eiou", "piou2", "iou-balanced-loc"])
def test_any_other_loss_has_one_curve(name: str) -> None:
    assert {point.mean for point in curves([load_config(name)])} == {None}


def test_the_loss_of_plain_iou() -> None:
    line = curve("iou")
    np.testing.assert_allclose(line["value"], 1 - line["iou"], atol=1e-6)
    assert (line["gradient"][line["iou"] == 0] == 0).all()


@pytest.mark.parametrize("name", ["giou", "diou", "ciou", "eiou", "siou", "wiou1", "piou", "mpdiou", "focal-l1"])
def test_boxes_apart_are_pulled_back(name: str) -> None:
    assert (curve(name)["slope"] > 0).all()


@pytest.mark.parametrize(("loss", "other_loss"), [("diou", "ciou"), ("diou", "eiou"), ("diou", "shape-iou")])
def test_the_path_tells_losses_apart_that_differ_by_shape_alone(loss: str, other_loss: str) -> None:
    assert np.abs(curve(loss)["value"] - curve(other_loss)["value"]).max() > 1e-3


@pytest.mark.parametrize("name", ["iou", "giou", "diou", "eiou", "siou", "shape-iou", "mpdiou", "piou", "nwd"])
def test_the_slope_is_the_derivative_of_the_value(name: str) -> None:
    """Where nothing is detached; away from the point where the boxes part, which is a kink."""
    line = curve(name)
    touching = line["iou"] > 0
    for part in (touching, ~touching):
        measured = np.gradient(line["value"][part], line["distance"][part])[3:-3]
        np.testing.assert_allclose(line["slope"][part][3:-3], measured, rtol=0.02, atol=5e-3)


@pytest.mark.parametrize(("weighted", "base"), [("wiou2", "wiou1"), ("wiou3", "wiou1"), ("focal-eiou", "eiou")])
@pytest.mark.parametrize("field", ["value", "gradient", "slope"])
def test_a_gain_is_a_constant_for_the_gradient(weighted: str, base: str, field: str) -> None:
    line = curve(weighted, 0.35)
    np.testing.assert_allclose(line[field], line["gain"] * curve(base)[field], rtol=1e-4, atol=1e-6)


def test_wiou3_counts_a_box_once_at_delta() -> None:
    line = curve("wiou3", 0.2)
    beta = (1 - line["iou"]) / 0.2
    assert np.interp(DELTA, beta, line["gain"]) == pytest.approx(1, abs=1e-3)


def test_wiou3_counts_a_box_most_at_one_over_log_alpha() -> None:
    line = curve("wiou3", 0.35)
    peak = line["gain"].argmax()
    assert (1 - line["iou"][peak]) / 0.35 == pytest.approx(1 / math.log(ALPHA), abs=0.02)
    assert line["gain"][peak] == pytest.approx(ALPHA**DELTA / (math.e * DELTA * math.log(ALPHA)), rel=1e-4)


def test_wiou2_counts_a_box_by_the_root_of_its_outlier_degree() -> None:
    line = curve("wiou2", 0.5)
    np.testing.assert_allclose(line["gain"], np.sqrt((1 - line["iou"]) / 0.5), rtol=1e-4)


def test_csv_holds_every_point(tmp_path: Path) -> None:
    points = curves([load_config("wiou3"), load_config("ciou")], (0.5,))
    write_csv(points, tmp_path / "curves.csv")
    rows = list(csv.DictReader((tmp_path / "curves.csv").open(encoding="utf-8")))
    assert len(rows) == len(points)
    assert rows[0]["loss"] == "wiou3"
    assert rows[0]["mean"] == "0.5"
    assert rows[-1]["mean"] == ""
    assert [float(row["iou"]) for row in rows] == pytest.approx([point.iou for point in points], abs=1e-6)


def test_no_name_is_a_formula_in_a_spreadsheet(tmp_path: Path) -> None:
    named = [replace(point, loss="=1+1") for point in curves([load_config("ciou")])]
    write_csv(named, tmp_path / "curves.csv")
    assert next(csv.DictReader((tmp_path / "curves.csv").open(encoding="utf-8")))["loss"] == "'=1+1"


@pytest.mark.parametrize("names", [["ciou"], ["wiou3"], available_losses()[:8], available_losses()[-12:]])
def test_the_picture_is_drawn(tmp_path: Path, names: list[str]) -> None:
    points: list[CurvePoint] = curves([load_config(name) for name in names])
    plot(points, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
