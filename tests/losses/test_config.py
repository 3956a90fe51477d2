"""Configurations: names, files, mappings, overrides, and back."""

from __future__ import annotations

import ast
import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from yolo_wiou import ConfigError, available_losses, load_loss
from yolo_wiou.files import CFG
from yolo_wiou.losses.presets import as_plain, load_config


@pytest.mark.parametrize("name", ["wiou3", "WIoU3", "wiou-v3", "WIoUv3", "wiou_3", "Wise-IoU v3"])
def test_spellings_of_a_preset(name: str) -> None:
    assert load_config(name) == load_config("wiou3")


@pytest.mark.parametrize("name", available_losses())
def test_every_form_gives_the_same_back(name: str, tmp_path: Path) -> None:
    config = load_config(name)
    changed = load_config(name, {"running_mean.converge": 0.5})
    for loss in (config, changed):
        (tmp_path / "copy.yaml").write_text(loss.to_yaml())
        assert load_config(as_plain(loss)) == load_config(loss.model_dump(mode="json")) == loss
        assert load_config(tmp_path / "copy.yaml").model_copy(update={"name": loss.name}) == loss
        assert pickle.loads(pickle.dumps(loss)) == copy.deepcopy(loss) == loss
        assert load_config(ast.literal_eval(repr(as_plain(loss)))) == loss  # what a worker of an older release reads
    assert as_plain(config) == name
    assert changed.name == f"{name}*"


def test_a_name_never_stands_for_another_formula(tmp_path: Path) -> None:
    """A preset's name in a file or a mapping means that preset; whatever differs is called otherwise."""
    assert load_config({"name": "wiou3"}) == load_config("wiou3")
    assert load_config({"name": "wiou3", "gain": {"delta": 5}}) == load_config("wiou3", {"gain.delta": 5})
    file = tmp_path / "mine.yaml"
    file.write_text("name: wiou3\ngain: {delta: 5}\n")
    assert load_config(file).name == "mine"
    assert load_config(file).gain == load_config("wiou3", {"gain.delta": 5}).gain
    assert load_config("wiou3", {"gain.delta": 5}).name == "wiou3*"
    assert load_config("wiou3", {"gain.delta": 3.0}).name == "wiou3"
    assert load_config({"penalty": "siou"}).name == "custom"


def test_a_preset_s_own_file_is_the_preset() -> None:
    assert load_config(CFG / "losses" / "siou.yaml") == load_config("siou")
    assert load_config(CFG / "losses" / "wiou3.yaml", {"gain.delta": 9}).name == "wiou3*"


def test_a_setting_that_stands_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    for text, message in (
        (
            "penalty: ciou\ngain: {name: nonmonotonic, delta: 3, delta: 5}\n",
            "line 2, column 38: 'delta' stands in line 2",
        ),
        ("penalty: ciou\npenalty: siou\n", "line 2, column 1: 'penalty' stands in line 1 already"),
        ("gain: {name: nonmonotonic, delta: 3}\ngain.delta: 5\n", "'loss.gain.delta' stands twice in one loss"),
    ):
        file.write_text(text)
        with pytest.raises(ConfigError, match=message):
            load_config(file)


def test_a_new_name_starts_its_section_afresh() -> None:
    config = load_config("focal-eiou", {"gain.delta": 5, "gain.name": "nonmonotonic"})
    assert config.gain.model_dump() == {"name": "nonmonotonic", "dfl": False, "alpha": 1.9, "delta": 5.0}
    assert load_config("wiou3", {"gain": "monotonic", "gain.gamma": 1}).gain.model_dump()["gamma"] == 1


def test_the_design_s_own_example() -> None:
    config = load_config("shape-iou", {"overlap.inner": 0.75, "gain.name": "nonmonotonic", "gain.delta": 5})
    assert str(config) == (
        "shape-iou* = nonmonotonic(alpha=1.9, delta=5.0) · (1 - iou(inner=0.75) + shape(scale=0.0, theta=4.0))"
    )


def test_configurations_do_not_change() -> None:
    config = load_config("wiou3")
    with pytest.raises(ValidationError, match="frozen"):
        config.power = 2  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        config.gain.delta = 2  # type: ignore[attr-defined]
    assert load_config("wiou3", {"gain.delta": 9}) != load_config("wiou3") == config


@pytest.mark.parametrize(
    ("loss", "overrides", "reason"),
    [
        ("wiou3", {"running_mean.momentum": True}, "'auto' or a number"),
        ("wiou3", {"gain.dfl": "perhaps"}, "loss.gain.dfl=perhaps"),
        ("wiou3", {"scale": 2}, "loss.scale=2 is wrong"),
        ("iou", {"overlap.focaler": [0.9, 0.1]}, "two numbers d < u"),
        (3, {}, "needs a name or a YAML file"),
        ("ciou,wiou3", {}, "To compare them: yolo-wiou compare losses=ciou,wiou3"),
    ],
)
def test_a_wrong_value_is_refused_with_the_reason(loss: Any, overrides: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(loss, overrides)
    assert reason in str(error.value)


def test_a_loss_can_be_saved_whole(tmp_path: Path) -> None:
    loss = load_loss("wiou3", **{"running_mean.momentum": 0.1})
    box = torch.tensor([[0.0, 0.0, 3.0, 2.0]])
    loss(box.clone().requires_grad_(), box + 1)
    torch.save(loss, tmp_path / "loss.pt")
    loaded = torch.load(tmp_path / "loss.pt", weights_only=False)
    assert loaded.running_mean.export_state() == loss.running_mean.export_state()
    assert torch.equal(loaded(box, box + 1), loss(box, box + 1))
    assert "wiou3* = nonmonotonic" in repr(loss)
