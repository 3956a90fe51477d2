"""What a run leaves behind, and what happens to it: files, columns, logs, stop and resume, checkpoints elsewhere."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import ultralytics
import yaml
from helpers.running import COLUMNS, MODEL, TINY, argv_of, columns, shell
from ultralytics.engine.trainer import BaseTrainer

from yolo_wiou import YOLO, ConfigError
from yolo_wiou.losses.presets import load_config
from yolo_wiou.training.checkpoint import ATTRIBUTE

FOUR = {**TINY, "epochs": 4}

WITHOUT_THE_PACKAGE = """
import sys
sys.modules["yolo_wiou"] = None  # any import of it fails
from ultralytics import YOLO
data, folder, *weights = sys.argv[1:]
for file in weights:
    model = YOLO(file)
    assert type(model.model).__module__ == "ultralytics.nn.tasks"
    metrics = model.val(data=data, imgsz=64, plots=False, project=folder)
    assert 0 <= metrics.box.map <= 1
print("EXPORTED", model.export(format="torchscript", imgsz=64))
"""
SAFE_LOAD = [
    pytest.param("", marks=pytest.mark.release("portable"), id="load"),
    pytest.param("1", marks=pytest.mark.release("safe load"), id="safe load"),
]


@pytest.fixture(scope="module")
def run(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Folder and output of one training with wiou3 by the command line, logged to TensorBoard too."""
    folder = tmp_path_factory.mktemp("run")
    settings = {"YOLO_CONFIG_DIR": str(folder / "settings")}
    shell(
        "-c",
        "from ultralytics import SETTINGS; SETTINGS.update(tensorboard=True, mlflow=False)",
        cwd=folder,
        env=settings,
    )
    arguments = argv_of(data=shapes, model=MODEL, project=folder, name="wiou3", **TINY)
    command = ("-m", "yolo_wiou", "train", *arguments, "loss=WIoU-v3", "loss.gain.delta=5")
    done = shell(*command, cwd=folder, env=settings)
    return folder / "wiou3", done.stdout + done.stderr


def test_one_line_says_what_is_active(run: tuple[Path, str]) -> None:
    lines = [line for line in run[1].splitlines() if "yolo-wiou:" in line]
    assert len(lines) == 1
    assert "wiou3* = nonmonotonic(alpha=1.9, delta=5.0) · (1 - iou + wiou)" in lines[0]
    assert "1 head of task detect" in lines[0]
    assert "momentum 0.832" in lines[0]  # 1 - 0.05^(1/(0.28 · 2 epochs · 3 batches))


def test_loss_yaml_is_the_resolved_loss_and_args_yaml_names_it(run: tuple[Path, str]) -> None:
    resolved = load_config(run[0] / "loss.yaml")
    assert resolved.running_mean.momentum == pytest.approx(1 - 0.05 ** (1 / (0.28 * 2 * 3)))
    assert resolved.gain.model_dump()["delta"] == 5
    args = yaml.safe_load((run[0] / "args.yaml").read_text())
    assert load_config(args["loss"]) == load_config("wiou3", {"gain.delta": 5})


@pytest.mark.release("wiou3")
def test_columns_in_results_csv(run: tuple[Path, str]) -> None:
    table = columns(run[0])
    assert list(table)[-len(COLUMNS) :] == COLUMNS
    assert all(0 < iou < 1 for iou in table["wiou/iou"])
    assert table["wiou/running_mean"][0] < 1
    assert all(0 < gain < 2.9 for gain in table["wiou/gain"])
    assert all(0 < table[name][i] != 1 for name in COLUMNS[3:] for i in (0, 1))


@pytest.mark.needs("tensorboard")
def test_columns_in_tensorboard(run: tuple[Path, str]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run[0])).Reload()
    assert set(COLUMNS) <= set(events.Tags()["scalars"])
    logged = [event.value for event in events.Scalars("wiou/running_mean")]
    assert logged == pytest.approx(columns(run[0])["wiou/running_mean"], rel=1e-5)


@pytest.mark.parametrize("safe", SAFE_LOAD)
def test_checkpoint_works_where_the_package_is_not(
    run: tuple[Path, str], killed: Path, shapes: Path, tmp_path: Path, safe: str
) -> None:
    """The best and the last of a finished run, and the last of an interrupted one."""
    if safe and not hasattr(ultralytics.utils, "SAFE_LOAD"):
        pytest.skip("this release has no safe load")
    weights = run[0] / "weights" / "best.pt", run[0] / "weights" / "last.pt", killed / "weights" / "last.pt"
    copies = [shutil.copy(file, tmp_path / f"{number}.pt") for number, file in enumerate(weights)]
    arguments = map(str, (shapes, tmp_path, *copies))
    done = shell("-c", WITHOUT_THE_PACKAGE, *arguments, cwd=tmp_path, env={"ULTRALYTICS_SAFE_LOAD": safe})
    exported = Path(done.stdout.split("EXPORTED ")[1].strip())
    assert torch.jit.load(exported)(torch.zeros(1, 3, 64, 64)).shape[0] == 1


