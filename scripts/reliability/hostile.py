"""Files that somebody else has written: losses, data sets, results and checkpoints."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from runs import (
    ARGUMENTS,
    Ended,
    Row,
    contents,
    differences,
    listed,
    orderly,
    render,
    rows,
    run,
    training,
)
from torch import nn
from ultralytics.nn.tasks import DetectionModel

MEMORY, SECONDS, MESSAGE = 1500, 90, 5000
"""More than this, in MB, seconds and characters, is damage done by a file."""


def anchors(levels: int) -> str:
    """Nine times nine times ... of one value."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "\n".join([*lines, f"penalty: *a{levels - 1}"])


LOSSES: dict[str, str | bytes] = {
    "seven levels of anchors": anchors(7),
    "ten levels of anchors": anchors(10),
    "100,000 nested brackets": "penalty: " + "[" * 100_000 + "]" * 100_000,
    "100,000 nested mappings": "{a: " * 100_000 + "1" + "}" * 100_000,
    "an alias of itself": "penalty: &a [*a]",
    "a mapping of itself": "&a\npenalty: *a",
    "a tag that runs a command": "penalty: !!python/object/apply:os.system ['touch pwned']",
    "10 MB of one word": "penalty: " + "x" * 10_000_000,
    "100,000 unknown keys": "\n".join(f"key{i}: 1" for i in range(100_000)),
    "a number of 10,000 digits": "power: " + "9" * 10_000,
    "name: 3": "name: 3\npenalty: ciou",
    "name: true": "name: true\npenalty: ciou",
    "name: a date": "name: 2026-01-01\npenalty: ciou",
    "name: a list": "name: [a, b]\npenalty: ciou",
    "name: 400 characters": f"name: {'n' * 400}\npenalty: ciou",
    "name: ..": "name: '..'\npenalty: ciou",
    "name: ../../up": "name: ../../up\npenalty: ciou",
    "name: a formula": "name: '=cmd|x'\npenalty: ciou",
    "name: a new line": 'name: "a\\nb"\npenalty: ciou',
    "name: a NUL": 'name: "a\\0b"\npenalty: ciou',
    "a NUL": b"penalty: ciou\0",
    "random bytes": bytes(range(256)) * 40,
    "UTF-16": "penalty: ciou".encode("utf-16"),
    "a key twice": "penalty: ciou\npenalty: siou",
    "empty": "",
}


CLIMBING = "name: '..'", "name: ../../up", "name: stranger/mine", f"name: {'n' * 100}"
"""Losses whose names become folders in a study."""


def losses(folder: Path) -> Iterator[Row]:
    """Every one in `train loss=FILE`, some among the losses of `compare`: refused, or taken at bounded cost."""
    data = render(folder / "data")
    for name, text in LOSSES.items():
        place = folder / "train" / "here"
        write_bytes(place / "loss.yaml", text)
        argv = training(place / "run", data, 1, "loss.yaml")
        yield judged(f"a loss: {name}", run(argv, place / "log", limit=SECONDS), place, "run")
    for name in CLIMBING:
        place = folder / "compare" / "here"
        write_bytes(place / "loss.yaml", f"{name}\npenalty: siou")
        (place / "...yaml").write_text(f"path: {data.parent}\n{data.read_text()}")
        argv = ["compare", "data=...yaml", "losses=ciou,loss.yaml", "seeds=1", "epochs=1", "out=study", *ARGUMENTS[:5]]
        ended = run(argv, place / "log", limit=SECONDS)
        yield judged(f"a loss of `compare`, on data of the name `..`: {name[:20]}", ended, place, "study")


def write_bytes(file: Path, text: str | bytes) -> None:
    """Write a file into a new folder, beside that of a stranger."""
    for folder in (file.parent, file.parent.with_name("stranger")):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "mine").touch()
    file.write_bytes(text if isinstance(text, bytes) else text.encode())


def judged(tried: str, ended: Ended, place: Path, out: str) -> Row:
    """Whether a command in a place was bounded, and wrote nothing where it was refused, nor anywhere but in `out`."""
    here, around = ({path.name for path in folder.iterdir()} for folder in (place, place.parent))
    lost = damage(ended) + ["something was written"] * (ended.code == 2 and out in here)
    lost += ["it wrote outside"] * (not here <= {"log", "loss.yaml", "...yaml", "mine", out} or len(around) > 2)
    lost += ["it removed what is a stranger's"] * (not (place.with_name("stranger") / "mine").exists())
    lost += ["the file was executed"] * any(place.parent.rglob("pwned"))
    return Row(tried, how_it_ended(ended), listed(lost))


def damage(ended: Ended) -> list[str]:
    """What a command should not have done."""
    found = [f"exit code {ended.code}: {ended.message}"] * (ended.code not in {0, 2, -9})
    found += [f"not over after {SECONDS} s"] * (ended.code == -9)
    found += ["a traceback"] * (ended.code == 2 and "Traceback" in ended.said)
    found += [f"{ended.megabytes:.0f} MB"] * (ended.megabytes > MEMORY)
    found += [f"a message of {len(ended.said)} characters"] * (ended.code == 2 and len(ended.said) > MESSAGE)
    return found


def how_it_ended(ended: Ended) -> str:
    """The outcome in words."""
    return {0: "it is taken", 2: f"refused: '{ended.message}'"}.get(ended.code, f"exit code {ended.code}")


DATA_FILES: dict[str, Callable[[str], bytes]] = {
    "UTF-8": lambda text: text.encode(),
    "UTF-8 with a mark": lambda text: text.encode("utf-8-sig"),
    "UTF-16": lambda text: text.encode("utf-16"),
    "GBK": lambda text: text.replace("disc", "圆盘").encode("gbk"),
    "cp1252": lambda text: text.replace("disc", "Scheibe ä").encode("cp1252"),
    "control characters": lambda text: text.replace("disc", "disc\x07").encode(),
    "a tab": lambda text: text.replace("disc", "disc\t").encode(),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
}


