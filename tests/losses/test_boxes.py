"""BoxPair's own gradient, and what it does with boxes that are none."""

from __future__ import annotations

import pytest
import torch
from helpers.float64 import tensors
from helpers.formulas import Geo
from helpers.pairs import random_pairs

from yolo_wiou.losses import BoxPair
from yolo_wiou.losses._geometry import Centres, Corners


def pairs(n: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    return tensors(random_pairs(n, seed=11))


@pytest.mark.parametrize("used", [*((i,) for i in range(7)), (1, 2), (4, 5), (4, 5, 6), (0, 3, 4), tuple(range(7))])
def test_closed_form_gradients(used: tuple[int, ...]) -> None:
    """Of every quantity alone and of all together: what a loss does not use has no gradient to add."""
    pred, target = pairs()
    pair = BoxPair.of(pred, target)
    by_corners = lambda corners: tuple(Corners.apply(corners, target)[i] for i in used)  # noqa: E731
    by_centres = lambda *boxes: tuple(Centres.apply(*boxes, pair.target_size)[i] for i in used)  # noqa: E731
    assert torch.autograd.gradcheck(by_corners, pred.requires_grad_())
    assert torch.autograd.gradcheck(by_centres, (pair.offset.requires_grad_(), pair.size.requires_grad_()))


def test_corners_and_centres_give_the_same() -> None:
    pred, target = pairs()
    by_corners = Corners.apply(pred, target)
    by_centres = Centres.apply(by_corners[1], by_corners[2], by_corners[-1])
    for value, expected in zip(by_centres, by_corners, strict=True):
        torch.testing.assert_close(value, expected)


def test_geometry_against_the_oracle_s() -> None:
    boxes = random_pairs(50, seed=12)
    pair = BoxPair.of(*tensors(boxes))
    for i, (b, g) in enumerate(boxes):
        geo = Geo(b, g)
        got = (pair.iou, pair.union, pair.distance2, pair.diagonal2, *pair.size, *pair.enclosing, *pair.offset)
        expected = (geo.iou, geo.union, geo.rho2, geo.c2, geo.w, geo.h, geo.cw, geo.ch, geo.dx, geo.dy)
        assert [float(value[i]) for value in got] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_scaling_and_interpolation_are_those_of_the_boxes() -> None:
    pred, target = pairs()

    def centre(box: torch.Tensor) -> torch.Tensor:
        return box.view(-1, 2, 2).mean(1).repeat(1, 2)

    for ratio in (0.5, 0.75, 1.25, 2.0):
        scaled = [centre(box) + ratio * (box - centre(box)) for box in (pred, target)]
        torch.testing.assert_close(BoxPair.of(pred, target).scaled(ratio).iou, BoxPair.of(*scaled).iou)
    between = pred + 0.98 * (target - pred)
    torch.testing.assert_close(BoxPair.of(pred, target).interpolated(0.98).iou, BoxPair.of(between, target).iou)


def test_swapped_corners_are_the_point_at_the_first_and_pulled_open() -> None:
    target = torch.tensor([[2.0, 3.0, 8.0, 5.0]])
    pred = torch.tensor([[9.0, 7.0, 1.0, 5.0]], requires_grad=True)
    swapped, point = BoxPair.of(pred, target), BoxPair.of(torch.tensor([[9.0, 7.0, 9.0, 7.0]]), target)
    for name in ("size", "iou", "distance2", "diagonal2"):
        torch.testing.assert_close(getattr(swapped, name), getattr(point, name))
    (gradient,) = torch.autograd.grad(-swapped.size.sum(), pred)
    assert gradient.tolist() == [[1, 1, -1, -1]]
