"""Netpbm's PBM, PGM and PPM: numbers as text, then pixels as bits, bytes, or again as text."""

import re

from facial_attributes_ros.imaging.formats.base import CUT_SHORT, FormatError, Header, checked_size

SIGNATURES = tuple(b"P%d" % number for number in range(1, 7))

_BLANK = rb"(?:\s|#[^\r\n]*[\r\n])+"
_BITS = re.compile(rb"P[14]" + _BLANK + rb"(\d{1,9})" + _BLANK + rb"(\d{1,9})\s")
_GREY_OR_COLOUR = re.compile(rb"P[2356]" + _BLANK + rb"(\d{1,9})" + _BLANK + rb"(\d{1,9})" + _BLANK + rb"(\d{1,9})\s")
_LONGEST_HEADER = 4096


def read_pnm(data: bytes) -> Header:
    """Read the header of a PBM, PGM or PPM.

    Raises:
        FormatError: it is cut short or damaged.
    """
    kind = data[1] - ord("0")
    found = (_BITS if kind in (1, 4) else _GREY_OR_COLOUR).match(data[:_LONGEST_HEADER])
    if found is None:
        raise FormatError("is damaged")
    width, height, *largest = (int(number) for number in found.groups())
    checked_size(width, height)
    if largest and not 1 <= largest[0] <= 65535:
        raise FormatError("is damaged")
    if len(data) - found.end() < _least_bytes(kind, width, height, *largest):
        raise FormatError(CUT_SHORT)
    return Header(width, height, data)


def _least_bytes(kind: int, width: int, height: int, largest: int = 1) -> int:
    """Return the smallest number of bytes that the pixels can take."""
    values = width * height * (3 if kind in (3, 6) else 1)
    if kind == 4:
        return height * ((width + 7) // 8)
    if kind in (5, 6):
        return values * (2 if largest > 255 else 1)
    # As text, bits need no blanks between them, and numbers do.
    return values if kind == 1 else 2 * values - 1
