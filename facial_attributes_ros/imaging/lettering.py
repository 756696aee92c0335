"""Text as pixels. OpenCV's own fonts have no sign for plus or minus; this one comes with Pillow."""

import io
import math
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import ImageFont

_LINE_HEIGHT: Final = 1.25
"""Distance of two lines of text, in heights of the font."""
_BASELINE: Final = 0.95
"""Where a line's letters stand, from its top, in heights of the font."""
_KEPT: Final = 2048
"""Number of lines whose pixels are kept: those of a stream repeat from frame to frame."""


@cache
def font_file() -> bytes:
    """Return the font as a TrueType file: Aileron, in the public domain, the part of it that Pillow has."""
    from PIL import ImageFont  # a node that nobody watches draws nothing

    return bytes(ImageFont.load_default(size=10).font_bytes)  # type: ignore[union-attr]


@cache
def _font(height: int) -> "ImageFont.FreeTypeFont":
    from PIL import ImageFont

    return ImageFont.truetype(io.BytesIO(font_file()), height, layout_engine=ImageFont.Layout.BASIC)


def line_step(height: int) -> int:
    """Return the distance of two lines in pixels, for a height of the font in pixels."""
    return round(_LINE_HEIGHT * height)


@lru_cache(maxsize=_KEPT)
def text_width(text: str, height: int) -> int:
    """Return the width of a line in pixels, for a height of the font in pixels."""
    return math.ceil(_font(height).getlength(text))


@lru_cache(maxsize=_KEPT)
def text_mask(text: str, height: int) -> NDArray[np.uint8]:
    """Return how much of each pixel a line covers: uint8 (lines' distance, width), read-only.

    Args:
        text: characters that the font lacks become boxes; it has ASCII, `±`, `·` and `…`.
        height: of the font in pixels.
    """
    from PIL import Image, ImageDraw

    image = Image.new("L", (text_width(text, height), line_step(height)))
    ImageDraw.Draw(image).text((0, _BASELINE * height), text, fill=255, font=_font(height), anchor="ls")
    mask = np.asarray(image)
    mask.setflags(write=False)
    return mask
