"""JPEG 2000 (ITU T.800): a codestream, by itself or in the boxes of a JP2 file."""

from facial_attributes_ros.imaging.formats.base import CUT_SHORT, FormatError, Header, boxes, checked_size, unpack

SIGNATURES = (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")

RARE = "is a JPEG 2000 of a kind that is not read, or damaged"

_CODESTREAM = SIGNATURES[1]
_COD, _COC, _SOT, _SOD, _EOC = 0xFF52, 0xFF53, 0xFF90, 0xFF93, 0xFFD9

# Decoders reserve memory for every tile, layer, precinct and code block before they know whether it has data.
# Programs write one tile, or tiles of 256 pixels and more, some layers, six levels, and these sizes or larger ones.
_MAX_TILES = 1024
_MAX_LAYERS = 64
_MAX_LEVELS = 10
_LEAST_PRECINCT = 5
"""Binary logarithm of the sides of a precinct."""
_LEAST_BLOCK = 8
"""Binary logarithm of the pixels of a code block."""


def read_jpeg2000(data: bytes) -> Header:
    """Read the header of a JPEG 2000.

    Raises:
        FormatError: it is cut short or damaged, or of a rare kind.
    """
    if data.startswith(_CODESTREAM):
        return Header(*_codestream_size(data), data)
    for kind, start, end in boxes(data, 0, len(data)):
        if kind == b"jp2h":
            _check_palettes(data, start, end)
        elif kind == b"jp2c":
            return Header(*_codestream_size(data[start:end]), data[:end])
    raise FormatError(CUT_SHORT)


def _check_palettes(data: bytes, start: int, end: int) -> None:
    """Refuse palettes whose entries have more channels than a colour with opacity."""
    for kind, place, _ in boxes(data, start, end):
        if kind == b"pclr" and unpack("B", data, place + 2)[0] > 4:
            raise FormatError(RARE)


def _codestream_size(data: bytes) -> tuple[int, int]:
    """Return width and height; refuse images that would need more memory than their pixels."""
    if not data.startswith(_CODESTREAM):
        raise FormatError("is damaged")
    right, bottom, left, top, tile_width, tile_height, tile_left, tile_top, channels = unpack(">8IH", data, 8)
    width, height = checked_size(right - left, bottom - top)
    checked_size(tile_width, tile_height)
    tiles = -(-(right - tile_left) // tile_width) * -(-(bottom - tile_top) // tile_height)
    samples = [unpack(">BBB", data, 42 + 3 * channel) for channel in range(min(channels, 5))]
    if (
        not 1 <= channels <= 4
        or tile_left > left
        or tile_top > top
        or not 1 <= tiles <= _MAX_TILES
        or any(depth > 15 or not 1 <= across <= 4 or not 1 <= down <= 4 for depth, across, down in samples)
    ):
        raise FormatError(RARE)
    _check_segments(data)
    return width, height


def _check_segments(data: bytes) -> None:
    """Walk the marker segments of the main header and of all parts of tiles, whose lengths must fit the data."""
    place, end_of_part = 2, 0
    while True:
        marker, length = unpack(">HH", data, place)
        if marker == _EOC:
            return
        if marker == _SOD:
            if not end_of_part:  # this part goes on to the end of the file
                return
            if end_of_part <= place:
                raise FormatError("is damaged")
            place = end_of_part
            if data[place:] == b"\xff\xd9":  # the end, which has no length
                return
            continue
        if length < 2 or place + 2 + length > len(data):
            raise FormatError(CUT_SHORT)
        content = data[place + 4 : place + 2 + length]
        if marker == _SOT:
            part = unpack(">I", content, 2)[0]
            end_of_part = place + part if part else 0
            if end_of_part > len(data) or 0 < part < 14:
                raise FormatError(CUT_SHORT)
        _check_coding(marker, content, wide=unpack(">H", data, 40)[0] > 256)
        place += 2 + length


def _check_coding(marker: int, content: bytes, wide: bool) -> None:
    """Check the coding parameters of a tile or of one of its channels, if a segment holds them."""
    if marker == _COD:
        if unpack(">H", content, 2)[0] > _MAX_LAYERS:
            raise FormatError(RARE)
        style, coding = content[0], content[5:]
    elif marker == _COC:
        style, coding = unpack("B", content, 2 if wide else 1)[0], content[3 if wide else 2 :]
    else:
        return
    levels, across, down = unpack("BBB", coding, 0)
    precincts = coding[5:] if style & 1 else b""
    if (
        levels > _MAX_LEVELS
        or across + down + 4 < _LEAST_BLOCK
        or any(min(size & 15, size >> 4) < _LEAST_PRECINCT for size in precincts)
    ):
        raise FormatError(RARE)
