"""Augmentation towards the images of a robot's camera: blur, low light, compression, low resolution, tilt, occlusion.

Every random number comes from a generator seeded by (seed, epoch, position), never from a global one, so that a run can
be repeated and resumed exactly, with any number of workers.
"""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from facial_attributes_training.data.crops import CropReader, Framing
from facial_attributes_training.recipe.augmentation import Augmentation
from numpy.typing import NDArray
from torch import Tensor

Picture = NDArray[np.uint8]
"""A crop (S, S, 3), RGB."""
Pixels = NDArray[np.float32]


class Draws:
    """Random numbers for one crop.

    Args:
        seed: any numbers; the same ones give the same draws.
    """

    def __init__(self, *seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def uniform(self, low: float, high: float) -> float:
        """Return a number from low to high."""
        return float(self._random.uniform(low, high))

    def happens(self, probability: float) -> bool:
        """Return True with this probability."""
        return bool(self._random.random() < probability)

    def noise(self, shape: tuple[int, ...], deviation: float) -> Pixels:
        """Return normal noise, float32, of a standard deviation."""
        return self._random.standard_normal(shape, np.float32) * np.float32(deviation)


def augmented_crop(reader: CropReader, row: int, options: Augmentation, draws: Draws) -> tuple[Tensor, bool]:
    """Return a sample's crop, changed at random, uint8 (3, size, size), RGB, and whether it is mirrored.

    Raises:
        ImageError: the image can't be read or decoded.
    """
    crop = reader.crop(row, _framing(options, draws))
    mirrored = draws.happens(options.flip)
    return augment(crop.flip(2) if mirrored else crop, options, draws), mirrored


def _framing(options: Augmentation, draws: Draws) -> Framing:
    return Framing(
        shift=(draws.uniform(-options.shift, options.shift), draws.uniform(-options.shift, options.shift)),
        scale=1 + draws.uniform(-options.scale, options.scale),
        tilt=draws.uniform(-options.tilt, options.tilt),
        margin=None if options.margins is None else draws.uniform(*options.margins),
        mirrored_border=draws.happens(options.mirrored_border),
    )


def augment(crop: Tensor, options: Augmentation, draws: Draws) -> Tensor:
    """Return a changed copy of a crop, uint8 (3, S, S), RGB; where it is cut and mirrored is `augmented_crop`'s."""
    image: Picture = np.array(crop.numpy().transpose(1, 2, 0), np.uint8, order="C")
    # In the order in which they occur: light and face, lens, sensor, transport.
    steps: tuple[tuple[float, Callable[[Picture, Augmentation, Draws], Picture]], ...] = (
        (options.occlusion, _cover),
        (1.0 if options.colour else 0.0, _jitter_colour),
        (options.colour_cast, _cast),
        (options.grey, _take_colour),
        (options.blur, _blur),
        (options.low_resolution, _reduce),
        (options.low_light, _darken),
        (options.compression, _compress),
    )
    for probability, step in steps:
        if draws.happens(probability):
            image = step(image, options, draws)
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def _cover(image: Picture, _options: Augmentation, draws: Draws) -> Picture:
    side = image.shape[0]
    height, width = (round(side * draws.uniform(0.15, 0.45)) for _ in range(2))
    top, left = round(draws.uniform(0, side - height)), round(draws.uniform(0, side - width))
    covered = image.copy()
    covered[top : top + height, left : left + width] = round(draws.uniform(0, 255))
    return covered


def _jitter_colour(image: Picture, options: Augmentation, draws: Draws) -> Picture:
    brightness, contrast, saturation = (1 + draws.uniform(-options.colour, options.colour) for _ in range(3))
    pixels: Pixels = image * np.float32(brightness)
    pixels = (pixels - pixels.mean()) * np.float32(contrast) + pixels.mean()
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None]
    return _as_image((pixels - grey) * np.float32(saturation) + grey)


def _cast(image: Picture, _options: Augmentation, draws: Draws) -> Picture:
    gains = np.array([draws.uniform(0.75, 1.2) for _ in range(3)], np.float32)
    return _as_image(image.astype(np.float32) * gains)


def _take_colour(image: Picture, _options: Augmentation, _draws: Draws) -> Picture:
    return np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), np.uint8)


def _blur(image: Picture, _options: Augmentation, draws: Draws) -> Picture:
    sigma = draws.uniform(0.005, 0.02) * image.shape[0]
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def _reduce(image: Picture, options: Augmentation, draws: Draws) -> Picture:
    side = image.shape[0]
    fewer = round(draws.uniform(min(options.smallest_side, side), side))
    small = cv2.resize(image, (fewer, fewer), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)


def _darken(image: Picture, _options: Augmentation, draws: Draws) -> Picture:
    # The curve is a table of 256 levels, so that no pixel is raised to a power by itself.
    levels = (np.linspace(0, 1, 256) ** draws.uniform(1.0, 1.8) * draws.uniform(0.25, 0.8) * 255).astype(np.float32)
    return _as_image(levels[image] + draws.noise(image.shape, draws.uniform(2, 12)))


def _compress(image: Picture, options: Augmentation, draws: Draws) -> Picture:
    quality = round(draws.uniform(options.lowest_quality, 90))
    # The order of the channels matters to JPEG: it keeps brightness better than colour.
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]


def _as_image(pixels: Pixels) -> Picture:
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
