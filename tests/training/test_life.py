"""Whatever a run is asked for and whatever it meets, its heads keep their loss, its state is that of its batches."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.running import MODEL, TINY, columns
from torch import Tensor
from ultralytics.cfg import DEFAULT_CFG_DICT
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils import DEFAULT_CFG, LOGGER

from yolo_wiou import YOLO, ConfigError, FocusedDetectionLoss
from yolo_wiou.cli.main import run_command
from yolo_wiou.training.checkpoint import ATTRIBUTE, memories_of
from yolo_wiou.training.criterion import unwrap


class Watch:
    """A user's callbacks: what they see at every event of a run."""

    def __init__(self, model: YOLO) -> None:
        self.batches = 0
        self.length = (0, 0)
        self.unfinished: list[list[float]] = []
        self.columns: list[dict[str, float]] = []
        self.epochs: list[int] = []
        for event in ("on_train_batch_start", "on_train_batch_end", "on_train_epoch_end"):
            model.add_callback(event, getattr(self, event))

    def on_train_batch_start(self, trainer: Any) -> None:
        self.unfinished += [mean.seen.tolist() for mean in trainer.means.values()]

    def on_train_batch_end(self, trainer: Any) -> None:
        self.batches += 1
        criterion = unwrap(trainer.model).criterion
        for path, head in trainer.heads.items():
            assert functools.reduce(getattr, filter(None, path.split(".")), criterion).bbox_loss is head
            assert head.box_loss.running_mean.mean.dtype == torch.float32

    def on_train_epoch_end(self, trainer: Any) -> None:
        self.epochs.append(trainer.epoch)
        self.length = len(trainer.train_loader), trainer.epochs
        self.columns.append({key: value for key, value in trainer.lr.items() if key.startswith("wiou/")})


def train(shapes: Path, folder: Path, **arguments: Any) -> tuple[Any, Watch]:
    """Train with wiou3, check what holds for every run, and return its trainer and what was seen."""
    model = YOLO(arguments.pop("model", MODEL))
    watch = Watch(model)
    for event in {"on_train_start", "on_train_epoch_start", "on_train_epoch_end"} & set(arguments):
        model.add_callback(event, arguments.pop(event))
    model.train(**{**TINY, "data": shapes, "loss": "wiou3", "project": folder, "name": "run", **arguments})
    trainer, table = model.trainer, columns(folder / "run")
    assert watch.epochs == list(range(len(watch.epochs)))  # each event once
    for name in watch.columns[0]:
        assert table[name] == pytest.approx([seen[name] for seen in watch.columns], rel=1e-5)
        assert all(math.isfinite(value) for value in table[name])
    kept = getattr(torch.load(trainer.last, weights_only=False)["model"], ATTRIBUTE)["heads"]
    assert set(kept) == set(trainer.means)
    for path, state in kept.items():
        suffix = "" if path in {"", "one2one"} else f"_{path}"
        assert state["steps"] == watch.batches
        assert state["mean"] == pytest.approx(table[f"wiou/running_mean{suffix}"][-1], rel=1e-5)
        assert 0 < state["mean"] < 1
        assert state["momentum"] == momentum(*watch.length)
    return trainer, watch


def momentum(batches: int, epochs: int) -> Any:
    return pytest.approx(1 - 0.05 ** (1 / (0.28 * epochs * batches)))


def bad_start(trainer: Any) -> None:
    """No epoch will be better than what the stopper remembers."""
    trainer.stopper.best_fitness = 1.0


