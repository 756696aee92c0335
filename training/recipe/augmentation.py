"""How far and how often crops are augmented: a part of a recipe."""

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

Margin = Annotated[float, Field(ge=-0.4, le=4)]
Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Augmentation:
    """How far and how often crops are changed. Shares of crops are from 0 to 1.

    Attributes:
        flip: share of crops mirrored.
        shift: largest move of the box in shares of its longer side, along each axis: off-centre detections.
        scale: largest change of the box's size as a share of it.
        tilt: largest rotation in degrees, to both sides.
        margins: the crop's margin is drawn between these two, instead of the recipe's `crop_margin`; None leaves it.
        mirrored_border: share of crops in which the image goes on mirrored past its border, instead of black: data sets
            that are cut tightly have borders where others have surroundings.
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
    margins: tuple[Margin, Margin] | None = None
    mirrored_border: Share = 0.0
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
