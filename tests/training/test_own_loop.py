"""In one's own training loop: docs/own-loop.md as it stands, and what is said of a mistake there."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.running import ROOT
from torch import Tensor, nn
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils import DEFAULT_CFG

from yolo_wiou import YOLO, ConfigError, FocusedDetectionLoss, load_loss

PAGE = (ROOT / "docs" / "own-loop.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"## ([^\n]+)\n.*?```python\n(.*?)```", PAGE, re.DOTALL)
MOMENTUM = {"running_mean.momentum": 0.01}


@pytest.mark.parametrize(("title", "block"), BLOCKS, ids=[title for title, _ in BLOCKS])
@pytest.mark.filterwarnings("error:outside a trainer")
def test_the_page_runs(title: str, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(block, title, "exec"), names)
    if "state" in names:
        assert names["state"]["running_mean.steps"] == 3
        assert names["loss"].isfinite().all()
    if "box_losses" in names:
        assert list(names["box_losses"]) == ["one2many", "one2one"]


def test_the_page_has_a_block_in_every_section() -> None:
    assert len(BLOCKS) == PAGE.count("\n## ") == 3


@pytest.fixture
def model() -> Any:
    return YOLO("yolo11n.yaml").model


def test_a_criterion_reads_gains_from_whatever_the_model_has(model: Any) -> None:
    """A namespace as a trainer sets it, or a mapping; a checkpoint's lacks all but a few keys."""
    batch = {
        "img": torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)),
        "batch_idx": torch.zeros(1),
        "cls": torch.zeros(1, 1),
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.6]]),
    }
    predictions, losses = model.train()(batch["img"]), []
    for args in (DEFAULT_CFG, model.args, {"imgsz": 640}, {"box": 15.0}):
        model.args = args
        losses.append(FocusedDetectionLoss(model, "siou", tal_topk=10)(predictions, batch)[0].detach())
    assert torch.equal(losses[0], losses[1])
    assert torch.equal(losses[0], losses[2])
    assert losses[3].sum() > losses[0].sum()


def test_what_a_criterion_cannot_take_is_said_at_once(model: Any) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'wiou3'"):
        FocusedDetectionLoss(model, "wiuo3")
    with pytest.raises(ConfigError, match="needs a name or a YAML file"):
        FocusedDetectionLoss(model, 10)  # type: ignore[arg-type]  # a place that stock has for tal_topk
    with pytest.raises(ConfigError, match=r"model\.args = ultralytics\.cfg\.get_cfg\(\)"):
        FocusedDetectionLoss(DetectionModel("yolo11n.yaml", verbose=False), "siou")
    end_to_end = YOLO("yolov10n.yaml").model
    end_to_end.args = get_cfg()
    with pytest.raises(ConfigError, match=r"end-to-end.*model\.init_criterion\(\)"):
        FocusedDetectionLoss(end_to_end, "siou")


@pytest.mark.parametrize("build", [load_loss, partial(FocusedDetectionLoss, YOLO("yolo11n.yaml").model)])
def test_a_mean_that_will_hardly_move_is_warned_of(build: Callable[..., Any], recwarn: pytest.WarningsRecorder) -> None:
    for quiet in ("siou", "focal-eiou", {"name": "wiou3", "running_mean": {"momentum": 0.01}}):
        build(quiet)
    assert not [w for w in recwarn if "outside a trainer" in str(w.message)]
    with pytest.warns(UserWarning, match=r"running mean of 'wiou3' takes 30,260 calls.*running_mean\.momentum") as said:
        build("wiou3")
    assert said[0].filename == __file__


def test_boxes_in_the_wrong_order_or_form_are_refused() -> None:
    loss, box = load_loss("ciou"), torch.tensor([[0.0, 0.0, 4.0, 2.0]])
    with pytest.raises(ValueError, match=r"the prediction comes first, loss\(pred, target\)"):
        loss(box, box.clone().requires_grad_())
    with torch.no_grad():
        assert loss(box, nn.Parameter(box)) == 0
    for boxes in ([[0, 0, 4, 2]], box.numpy()):
        kind = type(boxes).__name__
        with pytest.raises(TypeError, match=rf"two tensors of boxes, \(N, 4\) xyxy, not {kind} and Tensor"):
            loss(boxes, box)


def test_the_warned_of_mean_hardly_moves_and_the_advised_one_does() -> None:
    box = torch.tensor([[0.0, 0.0, 4.0, 2.0]])
    means: list[Tensor] = []
    for settings in ({}, MOMENTUM):
        loss = load_loss("wiou3", **settings)
        for _ in range(300):
            loss(box.clone().requires_grad_(), box + 0.5)
        means.append(loss.running_mean.mean)
    assert means[0] > 0.95
    assert means[1] < 0.55  # the IoU loss is 0.51