SITUATIONS: dict[str, dict[str, Any]] = {
    "frozen, reweighted, scaled": {"freeze": 10, "cls_pw": 0.5, "multi_scale": 0.5, "fraction": 0.7},
    "rectangles of one class": {"rect": True, "single_cls": True, "close_mosaic": 1, "save_period": 1, "val": False},
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_arguments_change_nothing_about_the_loss(situation: str, shapes: Path, tmp_path: Path) -> None:
    trainer, watch = train(
        shapes, tmp_path, **{k: v for k, v in SITUATIONS[situation].items() if k in DEFAULT_CFG_DICT}
    )
    assert watch.batches == 2 * len(trainer.train_loader)
    assert sorted(file.name for file in trainer.wdir.iterdir()) == sorted(
        ["best.pt", "last.pt", *["epoch0.pt", "epoch1.pt"] * (trainer.args.save_period == 1)]
    )


def test_early_stop(shapes: Path, tmp_path: Path) -> None:
    trainer, watch = train(shapes, tmp_path, patience=1, epochs=5, on_train_start=bad_start)
    assert watch.epochs == [0]
    assert trainer.means[""].steps == 3


def test_the_momentum_follows_the_epochs_that_a_time_limit_leaves(shapes: Path, tmp_path: Path) -> None:
    def enough(trainer: Any) -> None:
        if trainer.epoch == 1:
            trainer.args.time = 1e-9

    _, watch = train(shapes, tmp_path, time=10, epochs=5, on_train_epoch_end=enough)
    assert watch.epochs == [0, 1]
    assert watch.length[1] > 5  # as many as ten hours would have allowed


@pytest.mark.parametrize(("moment", "loss"), [("forward", "wiou3"), ("backward", "wiou3"), ("backward", "trust")])
def test_out_of_memory(moment: str, loss: str, shapes: Path, tmp_path: Path) -> None:
    """Ultralytics halves the batch and starts the epoch again; what the lost step saw is forgotten."""
    steps: list[Any] = []
    remembered: list[bool] = []

    def fail(trainer: Any) -> None:
        place, name = (trainer, "preprocess_batch") if moment == "forward" else (trainer.scaler, "scale")
        stock = getattr(place, name)

        def second_step_fails(x: Any) -> Any:
            steps.append(x)
            if len(steps) == 2:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return stock(x)

        setattr(place, name, second_step_fails)

    def look(trainer: Any) -> None:
        remembered.extend(bool(memory.seen.any()) for memory in memories_of(trainer.heads).values())

    trainer, watch = train(shapes, tmp_path, on_train_start=fail, on_train_epoch_start=look, loss=loss)
    assert trainer.batch_size == 2
    assert len(remembered) == (3 if loss == "trust" else 0)
    assert not any(remembered)
    assert watch.batches == 1 + 2 * 6  # the step before the failure counted, as did its optimizer's
    assert watch.unfinished
    assert not any(map(any, watch.unfinished))


def test_a_criterion_that_a_callback_exchanges_gets_the_loss_again(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, runs = [], {}
    monkeypatch.setattr(LOGGER, "warning", lambda message, *_: said.append(message))
    exchanges = {
        "none": lambda trainer: None,
        "forgotten": lambda trainer: setattr(trainer.model, "criterion", None),  # Ultralytics then makes one of its own
        "stock": lambda trainer: setattr(trainer.model, "criterion", trainer.model.init_criterion()),
    }
    for name, exchange in exchanges.items():
        model = YOLO(MODEL)
        model.add_callback("on_train_start", exchange)
        model.train(data=shapes, loss="wiou3", project=tmp_path, name=name, **TINY)
        runs[name] = {key: value for key, value in columns(tmp_path / name).items() if key != "time"}
        assert sum("wiou3 is put on it again" in message for message in said) == (name != "none")
        said.clear()
    assert runs["none"] == runs["forgotten"] == runs["stock"]


@pytest.mark.parametrize("loss", ["wiou3", "trust"])  # which numbers labels
def test_an_epoch_whose_boxes_the_loss_does_not_see_is_named(
    loss: str, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []
    monkeypatch.setattr(LOGGER, "warning", lambda message, *_: said.append(message))
    model = YOLO(MODEL)  # exchanged when the epoch has begun, every time
    model.add_callback("on_train_epoch_start", lambda trainer: setattr(trainer.model, "criterion", None))
    model.train(data=shapes, loss=loss, project=tmp_path, name="run", **TINY)
    assert sum(f"no box reached '{loss}'" in message for message in said) == 2


def test_two_runs_in_one_process_share_nothing(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both by the command line; the second has another loss, which its own few steps have moved."""
    monkeypatch.chdir(tmp_path)
    arguments = [f"{key}={value}" for key, value in {**TINY, "epochs": 1, "project": tmp_path, "data": shapes}.items()]
    states = {}
    for loss in ("wiou3", "siou-v3"):
        assert run_command(["train", f"model={MODEL}", *arguments, f"loss={loss}", f"name={loss}"]) == 0
        model = torch.load(tmp_path / loss / "weights" / "last.pt", weights_only=False)["model"]
        states[loss] = getattr(model, ATTRIBUTE)
    for loss, state in states.items():
        assert state["loss"]["name"] == loss
        assert state["heads"][""]["steps"] == 3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("loss", ["wiou3", "ciou", "nwd", "focal-eiou", "alpha-ciou", "trust", "slide", "mal"])
def test_half_precision(dtype: torch.dtype, loss: str) -> None:
    """The head's output in another dtype, inside of autocast: the loss is that in float32 of the same numbers."""
    torch.manual_seed(0)
    model = DetectionModel("yolo11n.yaml", nc=2, verbose=False)
    model.args = DEFAULT_CFG
    batch = {
        "img": torch.rand(2, 3, 96, 96),
        "batch_idx": torch.tensor([0, 1]),
        "cls": torch.zeros(2, 1),
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.6], [0.3, 0.6, 0.5, 0.3]]),
    }
    preds = model(batch["img"])
    seen = {}
    for name, cast in {"half": dtype, "whole": torch.float32}.items():
        criterion = FocusedDetectionLoss(model, loss=loss)
        leaves: list[Tensor] = []

        def convert(x: Any, cast: torch.dtype = cast, leaves: list[Tensor] = leaves) -> Any:
            if isinstance(x, dict):
                return {key: convert(value) for key, value in x.items()}
            if isinstance(x, (list, tuple)):
                return [convert(value) for value in x]
            leaves.append(x.detach().to(dtype).to(cast).requires_grad_())
            return leaves[-1]

        with torch.autocast("cpu", dtype, enabled=name == "half"):
            value = criterion(convert(preds), batch)[0]
        value.sum().backward()
        mean = criterion.bbox_loss.box_loss.running_mean
        assert mean.mean.dtype == torch.float32
        assert all(leaf.grad is None or leaf.grad.isfinite().all() for leaf in leaves)
        seen[name] = value.flatten().tolist(), mean.mean.item()
    assert seen["half"][0] == pytest.approx(seen["whole"][0], rel=0.05)
    assert seen["half"][1] == pytest.approx(seen["whole"][1], rel=1e-4)


def test_compiled_models_are_looked_into(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.compile's wrapper; its default backend takes minutes on a processor, so that is the slow test's."""
    as_it_is: Any = lambda run: run  # noqa: E731
    monkeypatch.setattr(torch, "compile", lambda model, **_: torch._dynamo.OptimizedModule(model, as_it_is))
    trainer, watch = train(shapes, tmp_path, compile=True)
    assert hasattr(trainer.model, "_orig_mod")
    assert watch.batches == 6


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [{"compile": True}, {"distill_model": True}], ids=lambda a: next(iter(a)))
def test_slow_situations(arguments: dict[str, Any], shapes: Path, tmp_path: Path) -> None:
    if not set(arguments) <= set(DEFAULT_CFG_DICT):
        pytest.skip("this Ultralytics has no such argument")
    if "distill_model" in arguments:
        YOLO(MODEL).train(**{**TINY, "data": shapes, "project": tmp_path, "name": "teacher"})
        arguments = {"distill_model": str(tmp_path / "teacher" / "weights" / "best.pt")}
    _, watch = train(shapes, tmp_path, **arguments)
    assert watch.batches == 6


def test_tuning_is_refused_where_it_would_silently_train_ciou(shapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="know CIoU alone"):
        YOLO(MODEL).tune(data=shapes, loss="wiou3")
    for command in (["tune"], ["detect", "mode=tune", "loss=wiou3"]):
        assert run_command([*command, f"data={shapes}"]) == 2
        assert "know CIoU alone" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.needs("ray")
def test_ray_s_workers_train_with_the_loss(shapes: Path, tmp_path: Path) -> None:
    tune = pytest.importorskip("ray.tune", exc_type=ImportError)
    model = YOLO(MODEL)
    space = {"loss.gain.delta": tune.choice([4.5])}
    arguments = {**TINY, "epochs": 1, "project": str(tmp_path), "name": "tuned", "data": str(shapes)}
    trials = model.tune(use_ray=True, iterations=1, loss="wiou3", space=space, search_alg="random", **arguments)
    assert not trials.errors
    (last,) = tmp_path.rglob("last.pt")
    ckpt = torch.load(last, weights_only=False)
    state = getattr(ckpt["ema"] or ckpt["model"], ATTRIBUTE)  # Ray stops a trial as soon as its last epoch is over
    assert (state["loss"]["penalty"]["name"], state["loss"]["gain"]["delta"]) == ("wiou", 4.5)
    assert "loss" not in model.overrides  # predict and val go on as before
