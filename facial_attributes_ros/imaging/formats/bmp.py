"""BMP: a file header, a header of the image in one of several lengths, a palette, and rows of pixels."""

from facial_attributes_ros.imaging.formats.base import CUT_SHORT, FormatError, Header, checked_size, unpack

SIGNATURE = b"BM"

_PLAIN, _RLE8, _RLE4, _BITFIELDS = 0, 1, 2, 3
_BITS = {_PLAIN: (1, 4, 8, 16, 24, 32), _RLE8: (8,), _RLE4: (4,), _BITFIELDS: (16, 32)}
"""Bits per pixel by the compression."""


def read_bmp(data: bytes) -> Header:
    """Read the header of a BMP.

    Raises:
        FormatError: it is cut short or damaged, or holds a JPEG or PNG.
    """
    offset, length = unpack("<II", data, 10)
    if length == 12:
        width, height, _, bits = unpack("<HHHH", data, 18)
        compression = colours = 0
    elif 36 <= length <= 124:
        width, height, _, bits, compression = unpack("<iiHHI", data, 18)
        colours = unpack("<I", data, 46)[0] if length >= 36 else 0
    else:
        raise FormatError("is damaged")
    width, height = checked_size(width, abs(height))
    if bits not in _BITS.get(compression, ()) or colours > 256:
        raise FormatError("is a BMP of a kind that is not read, or damaged")
    rows = height * ((width * bits + 31) // 32 * 4)
    if not 14 + length <= offset < len(data) or (compression in (_PLAIN, _BITFIELDS) and offset + rows > len(data)):
        raise FormatError(CUT_SHORT)
    return Header(width, height, data)
