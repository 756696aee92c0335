"""The result of reading an image file's header, and helpers of all readers."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

UPRIGHT = 1
"""EXIF's orientation of an image that is stored upright."""

CUT_SHORT = "is cut short"


class FormatError(Exception):
    """Why a file is not decoded: the rest of a sentence that begins with the file's name, such as `is cut short`."""


@dataclass(frozen=True, slots=True)
class Header:
    """The properties of a file's first image.

    Attributes:
        width, height: in pixels as stored, before the image is turned.
        data: the part of the file that a decoder needs for the pixels of the first image: no metadata, no further
            images, nothing after the end.
        orientation: as in EXIF, 1 to 8; 1 is upright.
        held: pixels that a decoder keeps in memory at once, if they are more than width times height.
    """

    width: int
    height: int
    data: bytes
    orientation: int = UPRIGHT
    held: int = 0

    @property
    def pixels(self) -> int:
        """Pixels for which a decoder needs memory."""
        return max(self.width * self.height, self.held)


def unpack(layout: str, data: bytes, offset: int) -> tuple[Any, ...]:
    """Return the values of a `struct` layout at an offset.

    Raises:
        FormatError: the data ends before.
    """
    try:
        return struct.unpack_from(layout, data, offset)
    except (struct.error, OverflowError) as error:
        raise FormatError(CUT_SHORT) from error


def checked_size(width: int, height: int) -> tuple[int, int]:
    """Return width and height, which must be those of an image that has pixels.

    Raises:
        FormatError: one is not above 0.
    """
    if width < 1 or height < 1:
        raise FormatError(f"is damaged: its header claims {width}x{height} pixels")
    return width, height


def exif_orientation(block: bytes) -> int:
    """Return the orientation in an EXIF block (a small TIFF file), 1 if there is none or the block is damaged."""
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return UPRIGHT
    try:
        start = unpack(f"{order}I", block, 4)[0]
        for place in range(start + 2, start + 2 + 12 * unpack(f"{order}H", block, start)[0], 12):
            tag, kind, _, value = unpack(f"{order}HHIH", block, place)
            if (tag, kind) == (0x0112, 3):
                return value if 1 <= value <= 8 else UPRIGHT
    except FormatError:  # damaged metadata is no reason to refuse the image
        pass
    return UPRIGHT


def boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of the content of every box of an ISO base media file, or a part of one.

    Raises:
        FormatError: a box is longer than what it lies in.
    """
    while start < end:
        length, kind = unpack(">I4s", data, start)
        head = 8
        if length == 1:
            length, head = unpack(">Q", data, start + 8)[0], 16
        if length == 0:
            length = end - start
        if not head <= length <= end - start:
            raise FormatError(CUT_SHORT)
        yield kind, start + head, start + length
        start += length
