"""Which losses are worth a comparison on a data set, by what its boxes are like. None of it is a promise."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from yolo_wiou.data.profile import LONG, Profile

MANY, MOST = 0.3, 0.7
"""Shares of the objects from which on a property is the data set's."""
SEEDS = {1: 6, 2: 7, 3: 7}
"""How many seeds can tell a number of losses from the baseline (docs/comparing.md)."""


@dataclass(frozen=True)
class Candidate:
    """A loss to compare with the baseline.

    Attributes:
        loss: a preset.
        why: what of the data set it is made for.
        settings: those of its settings that follow from the data set, by dotted key.
    """

    loss: str
    why: str
    settings: dict[str, float] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """What to call a file of it, where it has settings."""
        return f"my-{self.loss}.yaml" if self.settings else self.loss


def candidates(profile: Profile, task: str) -> Iterator[Candidate]:
    """Yield losses whose formula is made for what stands out, the most telling first; three at most."""
    if profile.small >= MANY:
        loss = "nwd" if profile.tiny >= MOST else "iou-nwd"
        why = f"{profile.small:.0%} of the objects are small; the constant is their mean size"
        yield Candidate(loss, why, {"overlap.constant": nwd_constant(profile)})
    if profile.elongated >= MANY and task == "obb":
        yield Candidate("kld", f"{profile.elongated:.0%} are elongated; it weighs an angle by the length of the box")
    elif profile.elongated >= MANY:
        why = (
            f"{profile.elongated:.0%} are elongated; it holds the short side more firmly, by this scale 3 : 1 for most"
        )
        yield Candidate("shape-iou", why, {"penalty.scale": shape_scale(profile)})
    if profile.crowded >= MANY and task != "obb":
        yield Candidate(
            "uiou", f"{profile.crowded:.0%} stand in crowds; made for them, its authors say, on weak evidence"
        )
    if profile.large >= MOST and task != "obb":
        yield Candidate("inner-ciou", f"{profile.large:.0%} are large; more slope where boxes are nearly right")


def nwd_constant(profile: Profile) -> float:
    """Return NWD's K: the mean size √(w·h) in pixels of the network's input (arXiv:2110.13389)."""
    return float(f"{profile.mean_side:.3g}")


def shape_scale(profile: Profile) -> float:
    """Return a scale for Shape-IoU: the weights of the sides are 3 : 1 for the elongated object in the middle.

    They are (long/short)^scale : 1. A rule of this package's; the paper (arXiv:2312.17663) says only that the scale
    follows the data set.
    """
    middle = float(np.median(profile.elongations[profile.elongations >= LONG]))
    return round(min(1.0, math.log(3) / math.log(middle)), 2)


def commands(chosen: list[Candidate], arguments: str, task: str = "detect") -> list[str]:
    """Return the commands that compare the losses with Ultralytics' own.

    >>> commands([Candidate("uiou", ""), Candidate("nwd", "", {"overlap.constant": 9.5})], "data=my.yaml")
    ['yolo-wiou losses nwd loss.overlap.constant=9.5 > my-nwd.yaml',
     'yolo-wiou compare data=my.yaml losses=ciou,uiou,my-nwd.yaml seeds=7']
    """
    lines = []
    for candidate in chosen:
        settings = " ".join(f"loss.{key}={value}" for key, value in candidate.settings.items())
        lines += [f"yolo-wiou losses {candidate.loss} {settings} > {candidate.file}"] if settings else []
    losses = ",".join(["ciou", *(candidate.file for candidate in chosen)])
    of_task = "" if task == "detect" else f"{task} "
    return [*lines, f"yolo-wiou {of_task}compare {arguments} losses={losses} seeds={SEEDS.get(len(chosen), 8)}"]
