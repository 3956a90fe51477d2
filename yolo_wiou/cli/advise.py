"""The command `advise`: what a data set's boxes are like, and which losses are worth a comparison on it."""

import sys
from typing import Any

from ultralytics.cfg import DEFAULT_CFG_DICT, TASK2MODEL, get_cfg
from ultralytics.utils import TQDM
from ultralytics.utils.checks import check_imgsz

from yolo_wiou.cli.arguments import CHOICES, parse_options
from yolo_wiou.cli.places import quoted
from yolo_wiou.data.advice import candidates, commands
from yolo_wiou.data.profile import Profile, profile
from yolo_wiou.errors import ConfigError, choices
from yolo_wiou.training.preflight import check_data, describe, images_of
from yolo_wiou.training.ultralytics_errors import log_only

DEFAULTS = {"data": "", "task": "", "split": "train", "imgsz": 640}
MANY_IMAGES = 2000
"""From here on it takes seconds, and a bar moves."""
TASKS = ("detect", "segment", "pose", "obb")
LOOSE = """\
Label files do not say whether boxes are loose; `yolo-wiou audit` looks for that. If some of yours are, and you
fine-tune: in our studies trust and iou-balanced were better than ciou, and than an equally heavy one, on rendered
images. On real ones trust was better than ciou with two networks, and than an equally heavy one with one of them; for
iou-balanced no difference was detected. From scratch no loss was better (https://yolo-wiou.github.io/yolo-wiou/study/)."""
OUTLINES = "  labels       have outlines; this is for task {task}. If you train another: task=segment or task=obb"
NOTHING = "Nothing about these boxes asks for another loss than ciou, Ultralytics' own."
MADE_FOR = "Worth a comparison with ciou, as their formulas are made for this; no study has shown that they help:"


def advise(argv: list[str]) -> None:
    """`advise data=my.yaml imgsz=640 task=detect split=train`: print both; nothing is written or trained.

    Raises:
        ConfigError: there is no such data set, it cannot be trained on in this task, or the split has no boxes.
    """
    options = parse_options(argv, DEFAULTS)
    if not options["data"]:
        raise ConfigError("advise needs a data set: yolo-wiou advise data=my.yaml imgsz=640")
    for key, valid in (("task", TASKS), ("split", CHOICES["split"])):
        if options[key] and options[key] not in valid:
            raise ConfigError(f"'{key}={options[key]}' is no {key}. {choices(options[key], valid)}")
    data = describe(options["data"])
    if not data:
        raise ConfigError(f"advise reads label files, which a data.yaml names; '{options['data']}' is none.")
    task = options["task"] or ("pose" if "kpt_shape" in data else "detect")
    check_data(get_cfg(DEFAULT_CFG_DICT, {"data": options["data"], "task": task}))  # as the command to paste will
    options["imgsz"] = check_imgsz(options["imgsz"], max_dim=1)  # as a training rounds it, and says so
    with log_only(lambda record: False):  # how fast the disk is
        images = images_of(data, options["split"])
    shown = TQDM(images, desc="Labels", file=sys.stderr, disable=len(images) < MANY_IMAGES)
    found = profile(shown, task, options["imgsz"])
    if not len(found.sides):
        raise ConfigError(f"the label files of '{options['split']}' in '{options['data']}' hold no boxes.")
    print(report(found, task, options))


def report(found: Profile, task: str, options: dict[str, Any]) -> str:
    """Return what there is to say."""
    chosen = list(candidates(found, task))[:3]
    lines = [f"{options['data']}, {options['split']}: {found}"]
    if found.unread:
        lines.append(f"  left out     {len(found.unread)} images whose files are broken, e.g. {found.unread[0]}")
    if found.outlines and not options["task"]:
        lines.append(OUTLINES.format(task=task))
    lines += ["", MADE_FOR if chosen else NOTHING]
    lines += [f"  {candidate.loss:11}  {candidate.why}" for candidate in chosen]
    if chosen:
        arguments = f"data={quoted(options['data'])} model={TASK2MODEL[task]} imgsz={options['imgsz']} epochs=50"
        lines += ["", *commands(chosen, arguments, task)]
    return "\n".join([*lines, "", LOOSE])
