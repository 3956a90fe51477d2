"""Every label of the training split stays the same one through the data pipeline, up to the positives of a step."""

from __future__ import annotations

import pickle
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from helpers.running import MODELS, ROOT, TINY
from torch import Tensor
from ultralytics.data import build_dataloader, build_yolo_dataset
from ultralytics.utils import DEFAULT_CFG_DICT, IterableSimpleNamespace

from yolo_wiou import GAINS, YOLO, ConfigError
from yolo_wiou.data.yolo_format import label_file, read_lines
from yolo_wiou.losses import RotatedPair
from yolo_wiou.losses.positives import AnyPair, Objects
from yolo_wiou.training.label_ids import LabelIds
from yolo_wiou.training.preflight import describe

FIXTURES = ROOT / "tests" / "fixtures"


@pytest.fixture(scope="module")
def told_apart(task_data: dict[str, Path], shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """data.yaml by task; every label has a class of its own, one file a blank line, one two lines twice."""
    root, made = tmp_path_factory.mktemp("apart"), {}
    for task, data in {"detect": shapes, **task_data}.items():
        shutil.copytree(data.parent, root / task)
        count = 0
        for number, file in enumerate(sorted((root / task / "labels" / "train").iterdir())):
            lines = [f"{count + i} {line.split(' ', 1)[1]}" for i, line in enumerate(file.read_text().splitlines())]
            count += len(lines)
            extra = {1: ["", *lines], 2: [lines[-1], *lines, lines[0]]}.get(number, lines)
            file.write_text("\n".join(extra) + "\n")
        described = yaml.safe_load(data.read_text())
        described.pop("path", None)
        described["names"] = [str(number) for number in range(count)]
        described.pop("nc", None)
        made[task] = root / task / "data.yaml"
        made[task].write_text(yaml.safe_dump(described))
    return made


def epoch_of(dataset: Any, workers: int) -> list[dict[str, Any]]:
    """The batches of an epoch, the same for the same data set."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    loader = build_dataloader(dataset, batch=4, workers=workers, shuffle=not dataset.rect)
    batches = list(loader)
    del loader  # and its processes
    return batches


def dataset_of(data: Path, task: str, settings: dict[str, Any]) -> Any:
    arguments = {"task": task, "imgsz": 64, "mosaic": 1.0, **settings}
    cfg = IterableSimpleNamespace(**{**DEFAULT_CFG_DICT, **arguments})
    description = describe(data)
    if cfg.single_cls:
        description.update(names={0: "item"}, nc=1)
    return build_yolo_dataset(cfg, description["train"], 4, description, mode="train", stride=32)


@pytest.mark.parametrize(
    ("task", "settings", "workers"),
    [
        ("detect", {}, 0),
        ("detect", {"mixup": 1.0, "flipud": 0.5, "degrees": 20.0, "shear": 5.0, "scale": 0.9}, 0),
        ("detect", {"cutmix": 1.0}, 0),
        ("detect", {}, 2),
        ("detect", {"rect": True, "mosaic": 0.0}, 0),
        ("detect", {"cache": "ram"}, 0),
        ("detect", {"cache": "disk"}, 0),
        ("detect", {"fraction": 0.5}, 0),
        ("detect", {"single_cls": True}, 0),
        ("detect", {"classes": [3, 4, 5, 8, 9, 11]}, 0),
        ("segment", {"copy_paste": 1.0, "overlap_mask": True}, 0),
        ("segment", {"copy_paste": 1.0, "copy_paste_mode": "mixup", "overlap_mask": False}, 0),
        ("pose", {"fliplr": 0.5}, 0),
        ("obb", {"degrees": 90.0}, 0),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else str(value),
)
def test_a_batch_says_which_labels_it_holds_and_is_otherwise_stocks(
    told_apart: dict[str, Path], task: str, settings: dict[str, Any], workers: int
) -> None:
    """Each label has a class of its own, so stock's batch says which is which, whatever becomes of the boxes."""
    plain = {key: value for key, value in settings.items() if key != "single_cls"}  # it moves no box
    theirs = epoch_of(dataset_of(told_apart[task], task, plain), workers)
    dataset = dataset_of(told_apart[task], task, settings)
    ids = LabelIds(dataset)
    lines = ids.lines()
    assert len(set(lines)) == len(lines) == len(ids)
    own = [int(read_lines(label_file(Path(image)))[line - 1].split()[0]) for image, line in lines]
    ours, seen = epoch_of(dataset, workers), set()
    for batch, stock in zip(ours, theirs, strict=True):
        ids.restore_masks(batch)
        numbers = ids.read(batch["cls"].flatten())[0].tolist()
        assert [own[number] for number in numbers] == stock["cls"].flatten().tolist()
        seen |= set(numbers)
        again = {**batch, **({} if settings.get("single_cls") else {"cls": ids.with_classes(batch)["cls"]})}
        same = [key for key in stock if isinstance(stock[key], torch.Tensor) and key != "cls"]
        assert all(torch.equal(again[key], stock[key]) for key in same)
        assert settings.get("single_cls") or torch.equal(again["cls"], stock["cls"])
        assert not settings.get("single_cls") or not ids.with_classes(batch)["cls"].any()
    assert len(seen) > len(ids) / 2


def test_a_line_that_another_repeats_is_the_first_of_both(told_apart: dict[str, Path]) -> None:
    ids = LabelIds(dataset_of(told_apart["detect"], "detect", {}))
    image = sorted({image for image, _ in ids.lines()})[2]
    count = len(read_lines(label_file(Path(image))))
    lines = sorted(line for other, line in ids.lines() if other == image)
    assert lines == list(range(1, count - 1))  # the last two repeat the first two


WITHOUT_AUGMENTATION = {"mosaic": 0.0, "scale": 0.0, "translate": 0.0, "fliplr": 0.0, "erasing": 0.0}


@pytest.mark.parametrize("task", ["detect", "segment", "pose", "obb", "rtdetr"])
def test_a_gain_may_ask_which_label_each_positive_predicts(
    told_apart: dict[str, Path], detr: Path, task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without augmentation a positive's target is its label's box."""
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    monkeypatch.setattr(GAINS, "functions", dict(GAINS.functions))
    monkeypatch.setattr(GAINS, "components", dict(GAINS.components))
    monkeypatch.setattr(GAINS, "rules", dict(GAINS.rules))

    @GAINS.register("spy")
    def spy(pair: AnyPair, labels: Objects | None, loss: Tensor) -> Tensor:
        if labels is not None:
            stride = torch.as_tensor(pair.stride).expand(len(loss))
            target = pair.target[:, :2].T if isinstance(pair, RotatedPair) else pair.target_size
            seen.append((labels.index.clone(), target.detach() * stride / 64))
            assert labels.count == len(model.trainer.label_ids)
        return torch.ones_like(loss)

    model = YOLO(detr if task == "rtdetr" else MODELS.get(task, FIXTURES / "tiny.yaml"))
    loss = {"overlap": "iou", "gain": "spy"}
    data = told_apart["detect" if task == "rtdetr" else task]
    arguments = {**TINY, **WITHOUT_AUGMENTATION, "epochs": 1}
    model.train(data=data, loss=loss, project=tmp_path, name="run", **arguments)
    boxes = torch.from_numpy(model.trainer.label_ids.boxes())
    expected = boxes[:, :2] if task == "obb" else boxes[:, 2:]
    assert len({index for indices, _ in seen for index in indices.tolist()}) > len(boxes) / 2
    for index, target in seen:
        torch.testing.assert_close(target.T, expected[index], rtol=0, atol=2e-3)
    assert not (tmp_path / "run" / "labels.csv").exists()  # nothing is recorded unless asked for


def test_a_numbered_data_set_reaches_processes_that_import_it_anew(told_apart: dict[str, Path]) -> None:
    dataset = dataset_of(told_apart["detect"], "detect", {})
    LabelIds(dataset)
    copy = pickle.loads(pickle.dumps(dataset))
    numbers = [copy.get_image_and_label(index)["cls"] for index in (0, 3)]
    assert all(map(np.array_equal, numbers, [dataset.get_image_and_label(index)["cls"] for index in (0, 3)]))
    assert numbers[1].min() > numbers[0].max() > len(dataset.data["names"])


def test_labels_that_cannot_be_told_apart_are_refused(told_apart: dict[str, Path]) -> None:
    dataset = dataset_of(told_apart["detect"], "detect", {})
    LabelIds(dataset)
    with pytest.raises(ConfigError, match="labels of a NumberedDataset cannot be told apart"):
        LabelIds(dataset)
