"""The command `plant`: label errors to order, for whoever wants to try what finds wrong labels."""

from collections import Counter
from typing import Any

from pydantic import ValidationError

from yolo_wiou.cli.arguments import out_folder, parse_options
from yolo_wiou.cli.places import where
from yolo_wiou.data.planting import PLANTED, PlantConfig, plant
from yolo_wiou.data.relabelled import check_relabelled
from yolo_wiou.errors import ConfigError, explain
from yolo_wiou.training.preflight import check_split, describe, images_of
from yolo_wiou.training.ultralytics_errors import log_only

SHARES: dict[str, Any] = PlantConfig().model_dump()
DEFAULTS: dict[str, Any] = {"data": "", "out": "", "split": "train", **SHARES}


def plant_labels(argv: list[str]) -> None:
    """`plant data=my.yaml out=FOLDER [split=train] [loose=0.15 …] [seed=0]`."""
    options = parse_options(argv, DEFAULTS)
    for key in ("data", "out"):
        if not options[key]:
            raise ConfigError(f"plant needs '{key}': yolo-wiou plant data=my.yaml out=planted loose=0.3")
    try:
        config = PlantConfig.model_validate({key: options[key] for key in SHARES})
    except ValidationError as error:
        raise ConfigError(explain(error, PlantConfig, "plant").replace("plant.", "")) from error
    folder, split = out_folder(options["out"]), options["split"]
    check_relabelled(folder, "out")
    if not (data := describe(options["data"])):
        raise ConfigError(f"'data={options['data']}' has no label files to plant errors in: give a data set's YAML.")
    images = images_of(data, split)
    with log_only(lambda record: False):
        check_split(split, data, "pose" if "kpt_shape" in data else "detect", single_cls=False, fraction=1.0)
    file, planted = plant(folder, data, images, split, config)
    counts = Counter(error.kind for error in planted)
    print(f"Planted {len(planted)} errors: {', '.join(f'{count} {kind}' for kind, count in counts.items()) or 'none'}.")
    print(where(data=file, truth=folder / PLANTED))
