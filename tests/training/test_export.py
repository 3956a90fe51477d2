"""An export is what stock Ultralytics would have made: the loss has no part in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import ultralytics
from helpers.running import MODEL, TINY

from yolo_wiou import YOLO


@pytest.fixture(scope="module")
def best(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The best checkpoints of a training with a loss of ours, and of a stock one."""
    folder = tmp_path_factory.mktemp("exported")
    for name, kind, loss in (("ours", YOLO, {"loss": "wiou3"}), ("stock", ultralytics.YOLO, {})):
        kind(MODEL).train(data=shapes, project=folder, name=name, **{**TINY, "epochs": 1}, **loss)
    return {name: folder / name / "weights" / "best.pt" for name in ("ours", "stock")}


def torchscript_nodes(file: Path) -> list[Any]:
    """What an exported graph computes, and the sizes of its weights."""
    model = torch.jit.load(file)
    sizes = [list(weight.shape) for weight in model.state_dict().values()]
    return [*(node.kind() for node in model.inlined_graph.nodes()), *sizes]


def onnx_nodes(file: Path) -> list[Any]:
    """What an exported graph computes, and the sizes of its weights."""
    import onnx

    graph = onnx.load(file).graph
    return [*(node.op_type for node in graph.node), *(list(weight.dims) for weight in graph.initializer)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "nodes"),
    [
        ("torchscript", torchscript_nodes),
        pytest.param("onnx", onnx_nodes, marks=pytest.mark.needs("onnx", "onnxslim")),
    ],
)
def test_the_graph_is_that_of_a_stock_training(form: str, nodes: Any, best: dict[str, Path]) -> None:
    files = {name: Path(ultralytics.YOLO(file).export(format=form, imgsz=64)) for name, file in best.items()}
    assert nodes(files["ours"]) == nodes(files["stock"])
    assert len(nodes(files["ours"])) > 100


@pytest.mark.slow
@pytest.mark.needs("onnx", "onnxslim", "onnxruntime")
def test_an_onnx_file_answers_as_the_checkpoint(best: dict[str, Path]) -> None:
    import onnxruntime

    model = ultralytics.YOLO(best["ours"])
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model.model.float().eval()(image)[0].numpy()
    session = onnxruntime.InferenceSession(model.export(format="onnx", imgsz=64))
    (answer,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    assert np.allclose(answer, expected, rtol=1e-3, atol=1e-3)
