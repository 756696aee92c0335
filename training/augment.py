"""Augmentation towards what a robot's camera sees: blur, low light, compression, few pixels, tilted and covered faces.

Every draw comes from a generator seeded by (seed, epoch, position), never from a global one, so that a run can be
repeated and resumed exactly, with any number of workers.
"""

from collections.abc import Callable
from typing import Annotated

import numpy as np
import torch
from facial_attributes_training.crops import CropReader
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Augmentation:
    """How far and how often crops are changed. Shares of crops are from 0 to 1.

    Attributes:
        flip: share of crops mirrored.
        shift: largest move of the box in shares of its longer side, along each axis: off-centre detections.
        scale: largest change of the box's size as a share of it.
        tilt: largest rotation in degrees, to both sides.
        colour: largest change of brightness, contrast and saturation as a share of each.
        colour_cast: share of crops with a gain of its own on every channel.
        grey: share of crops without colour.
        low_light: share of crops darkened, with the noise of a small sensor.
        low_resolution: share of crops reduced to fewer pixels and enlarged again.
        smallest_side: pixels a side that `low_resolution` goes down to.
        blur: share of crops out of focus.
        compression: share of crops with JPEG's traces.
        lowest_quality: of the JPEG, 1 to 100.
        occlusion: share of crops with a covered rectangle.
    """

    flip: Share = 0.5
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.1
    tilt: Annotated[float, Field(ge=0, le=180)] = 12.0
    colour: Annotated[float, Field(ge=0, lt=1)] = 0.25
    colour_cast: Share = 0.2
    grey: Share = 0.1
    low_light: Share = 0.15
    low_resolution: Share = 0.2
    smallest_side: Annotated[int, Field(ge=1)] = 24
    blur: Share = 0.15
    compression: Share = 0.25
    lowest_quality: Annotated[int, Field(ge=1, le=90)] = 25
    occlusion: Share = 0.15


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

    def happens(self, share: float) -> bool:
        """Return True in that share of calls."""
        return bool(self._random.random() < share)

    def noise(self, shape: torch.Size, spread: float) -> Tensor:
        """Return normal noise, float32, of a standard deviation."""
        return torch.from_numpy(self._random.normal(0, spread, tuple(shape)).astype(np.float32))


def augmented_crop(reader: CropReader, row: int, options: Augmentation, draws: Draws) -> Tensor:
    """Return a row's crop, changed at random, uint8 (3, size, size), RGB.

    Raises:
        PictureError: the picture can't be read or decoded.
    """
    shift = (draws.uniform(-options.shift, options.shift), draws.uniform(-options.shift, options.shift))
    scale = 1 + draws.uniform(-options.scale, options.scale)
    return augment(reader.crop(row, shift, scale), options, draws)


def augment(crop: Tensor, options: Augmentation, draws: Draws) -> Tensor:
    """Return a changed copy of a crop, uint8 (3, S, S), RGB; the box's own changes are `augmented_crop`'s."""
    if draws.happens(options.flip):
        crop = functional.horizontal_flip(crop)
    if options.tilt:
        angle = draws.uniform(-options.tilt, options.tilt)
        crop = functional.rotate(crop, angle, interpolation=v2.InterpolationMode.BILINEAR)
    # In the order in which they come about: light and face, lens, sensor, transport.
    steps: tuple[tuple[float, Callable[[Tensor, Augmentation, Draws], Tensor]], ...] = (
        (options.occlusion, _cover),
        (1.0 if options.colour else 0.0, _jitter_colour),
        (options.colour_cast, _cast),
        (options.grey, lambda image, _options, _draws: functional.rgb_to_grayscale(image, num_output_channels=3)),
        (options.blur, _blur),
        (options.low_resolution, _reduce),
        (options.low_light, _darken),
        (options.compression, _compress),
    )
    for share, step in steps:
        if draws.happens(share):
            crop = step(crop, options, draws)
    return crop


def _cover(image: Tensor, _options: Augmentation, draws: Draws) -> Tensor:
    side = image.shape[-1]
    height, width = (round(side * draws.uniform(0.15, 0.45)) for _ in range(2))
    top, left = round(draws.uniform(0, side - height)), round(draws.uniform(0, side - width))
    grey = torch.full((3, height, width), round(draws.uniform(0, 255)), dtype=torch.uint8)
    covered: Tensor = functional.erase(image, top, left, height, width, grey)
    return covered


def _jitter_colour(image: Tensor, options: Augmentation, draws: Draws) -> Tensor:
    for change in (functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation):
        image = change(image, 1 + draws.uniform(-options.colour, options.colour))
    return image


def _cast(image: Tensor, _options: Augmentation, draws: Draws) -> Tensor:
    gains = torch.tensor([draws.uniform(0.75, 1.2) for _ in range(3)]).view(3, 1, 1)
    return _as_picture(image * gains)


def _blur(image: Tensor, _options: Augmentation, draws: Draws) -> Tensor:
    sigma = draws.uniform(0.005, 0.02) * image.shape[-1]
    blurred: Tensor = functional.gaussian_blur(image, [2 * round(2 * sigma) + 1] * 2, [sigma, sigma])
    return blurred


def _reduce(image: Tensor, options: Augmentation, draws: Draws) -> Tensor:
    side = image.shape[-1]
    fewer = round(draws.uniform(min(options.smallest_side, side), side))
    small = functional.resize(image, [fewer, fewer], antialias=True)
    enlarged: Tensor = functional.resize(small, [side, side], antialias=True)
    return enlarged


def _darken(image: Tensor, _options: Augmentation, draws: Draws) -> Tensor:
    dark = (image / 255) ** draws.uniform(1.0, 1.8) * draws.uniform(0.25, 0.8) * 255
    return _as_picture(dark + draws.noise(image.shape, draws.uniform(2, 12)))


def _compress(image: Tensor, options: Augmentation, draws: Draws) -> Tensor:
    compressed: Tensor = functional.jpeg(image, round(draws.uniform(options.lowest_quality, 90)))
    return compressed


def _as_picture(image: Tensor) -> Tensor:
    return image.round().clamp(0, 255).to(torch.uint8)