def test_state_in_the_checkpoint_is_plain(run: tuple[Path, str]) -> None:
    model = torch.load(run[0] / "weights" / "best.pt", weights_only=False)["model"]
    state = getattr(model, ATTRIBUTE)
    assert set(state) == {"version", "loss", "heads"}
    assert state["heads"][""]["steps"] in {3, 6}
    assert load_config(state["loss"]).gain.model_dump()["delta"] == 5

    def plain(value: object) -> bool:
        if isinstance(value, dict):
            return all(isinstance(k, str) and plain(v) for k, v in value.items())
        return all(map(plain, value)) if isinstance(value, list) else isinstance(value, (str, int, float, bool))

    assert plain(state)


def test_checkpoint_starts_a_new_run_with_another_loss(run: tuple[Path, str], shapes: Path, tmp_path: Path) -> None:
    model = YOLO(run[0] / "weights" / "best.pt")
    model.train(data=shapes, loss="ciou", project=tmp_path, name="tuned", **{**TINY, "epochs": 1})
    assert model.trainer.config.name == "ciou"
    assert columns(tmp_path / "tuned")["wiou/gain"] == [1]


@pytest.fixture(scope="module")
def killed(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run killed with SIGKILL in the middle of its third epoch, to look at."""
    return a_killed_run(shapes, tmp_path_factory.mktemp("killed"))


def a_killed_run(shapes: Path, folder: Path) -> Path:
    code = (
        "import os, signal\nfrom yolo_wiou import YOLO\nmodel = YOLO('" + MODEL + "')\n"
        "def stop(trainer):\n"
        "    if trainer.epoch == 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "model.add_callback('on_train_batch_end', stop)\n"
        f"model.train(data={str(shapes)!r}, loss='wiou3', project={str(folder)!r}, name='run', **{FOUR!r})"
    )
    done = shell("-c", code, cwd=folder, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return folder / "run"


def state_of(checkpoint: Path) -> dict[str, Any]:
    ckpt = torch.load(checkpoint, weights_only=False)
    state: dict[str, Any] = getattr(ckpt.get("ema") or ckpt["model"], ATTRIBUTE)
    return state


def test_resume_with_another_loss_is_refused(killed: Path, tmp_path: Path) -> None:
    before = sorted(killed.parent.rglob("*"))
    last = killed / "weights" / "last.pt"
    done = shell("-m", "yolo_wiou", "train", "resume", f"model={last}", "loss=ciou", cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "was trained with wiou3" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(killed.parent.rglob("*")) == before
    with pytest.raises(ConfigError, match="was trained with wiou3"):
        YOLO(last).train(resume=True, loss="wiou3", **{"loss.gain.delta": 4})


def test_resume_goes_on_with_loss_and_state(shapes: Path, tmp_path: Path) -> None:
    killed = a_killed_run(shapes, tmp_path)
    last = killed / "weights" / "last.pt"
    saved = state_of(last)
    assert saved["heads"][""]["steps"] == 6
    done = shell("-m", "yolo_wiou", "train", "resume", f"model={last}", "loss=wiou3", cwd=tmp_path)
    line = next(line for line in (done.stdout + done.stderr).splitlines() if "yolo-wiou:" in line)
    assert "wiou3 = nonmonotonic" in line
    assert f"running mean {saved['heads']['']['mean']:.4g}," in line
    table = columns(killed)
    assert table["epoch"] == [1, 2, 3, 4]
    assert list(table)[-len(COLUMNS) :] == COLUMNS
    finished = state_of(last)
    assert finished["heads"][""]["steps"] == 12
    assert finished["heads"][""]["momentum"] == saved["heads"][""]["momentum"]
    assert yaml.safe_load((killed / "args.yaml").read_text())["loss"] == "wiou3"


class Interrupt(Exception):
    """Ends a training from a callback."""


def still(**more: Any) -> dict[str, Any]:
    """A training whose predictions do not change: one batch without augmentation, and no learning."""
    no_augmentation = dict.fromkeys(
        ("mosaic", "fliplr", "translate", "scale", "hsv_h", "hsv_s", "hsv_v", "erasing"), 0.0
    )
    no_learning = {"optimizer": "SGD", "lr0": 0.0, "lrf": 0.0, "warmup_epochs": 0, "weight_decay": 0.0}
    return {**TINY, **no_augmentation, **no_learning, "batch": 12, "epochs": 4, **more}


@pytest.mark.parametrize("yaml", [pytest.param(MODEL, marks=pytest.mark.release("resume")), "yolo26n.yaml"])
def test_stop_and_resume_gives_the_state_of_no_stop(yaml: str, shapes: Path, tmp_path: Path) -> None:
    """Of every head, also where Ultralytics builds the criterion of an end-to-end model again as it resumes."""
    if not list((Path(ultralytics.__file__).parent / "cfg" / "models").glob(f"*/{yaml.replace('n.', '.')}")):
        pytest.skip("this release has no such model")
    slow = {"loss": "iou-balanced-loc", "loss.running_mean.momentum": 0.05}  # a mean that remembers where it started
    slow["loss.gain.norm"] = "first"  # and a factor that the first step has set
    schedules = {}

    def train(label: str, model: YOLO, **arguments: Any) -> None:
        model.add_callback("on_train_batch_end", lambda trainer: schedules.update({label: schedule(trainer)}))
        model.train(**arguments)

    train("whole", YOLO(yaml), data=shapes, project=tmp_path, name="whole", **slow, **still())
    stopped = YOLO(yaml)

    def stop(trainer: BaseTrainer) -> None:
        if trainer.epoch == 2:
            raise Interrupt

    stopped.add_callback("on_train_batch_end", stop)
    with pytest.raises(Interrupt):
        stopped.train(data=shapes, project=tmp_path, name="stopped", **slow, **still())
    train("resumed", YOLO(tmp_path / "stopped" / "weights" / "last.pt"), resume=True)
    assert schedules["resumed"] == schedules["whole"]
    whole, resumed = (state_of(tmp_path / name / "weights" / "last.pt")["heads"] for name in ("whole", "stopped"))
    assert set(whole) == set(resumed) == ({""} if yaml == MODEL else {"one2many", "one2one"})
    for path, state in whole.items():
        assert state["steps"] == resumed[path]["steps"] == 4
        assert state["momentum"] == resumed[path]["momentum"]
        assert state["first"] == resumed[path]["first"] != [0, 0]
        assert resumed[path]["mean"] == pytest.approx(state["mean"], abs=2e-4)  # the weights went through float16
        assert 1 - state["mean"] > 3 * 2e-4  # else a start from 1 would pass too
    means = [state["mean"] for state in whole.values()]
    assert len(means) == 1 or abs(means[0] - means[1]) > 3 * 2e-4  # nor does one head's mean stand in for the other's


def schedule(trainer: BaseTrainer) -> dict[str, float]:
    """The weights of both heads of an end-to-end criterion."""
    criterion = trainer.model.criterion
    return {name: value for name, value in vars(criterion).items() if isinstance(value, float)}


@pytest.mark.skipif(not hasattr(BaseTrainer, "_handle_nan_recovery"), reason="this release does not recover from NaN")
def test_nan_recovery_takes_the_state_back_too(shapes: Path, tmp_path: Path) -> None:
    model = YOLO(MODEL)
    seen: dict[str, Any] = {}

    def poison(trainer: BaseTrainer) -> None:
        if trainer.epoch == 1 and not seen:
            seen["saved"] = state_of(trainer.last)["heads"][""]
            trainer.means[""].mean.fill_(0.123)
            trainer.means[""].first.fill_(0.456)
            trainer.loss = trainer.loss * float("nan")
            validate = trainer.validate
            trainer.validate = lambda: (validate()[0], float("nan"))  # before 8.4.109 both must be NaN

    def after(trainer: BaseTrainer) -> None:
        trainer.__dict__.pop("validate", None)
        if seen and "restored" not in seen and trainer.epoch == 1:
            seen["restored"] = trainer.means[""].export_state()

    model.add_callback("on_train_epoch_end", poison)
    model.add_callback("on_train_epoch_start", after)
    loss = {"loss": "iou-balanced-loc", "loss.gain.norm": "first"}
    model.train(data=shapes, project=tmp_path, name="nan", **loss, **{**TINY, "epochs": 3})
    assert seen["restored"] == seen["saved"]
    assert seen["saved"]["first"][1] > 0


def test_stock_run_is_resumed_as_what_it_is(shapes: Path, tmp_path: Path) -> None:
    stock = ultralytics.YOLO(MODEL)

    def stop(trainer: BaseTrainer) -> None:
        if trainer.epoch == 1:
            raise Interrupt

    stock.add_callback("on_train_batch_end", stop)
    with pytest.raises(Interrupt):
        stock.train(data=shapes, project=tmp_path, name="stock", **{**TINY, "epochs": 2})
    last = tmp_path / "stock" / "weights" / "last.pt"
    with pytest.raises(ConfigError, match="was trained with ciou"):
        YOLO(last).train(resume=True, loss="wiou3")
    model = YOLO(last)
    model.train(resume=True)
    assert model.trainer.config.name == "ciou"
    assert not [c for c in columns(tmp_path / "stock") if "wiou" in c]  # its table goes on as it began
