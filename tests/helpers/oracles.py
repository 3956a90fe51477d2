"""Every box loss once more, in scalar float64 arithmetic: the values and gradients that the tensors must reproduce.

Call `ORACLES["wiou3"](b, g)`, or `Oracle({"penalty": "siou", "penalty.theta": 2.0})(b, g)`: the settings are those that
`load_loss` takes, by dotted key, and each is read here independently of the package. An unknown one is an error.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from helpers.formulas import GAINS, OVERLAPS, PENALTIES, Case
from helpers.pairs import Box, Pair


def scale_ratio(progress: float, start: float = 1.0, end: float = 1.0, schedule: str = "linear") -> float:
    """Unified-IoU's ratio after a share of the run."""
    if schedule == "cosine":
        return start + (end - start) * (1 - math.cos(math.pi * progress)) / 2
    if schedule == "fraction":
        return start * end / (end + (start - end) * progress)
    return (1 - progress) * start + progress * end


def moved(box: Box, edge: int, by: float) -> Box:
    """The box with one of its edges elsewhere."""
    x1, y1, x2, y2 = (value + by if i == edge else value for i, value in enumerate(box))
    return x1, y1, x2, y2


class Oracle:
    """A loss of two boxes: call it, or ask for its `gradient`; the context is that of a Case.

    Args:
        settings: by dotted key; `overlap`, `penalty` and `gain` alone are their names.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.sections: dict[str, dict[str, Any]] = {axis: {} for axis in ("overlap", "penalty", "gain", "scale")}
        self.power = settings.get("power", 1.0)
        for key, value in settings.items():
            axis, _, setting = key.partition(".")
            if key != "power":
                self.sections[axis][setting or "name"] = value

    def but(self, changes: dict[str, Any]) -> Oracle:
        """Another oracle, with other settings."""
        return Oracle({**self.settings, **changes})

    def __call__(self, b: Box, g: Box, at: Box | None = None, **context: Any) -> float:
        c = Case(b, g, at, **context)
        return self._gain(c) * self._unweighted(c)

    def gradient(self, b: Box, g: Box, *, step: float = 1e-5, **context: Any) -> list[float]:
        """Derivatives by x1, y1, x2, y2 of the prediction: central differences, detached quantities frozen.

        `step` is relative to the shortest side. It means nothing at a kink (see KINKS).
        """
        size = step * (min(b[2] - b[0], b[3] - b[1], g[2] - g[0], g[3] - g[1]) or 1.0)
        out = []
        for i in range(4):
            lo, hi = moved(b, i, -size), moved(b, i, size)
            out.append((self(hi, g, at=b, **context) - self(lo, g, at=b, **context)) / (hi[i] - lo[i]))
        return out

    def factor(self, pairs: Iterable[Pair], **context: Any) -> float:
        """Σ v / Σ gain·v: with this factor of the batch a gain keeps a sum; the loss takes it as such.

        v is the loss for iou-balanced, and 1 for trust. NaN where every product is 0 (all boxes disjoint or equal): no
        factor can keep the sum there.
        """
        cases = [Case(b, g, **context) for b, g in pairs]
        kept = [1.0 if self.sections["gain"]["name"] == "trust" else self._unweighted(c) for c in cases]
        weighted = math.fsum(self._gain(c) * value for c, value in zip(cases, kept, strict=True))
        return math.fsum(kept) / weighted if weighted else math.nan

    def _gain(self, c: Case) -> float:
        settings = {"name": "none", **self.sections["gain"]}
        return GAINS[settings.pop("name")](c, **settings)

    def _unweighted(self, c: Case) -> float:
        """Unified-IoU scales what overlap and penalty see, Inner-IoU what the overlap sees, and Focaler-IoU maps it."""
        c = c.scaled(scale_ratio(c.progress, **self.sections["scale"]))
        settings = {"name": "iou", "inner": 1.0, "focaler": (0.0, 1.0), **self.sections["overlap"]}
        function, inner, (low, high) = (settings.pop(key) for key in ("name", "inner", "focaler"))
        overlap = min(max((OVERLAPS[function](c.scaled(inner), **settings) - low) / (high - low), 0.0), 1.0)
        c.overlap_loss = 1 - overlap**self.power
        settings = {"name": "none", **self.sections["penalty"]}
        terms = PENALTIES[settings.pop("name")](c, **settings)
        return c.overlap_loss + math.fsum(term**self.power for term in terms)


CLASSIFICATION = ("varifocal", "quality-focal", "slide", "ema-slide")
"""Whose business is no box loss; so it is of `alwa`, `iou-balanced-cls` and `mal`."""
PRESETS: dict[str, dict[str, Any]] = {
    **{name: {"penalty": name} for name in ("giou", "diou", "ciou", "eiou", "siou", "mpdiou", "piou")},
    "sdiou": {"penalty": "sdiou", "penalty.delta": 0.5, "penalty.area": 81.0},
    "iou-nwd": {"overlap": "iou-nwd", "overlap.kappa": 0.5, "overlap.constant": 12.8},
    "shape-iou-nwd": {"overlap": "iou-nwd", "overlap.kappa": 0.5, "overlap.constant": 12.8, "penalty": "shape"},
    "gcd": {"overlap": "gcd"},
    "kld": {"overlap": "kld", "overlap.tau": 1.0},
    "gwd": {"overlap": "gwd", "overlap.tau": 1.0},
    "kfiou": {"overlap": "kfiou", "penalty": "diou"},
    "iou": {},
    "alpha-iou": {"power": 3.0},
    "alpha-ciou": {"penalty": "ciou", "power": 3.0},
    "shape-iou": {"penalty": "shape", "penalty.scale": 0.0},
    "piou2": {"penalty": "piou", "gain": "piou2", "gain.lam": 1.3},
    "nwd": {"overlap": "nwd", "overlap.constant": 12.8},
    "uiou": {"penalty": "ciou", "scale.start": 2.0, "scale.end": 0.5},
    "interpiou": {"penalty": "interp", "penalty.kappa": 0.98},
    "d-interpiou": {"penalty": "d-interp", "penalty.low": 0.6, "penalty.high": 0.99},
    "inner-iou": {"overlap.inner": 0.75},
    "inner-ciou": {"overlap.inner": 0.75, "penalty": "ciou"},
    "inner-siou": {"overlap.inner": 0.75, "penalty": "siou"},
    "inner-shape-iou": {"overlap.inner": 0.75, "penalty": "shape"},
    "focaler-iou": {"overlap.focaler": (0.0, 0.95)},
    "focaler-ciou": {"overlap.focaler": (0.0, 0.95), "penalty": "ciou"},
    "inner-mpdiou": {"overlap.inner": 0.75, "penalty": "mpdiou"},
    "focaler-mpdiou": {"overlap.focaler": (0.0, 0.95), "penalty": "mpdiou"},
    "wise-mpdiou": {"penalty": "mpdiou", "gain": "nonmonotonic", "gain.alpha": 1.9, "gain.delta": 3.0},
    "inner-piou2": {"overlap.inner": 0.75, "penalty": "piou", "gain": "piou2", "gain.lam": 1.3},
    "focaler-piou2": {"overlap.focaler": (0.0, 0.95), "penalty": "piou", "gain": "piou2", "gain.lam": 1.3},
    "focal-ciou": {"penalty": "ciou", "gain": "iou-power", "gain.gamma": 0.5},
    "inner-focaler-ciou": {"overlap.inner": 0.75, "overlap.focaler": (0.0, 0.95), "penalty": "ciou"},
    "focal-eiou": {"penalty": "eiou", "gain": "iou-power", "gain.gamma": 0.5},
    "focal-l1": {"overlap": "none", "penalty": "focal-l1", "penalty.beta": 0.8},
    "trust": {"penalty": "ciou", "gain": "trust", "gain.k": 3.0},
    "wiou1": {"penalty": "wiou"},
    "wiou2": {"penalty": "wiou", "gain": "monotonic", "gain.gamma": 0.5},
    "wiou3": {"penalty": "wiou", "gain": "nonmonotonic", "gain.alpha": 1.9, "gain.delta": 3.0},
    "inner-wiou3": {"overlap.inner": 0.75, "penalty": "wiou", "gain": "nonmonotonic"},
    "ciou-v3": {"penalty": "ciou", "gain": "nonmonotonic", "gain.alpha": 1.6, "gain.delta": 4.0},
    "siou-v3": {"penalty": "siou", "gain": "nonmonotonic", "gain.alpha": 1.4, "gain.delta": 5.0},
    **{name: {"penalty": "ciou"} for name in ("alwa", "iou-balanced-cls", *CLASSIFICATION)},
    "mal": {"penalty": "giou"},
    **{name: {"penalty": "ciou", "gain": "iou-balanced"} for name in ("iou-balanced", "iou-balanced-loc")},
}
ORACLES = {name: Oracle(settings) for name, settings in PRESETS.items()}
