"""What a run needs, looked at before it writes anything: its data set, and a folder for its results.

The user's files are read by Ultralytics' own functions, so that what it takes is taken.
"""

import inspect
import os
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ultralytics.cfg import cfg2dict, get_save_dir
from ultralytics.data.dataset import YOLODataset
from ultralytics.data.utils import check_det_dataset, img2label_paths, verify_image_label
from ultralytics.utils import RANK, checks

from yolo_wiou.errors import ConfigError, choices
from yolo_wiou.files import check_folder, syntax_error
from yolo_wiou.training.compatibility import check_torchvision
from yolo_wiou.training.ultralytics_errors import log_only, users_mistakes

OUTLINED = {"segment": "outlines", "obb": "rotated boxes"}
"""Tasks whose labels are more than upright boxes, and what they are."""
TAKES_SPLIT = "split" in inspect.signature(check_det_dataset).parameters
"""Whether a training validates on the split that `split=` names; older releases take val, or test where it is empty."""


def find_yaml(file: Any) -> Path:
    """Find a YAML file as Ultralytics does: here, among its own, or by a download.

    Raises:
        ConfigError: there is none, in Ultralytics' own words.
    """
    with users_mistakes(AssertionError, TypeError, ValueError, OSError):
        return Path(checks.check_yaml(file))


def read_yaml(file: Any) -> dict[str, Any]:
    """Read a data or settings file as Ultralytics does, which takes any encoding and leaves out what is no text.

    Raises:
        ConfigError: there is none, or it is no YAML.
    """
    path = find_yaml(file)
    try:
        with users_mistakes(AssertionError, ValueError, OSError):
            data = cfg2dict(path)
    except (ConfigError, yaml.YAMLError) as error:  # which of them, and with what words, depends on the release
        raise syntax_error(path, error) or error from error
    if not isinstance(data, dict):
        raise ConfigError(f"'{path}' holds no mapping of keys to values.")
    return data


def check_data_file(file: str) -> None:
    """Refuse a YAML file that is no data set.

    Raises:
        ConfigError: says what is missing from it.
    """
    data = read_yaml(file)
    if missing := [key for key in ("train", "val") if key not in data and not (key == "val" and "validation" in data)]:
        loss = f" It looks like a loss: loss={file}." if {"overlap", "penalty", "gain"} & set(data) else ""
        raise ConfigError(f"'{file}' is no data set: it has no '{missing[0]}'.{loss} It needs train, val and names.")


def check_run(args: Any) -> None:
    """See that a run can begin; its first process does, for all of them.

    Args:
        args: the run's arguments, as Ultralytics resolves them.

    Raises:
        ConfigError: its folder cannot be made, it cannot be trained on its data, or torchvision does not work.
    """
    if RANK in {-1, 0}:
        check_torchvision()
        check_run_folder(args)
        check_data(args)


def check_run_folder(args: Any) -> None:
    """See that the folder of a run's results can be made.

    Args:
        args: the run's arguments, as Ultralytics resolves them.

    Raises:
        ConfigError: says what is in the way.
    """
    given = (f"{key}={value}" for key in ("save_dir", "project", "name") if (value := getattr(args, key, None)))
    with users_mistakes(OSError, ValueError):  # a name that the file system refuses
        folder = get_save_dir(args)
    check_folder(folder, next(given, str(folder)))


def check_data(args: Any) -> None:
    """See that a run's data set is there, and that Ultralytics would train on it.

    It goes image by image until one is usable, mostly the first; all are read only where none is.

    Args:
        args: the run's arguments, as Ultralytics resolves them.

    Raises:
        ConfigError: a split has no image that can be used, the training has no label, or the labels are another
            task's.
    """
    if not (data := describe(args.data, **({"split": args.split} if TAKES_SPLIT else {}))):
        return
    validation = args.split if TAKES_SPLIT else "val" if data.get("val") else "test"
    if args.task == "pose" and "kpt_shape" not in data:
        raise ConfigError(f"'{data['yaml_file']}' has no key points, which task pose needs: no 'kpt_shape' is in it.")
    check_classes(args.classes, data)
    if args.single_cls:
        data["names"] = {0: "item"}  # as in Ultralytics' trainer
    shares = args.fraction if isinstance(args.fraction, list) else [args.fraction]
    with log_only(lambda record: False):  # the training says the same soon after
        for split, fraction in zip(("train", validation), [*shares, 1.0, 1.0], strict=False):
            check_split(split, data, args.task, single_cls=bool(args.single_cls), fraction=fraction)


def describe(data: Any, **further: Any) -> dict[str, Any]:
    """Return Ultralytics' description of a data set, which it downloads where it is one of its own.

    `further` are arguments of its function that some releases have. Empty for a data set that Ultralytics converts only
    when a training starts, or that is made of several.

    Raises:
        ConfigError: it is not there, or is none; in Ultralytics' own words.
    """
    if isinstance(data, dict) or "://" in str(data) or Path(str(data)).suffix == ".ndjson":
        return {}
    if str(data).endswith((".yaml", ".yml")):
        check_data_file(str(data))
    with users_mistakes(AssertionError, LookupError, SyntaxError, TypeError, ValueError, OSError):
        description: dict[str, Any] = check_det_dataset(data, **further)
    return description


