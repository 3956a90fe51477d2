"""The audit: one pass of a detector over a split, and a verdict on every label."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from yolo_wiou.auditing.evidence import Seen
from yolo_wiou.auditing.history import Past, recall
from yolo_wiou.auditing.judge import KNOWN, Judgement, judge
from yolo_wiou.auditing.labels import Labels, collect
from yolo_wiou.auditing.report import ClassSummary, Report
from yolo_wiou.auditing.subject import check, check_batch, known_data, load_detector, of_run, reads_one_class
from yolo_wiou.compare.detections import detections, record
from yolo_wiou.compare.report.text import count
from yolo_wiou.training.label_history import HISTORY
from yolo_wiou.training.preflight import check_classes, images_of

CONFIDENCE = 0.01
"""Least confidence of a detection: an unsure one of another place or class speaks too."""
THRESHOLD = 2.0
CLEAR = 0.8
"""Share of the labels whose class the detector names, below which what it says of classes is doubtful."""


def audit(
    data: Path | str | None = None,
    model: Any = None,
    split: str = "train",
    *,
    run: Path | str | None = None,
    threshold: float = THRESHOLD,
    **arguments: Any,
) -> Report:
    """Find the labels that are wrong, by what a detector sees on their images.

    One pass without augmentation; the detector may have been trained on these very labels.

    Example:
        >>> report = audit("my.yaml", "best.pt")  # doctest: +SKIP
        >>> report.labels[0]  # doctest: +SKIP
        >>> report.fix("corrected")  # doctest: +SKIP

    Args:
        data: the data set's YAML file; None for the one that the model was trained on, if it is here.
        model: a checkpoint, or a model that is loaded already; of Ultralytics or ours.
        split: train, val or test.
        run: folder of a training, for its data set and its checkpoint where these are not given. What it saw of its
            training labels counts too, if it recorded that (`audit=true`).
        threshold: from which a label is called wrong: how badly it is placed, in robust standard deviations, or the
            logarithm of how much more speaks for another class than for its own. It is raised where hardly more labels
            are above it than would be if all were right.
        **arguments: of Ultralytics' `val`: `imgsz`, `batch`, `device` ...

    Raises:
        ConfigError: the data set, the split or the model is not there, or they do not fit one another.
    """
    if run:
        data, weights = of_run(Path(run), data)
        model = model or weights
    detector = load_detector(model)
    data = data or known_data(detector)
    is_single = reads_one_class(detector, arguments)
    description = check(data, detector, split, is_single)
    check_classes(arguments.get("classes"), description)
    check_batch(arguments.get("batch"))
    trained_imgsz = detector.overrides.get("imgsz")
    labels, seen, imgsz = look(detector, data, split, **arguments)
    past = recall(run, labels, is_single) if run and split == "train" and (Path(run) / HISTORY).is_file() else None
    about = {
        "data": str(data),
        "model": str(model if isinstance(model, (str, Path)) else detector.ckpt_path or detector.model_name),
        "split": split,
        "task": str(detector.task),
        "imgsz": imgsz,
        "description": description,
        "single_cls": is_single,
    }
    notes = [*changed(past), *another_size(trained_imgsz, imgsz)]
    return conclude(labels, seen, threshold, past, detector.names, notes, **about)


def conclude(
    labels: Labels,
    seen: Seen,
    threshold: float,
    past: Past | None,
    model_names: Mapping[int, str],
    notes: Sequence[str] = (),
    **about: Any,
) -> Report:
    """Judge labels; returns the report.

    Args:
        labels: of a split.
        seen: what was detected on the same images.
        threshold: as `audit` has it.
        past: what the training saw of the labels, where that is known.
        model_names: what the detector calls the classes.
        notes: warnings that are known already.
        **about: of the report: `data`, `model`, `split`, `task`, `imgsz`, `description`, `single_cls`.
    """
    names = {int(key): str(name) for key, name in about["description"]["names"].items()}
    judgement = judge(labels, seen, names, threshold, past, can_move=about["task"] != "segment")
    return Report(
        **about,
        threshold=judgement.threshold,
        asked=threshold,
        images=len(labels.files),
        labels=judgement.labels,
        missing=judgement.missing,
        duplicates=judgement.duplicates,
        classes=(classes := summaries(judgement, names)),
        warnings=[
            *left_out(images_of(about["description"], about["split"]), labels.files),
            *notes,
            *warnings(classes, judgement.agreement, model_names, names),
        ],
        sizes={str(file): (int(w), int(h)) for file, (w, h) in zip(labels.files, labels.sizes, strict=True)},
        seen=seen.of_classes(labels.asked),
    )


def look(detector: Any, data: Path | str, split: str, **arguments: Any) -> tuple[Labels, Seen, int]:
    """Let a detector look at the images of a split; returns their labels, and what it has seen.

    Args:
        detector: Ultralytics' model or ours.
        data: the data set's YAML file.
        split: train, val or test.
        **arguments: of Ultralytics' `val`.

    Returns:
        Also the size of the network's input in pixels, the longer side.
    """
    task, given = str(detector.task), {key: value for key, value in arguments.items() if value is not None}
    with tempfile.TemporaryDirectory() as scratch:
        settings = {"conf": CONFIDENCE, **given, "task": task, "data": str(data), "split": split}
        recorder, _ = record(detector, Path(scratch) / "val", is_limited="max_det" in given, **settings)
    used = recorder.validator.args
    found = list({label["im_file"]: label for label in recorder.labels()}.values())  # a list may name an image twice
    labels = collect(found, task, vars(used))
    return labels, Seen.of(detections(recorder.found, found, is_rotated=task == "obb")), int(np.max(used.imgsz))


def summaries(judgement: Judgement, names: Mapping[int, str]) -> list[ClassSummary]:
    """Sum up each class that has labels."""
    of_class: dict[int, list[bool]] = {}
    for label in judgement.labels:
        of_class.setdefault(label.cls, []).append(label.is_flagged)
    return [
        ClassSummary(
            name=names.get(cls, str(cls)),
            labels=len(flags),
            flagged=sum(flags),
            found=round(float(judgement.found[cls]), 3),
            confidence=round(float(judgement.typical[cls]), 3) if np.isfinite(judgement.typical[cls]) else None,
        )
        for cls, flags in sorted(of_class.items())
    ]


def warnings(
    classes: list[ClassSummary], agreement: float, names: Mapping[int, str], others: Mapping[int, str]
) -> list[str]:
    """Return what speaks against the audit itself."""
    said = []
    different = [f"{names[key]} for {others[key]}" for key in names.keys() & others.keys() if names[key] != others[key]]
    if different:
        said.append(f"The model's classes have other names than the data set's: {', '.join(different[:5])}.")
    if blind := [entry.name for entry in classes if entry.found < KNOWN]:
        said.append(
            f"The model finds less than half of the labelled objects of {', '.join(blind)}: what is said of them "
            "counts little, and no such label is changed unasked. Train longer, or with a larger imgsz."
        )
    if agreement < CLEAR:
        said.append(
            f"Labels and model disagree about classes: of the labels whose object it is sure of, {agreement:.0%} have "
            "the class that it names. Either it takes one class for another, and training longer helps, or that many "
            "labels are wrong. Look at its classes on the page before you trust them, also those of the labels that "
            "fix.add=true puts in."
        )
    return said


def changed(past: Past | None) -> list[str]:
    """Say how many labels are not those that the training saw which is asked about them, if any."""
    if past and past.is_empty:
        return ["The training saw other labels, or had no epoch to see these in: what it saw does not count."]
    if not past or not past.changed:
        return []
    return [f"Since the training {count(past.changed, 'label')} changed: what it saw of them then does not count."]


def another_size(trained: Any, imgsz: int) -> list[str]:
    """Say that the images were shown at another size than the detector was trained at, where that is known."""
    if trained is None or int(np.max(trained)) == imgsz:
        return []
    return [
        f"The model was trained at imgsz={int(np.max(trained))} and saw the images at imgsz={imgsz}, where it may "
        "find less and place boxes worse. Without imgsz= the training's is taken."
    ]


def left_out(images: Sequence[Path], seen: Sequence[Path]) -> list[str]:
    """Say which images of a split Ultralytics has left out, labels and all, if any."""
    images, known = list(dict.fromkeys(images)), set(seen)
    missing = [image for image in images if image not in known]
    if not missing:
        return []
    return [
        f"Ultralytics leaves out {len(missing)} of {len(images)} images with their labels, which it cannot read, and "
        f"so does this audit. The first is '{missing[0]}'."
    ]
