"""The augmentation settings of a recipe."""

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

Margin = Annotated[float, Field(ge=-0.4, le=4)]
Fraction = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Augmentation:
    """Strengths and probabilities of augmentation. Probabilities are per crop, from 0 to 1.

    Attributes:
        flip: probability of mirroring.
        shift: largest shift of the box as a fraction of its longer side, along each axis: off-centre detections.
        scale: largest change of the box's size as a fraction of it.
        tilt: largest rotation in degrees, to both sides.
        margins: bounds of a random margin of the crop, instead of the recipe's `crop_margin`; None for that.
        mirrored_border: probability of mirroring the image beyond its border, instead of black: tightly cropped data
            sets have borders where others have surroundings.
        colour: largest change of brightness, contrast and saturation as a fraction of each.
        colour_cast: probability of a random gain per channel.
        grey: probability of removing the colour.
        low_light: probability of darkening, with the noise of a small sensor.
        low_resolution: probability of downscaling and upscaling.
        smallest_side: smallest side in pixels of `low_resolution`.
        blur: probability of defocus blur.
        compression: probability of JPEG compression.
        lowest_quality: of the JPEG, 1 to 100.
        occlusion: probability of an occluding rectangle.
    """

    flip: Fraction = 0.5
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.1
    tilt: Annotated[float, Field(ge=0, le=180)] = 12.0
    margins: tuple[Margin, Margin] | None = None
    mirrored_border: Fraction = 0.0
    colour: Annotated[float, Field(ge=0, lt=1)] = 0.25
    colour_cast: Fraction = 0.2
    grey: Fraction = 0.1
    low_light: Fraction = 0.15
    low_resolution: Fraction = 0.2
    smallest_side: Annotated[int, Field(ge=1)] = 24
    blur: Fraction = 0.15
    compression: Fraction = 0.25
    lowest_quality: Annotated[int, Field(ge=1, le=90)] = 25
    occlusion: Fraction = 0.15
