"""PNG (W3C, third edition): chunks of a length, a kind, content and a checksum."""

from facial_attributes_ros.imaging.formats.base import (
    CUT_SHORT,
    UPRIGHT,
    FormatError,
    Header,
    checked_size,
    exif_orientation,
    unpack,
)

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_FOR_PIXELS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
"""All others are dropped: texts and profiles hold compressed data of their own, and further frames take memory."""

_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Bits per channel by the type of colour."""


def read_png(data: bytes) -> Header:
    """Read the header of a PNG; of an animated one, that of the image which every viewer shows.

    Raises:
        FormatError: it is cut short or damaged.
    """
    width, height, depth, colour = _image_header(data)
    parts, orientation, kinds, place = [SIGNATURE], UPRIGHT, set(), len(SIGNATURE)
    while b"IEND" not in kinds:
        length, kind = unpack(">I4s", data, place)
        end = place + length + 12
        if end > len(data):
            raise FormatError(CUT_SHORT)
        if kind in _FOR_PIXELS:
            parts.append(data[place:end])
        elif kind == b"eXIf":
            orientation = exif_orientation(data[place + 8 : end - 4])
        kinds.add(kind)
        place = end
    if b"IDAT" not in kinds or depth not in _DEPTHS.get(colour, ()):
        raise FormatError("is damaged")
    return Header(width, height, b"".join(parts), orientation)


def _image_header(data: bytes) -> tuple[int, int, int, int]:
    """Return width, height, bits per channel and type of colour from the first chunk."""
    length, kind, width, height, depth, colour = unpack(">I4sIIBB", data, len(SIGNATURE))
    if (length, kind) != (13, b"IHDR"):
        raise FormatError("is damaged")
    return *checked_size(width, height), depth, colour