class Listing(YOLODataset):
    """The images of a split, as Ultralytics lists them; their labels are not read, nor cached."""

    def get_labels(self) -> list[Any]:
        """Read no label."""
        return []


def images_of(data: dict[str, Any], split: str) -> list[Path]:
    """Return the images of a split, in Ultralytics' order.

    Args:
        data: Ultralytics' description of the data set.
        split: train, val or test.

    Raises:
        ConfigError: there is no such split, or it has no images.
    """
    if not data.get(split):
        raise no_split(str(data.get("yaml_file", data["path"])), split, data)
    with log_only(lambda record: False), users_mistakes(OSError):
        return [Path(file) for file in Listing(img_path=data[split], data=data, task="detect", augment=False).im_files]


def read_labels(data: dict[str, Any], split: str, task: str, **settings: Any) -> list[dict[str, Any]]:
    """Return the labels of a split as Ultralytics reads them, of images that it can use.

    Args:
        data: Ultralytics' description of the data set.
        split: train, val or test.
        task: the task.
        **settings: of Ultralytics' data set: `single_cls`, `classes`.
    """
    with log_only(lambda record: False):
        return list(YOLODataset(img_path=data[split], data=data, task=task, augment=False, **settings).labels)


def no_split(name: str, split: str, data: dict[str, Any]) -> ConfigError:
    """Return what is to be said of a split that a data set does not have."""
    return ConfigError(f"'{name}' has no split '{split}'. {choices(split, filter(data.get, ('train', 'val', 'test')))}")


def check_classes(classes: Any, data: Mapping[str, Any]) -> None:
    """See that `classes=` asks for classes of the data set, which Ultralytics takes for granted.

    Args:
        classes: a number or several; None for all.
        data: Ultralytics' description of the data set.

    Raises:
        ConfigError: one is none, a name say.
    """
    if classes is None:
        return
    asked, names = classes if isinstance(classes, (list, tuple)) else [classes], data["names"]
    if strange := [number for number in asked if number not in names]:
        known = [f"{number} ({name})" for number, name in names.items()]
        listed = ", ".join([*known[:20], *["..."] * (len(known) > 20)])
        raise ConfigError(f"'classes={strange[0]}' is no class of '{data['yaml_file']}', which has {listed}.")


def check_split(split: str, data: dict[str, Any], task: str, **settings: Any) -> None:
    """See that a split has an image that Ultralytics can use, with a label of the task's kind.

    What it only warns of is taken: some images that it leaves out, images without objects, validation without labels.

    Args:
        split: train or val.
        data: Ultralytics' description of the data set.
        task: the task.
        **settings: of Ultralytics' data set: `single_cls`, `fraction`.

    Raises:
        ConfigError: says what is wrong with the first image.
    """
    where = f"'{split}' of '{data.get('yaml_file', data['path'])}'"
    with users_mistakes(TypeError, ValueError):
        try:
            listing = Listing(img_path=data[split], data=data, task=task, augment=False, **settings)
        except FileNotFoundError as error:
            why = str(error.__cause__ or error).partition(" Supported formats")[0]
            raise ConfigError(f"{where}: {why}") from error
    images = list(zip(listing.im_files, img2label_paths(listing.im_files), strict=True))
    if not images:
        raise ConfigError(f"{where} has no images with fraction={settings['fraction']}.")
    labelled = [(image, label) for image, label in images if os.path.isfile(label)]
    if split == "train" and not labelled:
        raise ConfigError(f"{where} has no labels: that of '{images[0][0]}' would be '{images[0][1]}'.")
    problems = []
    for image, label in labelled or images:
        is_usable, boxes, _, outlines, *_, message = verify(listing, image, label)
        if not is_usable:
            why = message.partition("image/label: ")[2] or message
            problems.append(f"'{image}': {'it cannot be read as an image' if 'No module named' in why else why}")
        elif task in OUTLINED and len(boxes) and not outlines:
            raise ConfigError(
                f"the labels of {where} are upright boxes, at least those of '{Path(image).name}'; task {task} needs "
                f"{OUTLINED[task]}. Did you mean detect?"
            )
        elif len(boxes) or not labelled:
            return
    if len(problems) == len(labelled or images):
        what = "labelled images" if labelled else "images"
        raise ConfigError(
            f"Ultralytics can use none of the {len(problems)} {what} in {where}. The first, "
            f"{textwrap.shorten(problems[0], 300)}"
        )


def verify(listing: Listing, image: str, label: str) -> Any:
    """Read an image and its label by Ultralytics' own function; returns what that does."""
    points = listing.data.get("kpt_shape", (0, 0))
    arguments = (image, label, "", listing.use_keypoints, len(listing.data["names"]), *points)
    try:
        return verify_image_label((*arguments, listing.single_cls))
    except ValueError:  # older releases unpack one less
        return verify_image_label(arguments)
