"""Pixels: textured backgrounds and embossed shapes. Colours are blue, green, red from 0 to 1."""

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from yolo_wiou.data.polygons import Points

Plane: TypeAlias = NDArray[np.float32]  # (side, side) one value per pixel
SUPERSAMPLING = 4  # sub-pixels per pixel side, for smooth edges


def coverage(polygon: Points, side: int) -> Plane:
    """Return the share of each pixel that a polygon covers, (side, side)."""
    scale = side * SUPERSAMPLING
    mask = np.zeros((scale, scale), dtype=np.uint8)
    fraction_bits = 4
    corners = ((polygon * scale - 0.5) * 2**fraction_bits).round().astype(np.int32)  # OpenCV counts pixel centres
    cv2.fillPoly(mask, [corners], 255, shift=fraction_bits)
    return np.asarray(cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA) / 255, dtype=np.float32)


def clouds(rng: np.random.Generator, side: int) -> Plane:
    """Return smooth noise of several wavelengths around 0, (side, side)."""
    planes = [
        cv2.resize(rng.normal(scale=1 / cells, size=(cells, cells)), (side, side), interpolation=cv2.INTER_CUBIC)
        for cells in (3, 6, 12, 24)
    ]
    return np.asarray(np.sum(planes, axis=0), dtype=np.float32)


def colour_of(hue: float, saturation: float, value: float) -> Plane:
    """Return a colour (hue in degrees, saturation and value from 0 to 1) as blue, green, red, (3,).

    >>> colour_of(120, 1, 0.5).tolist()
    [0.0, 0.5, 0.0]
    """
    pixel = np.array([[[hue % 360, saturation, value]]], dtype=np.float32)
    return np.asarray(cv2.cvtColor(pixel, cv2.COLOR_HSV2BGR)[0, 0], dtype=np.float32)


def background(rng: np.random.Generator, side: int) -> Plane:
    """Paint a marbled or grained background in two pale or dark colours, (side, side, 3) from 0 to 1."""
    angle = rng.uniform(0, np.pi)
    y, x = np.mgrid[0:side, 0:side] / side
    phase = rng.uniform(1, 9) * (x * np.cos(angle) + y * np.sin(angle)) + rng.uniform(0.5, 3) * clouds(rng, side)
    blend = (0.5 + 0.5 * np.sin(2 * np.pi * phase))[..., None]
    hue, value = rng.uniform(0, 360), rng.uniform(0.25, 0.85)
    first_colour = colour_of(hue, rng.uniform(0.05, 0.35), value)
    second_colour = colour_of(hue + rng.normal(scale=30), rng.uniform(0.05, 0.35), value + rng.uniform(-0.15, 0.15))
    grain = rng.normal(scale=0.02, size=(side, side, 1))
    return np.asarray(blend * first_colour + (1 - blend) * second_colour + grain, dtype=np.float32)


def paint(rng: np.random.Generator, canvas: Plane, alpha: Plane) -> None:
    """Paint a shape in place: a soft shadow, then a colour, embossed as if lit from the top left."""
    side = len(canvas)
    blurred = np.asarray(cv2.GaussianBlur(alpha, (0, 0), side / 80), dtype=np.float32)
    offset = max(side // 48, 1)
    shadow = np.pad(blurred, (offset, 0))[:side, :side]
    canvas *= 1 - 0.45 * shadow[..., None]
    slope = blurred - shadow
    colour = colour_of(rng.uniform(0, 360), rng.uniform(0.55, 0.95), rng.uniform(0.65, 0.95))
    shade = 1 + 0.35 * slope + 0.12 * clouds(rng, side)
    canvas += alpha[..., None] * (colour * shade[..., None] - canvas)