def data_files(folder: Path) -> Iterator[Row]:
    """Every one trained by stock Ultralytics and by us: both take it, or neither."""
    data = render(folder / "data")
    text = f"path: {data.parent}\n{data.read_text(encoding='utf-8')}"
    for name, encode in DATA_FILES.items():
        place = folder / name.replace(" ", "-")
        place.mkdir()
        file = place / "data.yaml"
        file.write_bytes(encode(text))
        argv = training(place / "run", file, 1, "ciou")
        stock = run([word for word in argv if not word.startswith("loss=")], place / "stock.log", command="yolo")
        ours = run(argv, place / "ours.log")
        lost = ["stock takes it"] * (stock.code == 0 != ours.code) + damage(ours)
        lost += [stock.message] * (name == "UTF-8" and stock.code)
        seen = f"stock: {'it is taken' if stock.code == 0 else stock.message}; ours: {how_it_ended(ours)}"
        yield Row(f"a data.yaml: {name}", seen, listed(lost))


def results(folder: Path) -> Iterator[Row]:
    """A results.csv that is damaged beside a whole last.pt: the run goes on."""
    data = render(folder / "data")
    whole = orderly(folder / "whole", training(folder / "whole", data, 3), [2])
    damages: dict[str, Callable[[bytes], bytes | None]] = {
        "not UTF-8": lambda text: text + b"\xff\xfe\n",
        "a row without numbers": lambda text: text + b"a,b,c\n",
        "cut in a row": lambda text: text[:-20],
        "cut in the header": lambda text: text[:10],
        "empty": lambda text: b"",
        "NULs, as after a crash of the machine": lambda text: text + bytes(512),
        "gone": lambda text: None,
    }
    for name, spoil in damages.items():
        one = folder / name.replace(" ", "-")
        argv = training(one, data, 3)
        run(argv, one.with_suffix(".log"), "stop_after=2")
        table = one / "results.csv"
        spoilt = spoil(table.read_bytes())
        table.unlink()
        if spoilt is not None:
            table.write_bytes(spoilt)
        ended = run(["train", "resume", f"model={one / 'weights' / 'last.pt'}"], one.with_suffix(".log"))
        lost = damage(ended)
        is_over = ended.code == 0 and rows(one)[-1]["epoch"] == "3"
        found = differences(one, whole) if is_over else ["the run does not come to its end"]
        lost += [difference for difference in found if not difference.startswith("results.csv")]
        yield Row(f"results.csv: {name}", f"resume: {how_it_ended(ended)}".replace("is taken", "goes on"), listed(lost))


class Evil:
    """What unpickles into a command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.folder}/pwned",)


def checkpoints(folder: Path) -> Iterator[Row]:
    """Checkpoints of a fork, damaged and malicious ones, wherever a checkpoint may be named."""
    data = render(folder / "data")
    names = "a fork's, with a module of its own", "a fork's, with a class of its own", "a malicious one", "half of one"
    files = {name: folder / f"run{number}" / "weights" / "last.pt" for number, name in enumerate(names)}
    for file in files.values():
        file.parent.mkdir(parents=True)
    save_with_ghost(files[names[0]], "ultralytics.nn.modules.ghost")
    save_with_ghost(files[names[1]], "ultralytics.nn.modules.head")
    torch.save({"epoch": 1, "model": None, "ema": Evil(folder)}, files[names[2]], pickle_module=pickle)
    files[names[3]].write_bytes(files[names[1]].read_bytes()[:-700])
    places: dict[str, Callable[[Path], list[str]]] = {
        "model=": lambda file: ["train", f"data={data}", "epochs=1", f"model={file}"],
        "pretrained=": lambda file: [*training(folder / "run", data, 1), f"pretrained={file}"],
        "resume": lambda file: ["train", "resume", f"model={file}"],
        "checks model=": lambda file: ["checks", f"model={file}"],
    }
    for name, file in files.items():
        for place, words in places.items():
            safe = name == "a malicious one" and place != "checks model="
            before = contents(folder)
            ended = run(words(file), folder / "log", safe=safe)
            is_read = place == "checks model=" and ended.code == 0  # which says what is in it, and runs nothing of it
            lost = damage(ended) + ["it was taken"] * (ended.code == 0 and not is_read)
            lost += ["it was executed"] * (folder / "pwned").exists()
            lost += ["what is missing is not named"] * ("fork" in name and not is_read and "Ghost" not in ended.said)
            changed = contents(folder).items() ^ before.items()
            lost += ["something was written"] * (not {name for name, _ in changed} <= {"log"})
            (folder / "pwned").unlink(missing_ok=True)
            with_safe = " with ULTRALYTICS_SAFE_LOAD=1" if safe else ""
            seen = f"read, and nothing of it run: '{ended.message}'" if is_read else how_it_ended(ended)
            yield Row(f"a checkpoint, {name}, in `{place}`{with_safe}", seen, listed(lost))


def save_with_ghost(file: Path, module: str) -> None:
    """Save a checkpoint whose model holds a class, in this module, that Ultralytics has not."""
    theirs = sys.modules.get(module) or types.ModuleType(module)
    head = type("GhostHead", (nn.Identity,), {"__module__": module})
    with mock.patch.dict(sys.modules, {module: theirs}), mock.patch.object(theirs, "GhostHead", head, create=True):
        model = DetectionModel("yolo11n.yaml", verbose=False)
        model.model.append(head())
        torch.save({"epoch": 1, "model": model, "ema": None, "train_args": {}, "optimizer": {}, "version": "8.9"}, file)
