"""JPEG (ITU T.81): segments of a marker, a length and content; entropy-coded data follow those that begin a scan."""

import re
from dataclasses import dataclass, field

from facial_attributes_ros.imaging.formats.base import (
    CUT_SHORT,
    UPRIGHT,
    FormatError,
    Header,
    checked_size,
    exif_orientation,
    unpack,
)

SIGNATURE = b"\xff\xd8\xff"

_SOI, _EOI, _SOS, _DRI, _APP0, _APP1, _APP14, _COM = 0xD8, 0xD9, 0xDA, 0xDD, 0xE0, 0xE1, 0xEE, 0xFE
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended and progressive frames, Huffman coded: the common kinds, which every decoder reads."""
_TABLES = frozenset({0xC4, 0xDB, _DRI})
_NOTES = frozenset({*range(_APP0, 0xF0), _COM})

_MAX_SCANS = 100
"""A scan of a few bytes costs a pass over the whole image; a progressive file has about ten."""

_MARKER = re.compile(rb"\xff+[^\x00\xff]")
_MARKER_BEHIND_RESTARTS = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")


@dataclass
class _Found:
    """The content of the segments read so far."""

    width: int = 0
    height: int = 0
    orientation: int = 0
    scans: int = 0
    restarts: bool = False
    parts: list[bytes] = field(default_factory=lambda: [b"\xff\xd8"])


def read_jpeg(data: bytes) -> Header:
    """Read the header of a JPEG and walk its segments to its end; data after the end is ignored.

    Raises:
        FormatError: it is cut short or damaged, or of a rare kind.
    """
    found, place = _Found(), 2
    while True:
        marker, place = _next_marker(data, place, exact=found.scans > 0)
        if marker == _EOI:
            break
        end = place + unpack(">H", data, place)[0]
        if end < place + 2 or end > len(data):
            raise FormatError(CUT_SHORT)
        _take(found, marker, data[place + 2 : end])
        if marker == _SOS:
            end = _end_of_scan(data, end, found.restarts)
        if marker not in _NOTES or marker in (_APP0, _APP14):
            found.parts.append(b"\xff" + bytes([marker]) + data[place:end])
        place = end
    if not found.width or not found.scans:
        raise FormatError("is damaged: it ends before its image begins")
    return Header(found.width, found.height, b"".join([*found.parts, b"\xff\xd9"]), found.orientation or UPRIGHT)


def _next_marker(data: bytes, place: int, exact: bool) -> tuple[int, int]:
    """Return a marker and where its segment begins.

    Some cameras leave bytes between the first segments; behind the first scan they would be those of another file.
    """
    found = _MARKER.match(data, place) if exact else _MARKER.search(data, place)
    if found is None:
        raise FormatError(CUT_SHORT)
    return data[found.end() - 1], found.end()


def _take(found: _Found, marker: int, content: bytes) -> None:
    """Read the content of a segment."""
    if marker in _FRAMES:
        precision, height, width, components = unpack(">BHHB", content, 0)
        if found.width or precision != 8 or components not in (1, 3, 4):
            raise FormatError("is a JPEG of a kind that is not read, or damaged")
        found.width, found.height = checked_size(width, height)
    elif marker == _SOS:
        found.scans += 1
        if not found.width:
            raise FormatError("is damaged: its data come before their size")
        if found.scans > _MAX_SCANS:
            raise FormatError(f"is damaged: it has more than {_MAX_SCANS} scans")
    elif marker == _DRI:
        found.restarts = found.restarts or any(content)
    elif marker == _APP1 and content.startswith(b"Exif\0\0") and not found.orientation:
        found.orientation = exif_orientation(content[6:])
    elif marker not in _TABLES and marker not in _NOTES:
        raise FormatError("is a JPEG of a kind that is not read, or damaged")


def _end_of_scan(data: bytes, place: int, restarts: bool) -> int:
    """Return where the entropy-coded data of a scan end."""
    found = (_MARKER_BEHIND_RESTARTS if restarts else _MARKER).search(data, place)
    if found is None:
        raise FormatError(CUT_SHORT)
    return found.start()
