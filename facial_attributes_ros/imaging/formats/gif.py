"""GIF (version 89a): a screen, and blocks; every image is a block of its own with a place on the screen."""

from facial_attributes_ros.imaging.formats.base import CUT_SHORT, FormatError, Header, checked_size, unpack

SIGNATURES = (b"GIF87a", b"GIF89a")

_EXTENSION, _IMAGE, _CONTROL = 0x21, 0x2C, 0xF9


def read_gif(data: bytes) -> Header:
    """Read the header of a GIF; of an animated one, that of the first frame.

    Raises:
        FormatError: it is cut short or damaged.
    """
    width, height, flags = unpack("<HHB", data, 6)
    checked_size(width, height)
    place = 13 + _palette_size(flags)
    parts = [data[:place]]
    while True:
        kind, label = unpack("BB", data, place)
        if kind == _IMAGE:
            break
        if kind != _EXTENSION:
            raise FormatError("is damaged")
        end = _end_of_blocks(data, place + 2)
        if label == _CONTROL:  # holds the transparent colour
            parts.append(data[place:end])
        place = end
    left, top, frame_width, frame_height, flags = unpack("<HHHHB", data, place + 1)
    checked_size(frame_width, frame_height)
    if left + frame_width > width or top + frame_height > height:
        raise FormatError("is damaged: its first frame is larger than its screen")
    end = _end_of_blocks(data, place + 10 + _palette_size(flags) + 1)
    return Header(width, height, b"".join([*parts, data[place:end], b";"]))


def _palette_size(flags: int) -> int:
    """Return the bytes of the colour table that follows a screen or an image."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _end_of_blocks(data: bytes, place: int) -> int:
    """Return the end of a sequence of blocks, each with its length before it; the last has length 0."""
    while True:
        length = unpack("B", data, place)[0]
        place += 1 + length
        if place > len(data):
            raise FormatError(CUT_SHORT)
        if not length:
            return place
