"""What a training step holds at its peak, from the allocator's trace: our criterion against stock."""

from __future__ import annotations

import pytest
import torch
from helpers.cost import peak_bytes
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils import DEFAULT_CFG
from ultralytics.utils.loss import v8DetectionLoss

from yolo_wiou import FocusedDetectionLoss


@pytest.mark.parametrize("loss", ["ciou", "wiou3", "inner-siou", "iou-balanced"])
def test_a_training_step_peaks_no_higher_than_stock_s(loss: str) -> None:
    torch.manual_seed(0)
    model = DetectionModel("yolo11n.yaml", nc=4, verbose=False)
    model.args = DEFAULT_CFG
    image = torch.rand(2, 3, 128, 128)
    batch = {
        "batch_idx": torch.arange(20) // 10,
        "cls": torch.randint(4, (20, 1)).float(),
        "bboxes": torch.cat((0.2 + 0.6 * torch.rand(20, 2), 0.1 + 0.5 * torch.rand(20, 2)), 1),
    }

    def peak(criterion: v8DetectionLoss) -> int:
        def step() -> None:
            criterion(model(image), batch)[0].sum().backward()

        step()  # gradients of the weights, and what is made once, are there from here on
        return peak_bytes(step)

    stock = peak(v8DetectionLoss(model))
    assert stock > 10e6  # the trace sees the network
    assert peak(FocusedDetectionLoss(model, loss=loss)) <= 1.01 * stock
