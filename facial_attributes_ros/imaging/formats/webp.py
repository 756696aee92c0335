"""WebP: a RIFF file with one image as VP8 (RFC 6386) or VP8L, or several chunks of an extended file."""

from collections.abc import Iterator

from facial_attributes_ros.imaging.formats.base import (
    CUT_SHORT,
    UPRIGHT,
    FormatError,
    Header,
    checked_size,
    exif_orientation,
    unpack,
)

_SIDE = 0x3FFF


def read_webp(data: bytes) -> Header:
    """Read the header of a WebP; of an animated one, that of the first frame.

    Raises:
        FormatError: it is cut short or damaged.
    """
    end = 8 + unpack("<I", data, 4)[0]
    if end > len(data):
        raise FormatError(CUT_SHORT)
    image, orientation = b"", UPRIGHT
    for kind, content in _chunks(data, 12, end):
        if kind == b"ANMF" and not image:
            image = _image_in(content, 16)
        elif kind in _SIZES and not image:
            image = kind + content
        elif kind == b"EXIF":
            orientation = exif_orientation(content.removeprefix(b"Exif\0\0"))
    if not image:
        raise FormatError("is damaged: it holds no image")
    kind, content = image[:4], image[4:]
    width, height = checked_size(*_SIZES[kind](content))
    return Header(width, height, _riff(kind, content), orientation)


def _chunks(data: bytes, place: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of chunks; a chunk of odd length is followed by one more byte."""
    while place + 8 <= end:
        kind, length = unpack("<4sI", data, place)
        if length > end - place - 8:
            raise FormatError(CUT_SHORT)
        yield kind, data[place + 8 : place + 8 + length]
        place += 8 + length + length % 2


def _image_in(frame: bytes, place: int) -> bytes:
    """Return kind and content of the image of an animation's frame."""
    return next((kind + content for kind, content in _chunks(frame, place, len(frame)) if kind in _SIZES), b"")


def _lossy_size(content: bytes) -> tuple[int, int]:
    start, width, height = unpack("<3sHH", content, 3)
    if start != b"\x9d\x01\x2a":
        raise FormatError("is damaged")
    return width & _SIDE, height & _SIDE


def _lossless_size(content: bytes) -> tuple[int, int]:
    signature, bits = unpack("<BI", content, 0)
    if signature != 0x2F:
        raise FormatError("is damaged")
    return (bits & _SIDE) + 1, (bits >> 14 & _SIDE) + 1


_SIZES = {b"VP8 ": _lossy_size, b"VP8L": _lossless_size}


def _riff(kind: bytes, content: bytes) -> bytes:
    """Return a file with one image and nothing else."""
    chunk = kind + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2)
    return b"RIFF" + (4 + len(chunk)).to_bytes(4, "little") + b"WEBP" + chunk
