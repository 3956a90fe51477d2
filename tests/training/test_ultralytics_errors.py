"""A mistake of the user ends in one message; a mistake of ours, or of a library, keeps its traceback."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ultralytics.cfg import check_dict_alignment, get_cfg, parse_key_value_pair
from ultralytics.nn.modules import Conv
from ultralytics.utils import DEFAULT_CFG_DICT
from ultralytics.utils.torch_utils import select_device

from yolo_wiou.cli.main import run_command
from yolo_wiou.errors import ConfigError
from yolo_wiou.files import read_json
from yolo_wiou.training import model
from yolo_wiou.training.ultralytics_errors import raised_by, users_mistakes

TRAIN = ["train", "data=data.yaml", "loss=wiou3"]
CONV, HEAD = "  - [-1, 1, Conv, [16, 3, 2]]", "head:\n  - [[0], 1, Detect, [nc]]\n"
BROKEN_MODELS = {
    "unknown activation": (f"nc: 2\nactivation: nnn.SiLU()\nbackbone:\n{CONV}\n", "name 'nnn' is not defined"),
    "half an activation": (f"nc: 2\nactivation: nn.SiLU(\nbackbone:\n{CONV}\n", "was never closed"),
    "unknown layer": ("nc: 2\nbackbone:\n  - [-1, 1, Konv, [16, 3, 2]]\n", "describes no model: it has no 'Konv'"),
    "word for a number": ("nc: 2\nbackbone:\n  - [-1, 1, Conv, [wide, 3, 2]]\n", "'<' not supported"),
    "sizes that do not divide": ("nc: 2\nbackbone:\n  - [-1, 1, Conv, [16, 3, 2, null, 5]]\n", "divisible by groups"),
    "word for a kernel": ('nc: 2\nbackbone:\n  - [-1, 1, Conv, [16, 3, "two"]]\n', "conv2d() received"),
    "layers that do not fit": (
        f"nc: 2\nbackbone:\n{CONV}\n{CONV}\n  - [[0, 1], 1, Concat, [1]]\n",
        "describes no model: Sizes of tensors must match",
    ),
    "no layers": ("nc: 2\nbackbone:\n", "'NoneType'"),
    "no YAML": ("nc: [2\nbackbone:\n", "'model.yaml' is not YAML: line 2, column 9: "),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\nnames: {0: thing}\n")
    return tmp_path


@pytest.mark.parametrize("mistake", BROKEN_MODELS)
def test_a_model_file_that_ultralytics_cannot_build_is_the_user_s_mistake(
    mistake: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backbone, message = BROKEN_MODELS[mistake]
    (folder / "model.yaml").write_text(backbone + HEAD)
    assert run_command([*TRAIN, "model=model.yaml"]) == 2
    assert message in capsys.readouterr().err


def test_a_type_error_in_our_own_model_is_no_mistake_of_the_user(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "RTDETRDecoder", None)  # isinstance(…, None), in our YOLO.__init__
    with pytest.raises(TypeError, match="isinstance"):
        run_command([*TRAIN, "model=yolo11n.yaml"])


def test_a_key_error_in_our_own_model_is_no_mistake_of_the_user(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "KINDS", {})  # a kind of model that we do not know
    with pytest.raises(KeyError):
        run_command([*TRAIN, "model=yolov8s-world.yaml"])


def test_an_ultralytics_that_is_called_in_a_wrong_way_is_no_mistake_of_the_user() -> None:
    with pytest.raises(TypeError, match="unexpected keyword"), users_mistakes(TypeError):
        select_device("cpu", loud=True)


def test_what_a_function_is_not_known_to_raise_passes_through() -> None:
    with pytest.raises(AssertionError, match="missing 'epochs' value"), users_mistakes(SyntaxError):
        parse_key_value_pair("epochs=")


@pytest.mark.parametrize(
    ("call", "known", "message"),
    [
        (lambda: parse_key_value_pair("epochs="), AssertionError, "missing 'epochs' value"),
        (lambda: check_dict_alignment({"epochs": 1}, {"epohcs": 1}), SyntaxError, r"'epohcs' is not a valid"),
        (lambda: get_cfg(DEFAULT_CFG_DICT, {"epochs": "many"}), TypeError, "'epochs=many' is of invalid type"),
        (lambda: select_device("99", verbose=False), ValueError, "Invalid CUDA 'device=99'"),
        (lambda: check_dict_alignment({"epochs": 1}, {1: 1}), TypeError, "."),  # by difflib, which it calls
        (lambda: Path("nowhere.pt").read_bytes(), OSError, r"cannot open 'nowhere\.pt': No such file or directory\."),
    ],
)
def test_what_it_is_known_to_raise_becomes_a_message_without_the_page_of_help(
    call: Callable[[], Any], known: type[Exception], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as error, users_mistakes(known):
        call()
    assert "Arguments received" not in str(error.value)


def test_a_file_that_we_may_not_open_is_no_mistake_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"), users_mistakes(OSError):
        read_json(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("call", "package"),
    [
        (lambda: parse_key_value_pair("epochs="), "ultralytics"),
        (lambda: Conv(3, 4, g=5), "ultralytics"),  # PyTorch, on its behalf
        (lambda: read_json(Path("nowhere")), "yolo_wiou"),
        (lambda: json.loads("{"), "test_ultralytics_errors"),
        (lambda: pickle.loads(b"nothing"), "test_ultralytics_errors"),
        (lambda: torch.nn.Conv2d(3, 4, 1, groups=5), "test_ultralytics_errors"),
    ],
)
def test_an_error_belongs_to_whoever_raised_it(call: Callable[[], Any], package: str) -> None:
    with pytest.raises(Exception) as error:  # noqa: PT011 - of several kinds
        call()
    assert raised_by(error.value) in {package, "tests"}  # by pytest's import mode
