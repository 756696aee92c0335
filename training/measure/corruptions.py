"""Corruptions of a face, to measure a model's robustness: low resolution, blur, darkness, tilt, offset, occlusion.

Unlike augmentation, which mixes such changes at random in training, each corruption makes one change at one strength,
and the same change to the same image every time.
"""

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from facial_attributes_ros.imaging.crop import cut_frame

Crop = NDArray[np.uint8]
Frame = NDArray[np.float64]
"""Which square is cut out, as `imaging.crop.crop_frame` gives it."""
Cut = Callable[[Crop, ArrayLike, int], Crop]
"""Cuts a face out of an image; takes and returns what `imaging.crop.cut_frame` does."""

_NOISE = 4.0
"""Standard deviation in grey levels of a small sensor's noise when it is dark."""
_COVER_GREY = 110
_COVERED: Final[dict[str, tuple[float, float, float, float]]] = {
    "eyes": (0.0, 0.25, 1.0, 0.52),
    "mouth": (0.0, 0.6, 1.0, 1.0),
    "one side": (0.0, 0.0, 0.5, 1.0),
}
"""Left, top, right and bottom as fractions of the crop."""


@dataclass(frozen=True, slots=True)
class Corruption:
    """One corruption at one strength; called, it crops a face out of an image and corrupts it.

    Attributes:
        kind: what it does, a key of `STRENGTHS`.
        strength: as the kind counts it; the part that is occluded, for the kind `cover`.
    """

    kind: str
    strength: float | str

    @property
    def label(self) -> str:
        """The strength for people to read."""
        if isinstance(self.strength, str):
            return self.strength
        return _UNITS[self.kind].format(self.strength)

    def __call__(self, image: Crop, frame: ArrayLike, size: int) -> Crop:
        """Crop a face as `imaging.crop.cut_frame` does, and corrupt it."""
        square = np.asarray(frame, np.float64)
        if isinstance(self.strength, str):
            return _cover(cut_frame(image, square, size), self.strength)
        return _CUTS[self.kind](image, square, size, self.strength)


def _reduced(image: Crop, frame: Frame, size: int, pixels: float) -> Crop:
    small = cut_frame(image, frame, round(pixels))
    return np.asarray(cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)


def _blurred(image: Crop, frame: Frame, size: int, fraction: float) -> Crop:
    return np.asarray(cv2.GaussianBlur(cut_frame(image, frame, size), (0, 0), fraction * size), np.uint8)


def _dark(image: Crop, frame: Frame, size: int, brightness: float) -> Crop:
    crop = cut_frame(image, frame, size)
    # Seeded by the image, so that the same one is always corrupted in the same way.
    noise = np.random.default_rng(zlib.crc32(crop.tobytes())).normal(0, _NOISE, crop.shape)
    return np.asarray(np.clip(np.rint(crop * brightness + noise), 0, 255), np.uint8)


def _tilted(image: Crop, frame: Frame, size: int, degrees: float) -> Crop:
    return cut_frame(image, frame + np.array([0, 0, 0, math.radians(degrees)]), size)


def _off_centre(image: Crop, frame: Frame, size: int, fraction: float) -> Crop:
    move = fraction * frame[2] / math.sqrt(2)
    return cut_frame(image, frame + np.array([move, move, 0, 0]), size)


def _cover(crop: Crop, what: str) -> Crop:
    left, top, right, bottom = (round(edge * len(crop)) for edge in _COVERED[what])
    crop[top:bottom, left:right] = _COVER_GREY
    return crop


_CUTS: Final[dict[str, Callable[[Crop, Frame, int, float], Crop]]] = {
    "resolution": _reduced,
    "blur": _blurred,
    "darkness": _dark,
    "tilt": _tilted,
    "off centre": _off_centre,
}
_UNITS: Final[dict[str, str]] = {
    "resolution": "{:g} px",
    "blur": "{:.1%} of the side",
    "darkness": "{:.0%} of the light",
    "tilt": "{:g}°",
    "off centre": "{:.0%} of the side",
}
STRENGTHS: Final[dict[str, tuple[float | str, ...]]] = {
    "resolution": (64, 48, 32, 24),
    "blur": (0.01, 0.02, 0.04),
    "darkness": (0.5, 0.25, 0.1),
    "tilt": (10, 20, 30, 45),
    "off centre": (0.05, 0.1, 0.2),
    "cover": tuple(_COVERED),
}
"""The strengths of each kind: pixels a side, standard deviation, remaining light, degrees, and so on."""


def corruptions() -> tuple[Corruption, ...]:
    """Return every corruption that is measured, from mild to strong within a kind."""
    return tuple(Corruption(kind, strength) for kind, strengths in STRENGTHS.items() for strength in strengths)
