"""The size of frames in an AV1 stream (AV1 Bitstream and Decoding Process Specification, 5.3 and 5.5)."""

from facial_attributes_ros.imaging.formats.base import CUT_SHORT, FormatError

_SEQUENCE = 1
"""Type of the open bitstream unit (OBU) that holds a sequence header."""


def largest_frame(stream: bytes) -> int:
    """Return the pixels of the largest frame for which a decoder may need memory.

    Raises:
        FormatError: the stream is cut short or damaged.
    """
    largest, place = 0, 0
    while place < len(stream):
        head = stream[place]
        kind, extended, sized = head >> 3 & 15, head >> 2 & 1, head >> 1 & 1
        place += 1 + extended
        size = len(stream) - place
        if sized:
            size, place = _leb128(stream, place)
        if place + size > len(stream):
            raise FormatError(CUT_SHORT)
        if kind == _SEQUENCE:
            largest = max(largest, _pixels_of_sequence(stream[place : place + size]))
        place += size
    if not largest:
        raise FormatError("is damaged: an image in it has no size")
    return largest


def _leb128(stream: bytes, place: int) -> tuple[int, int]:
    """Return a number in groups of seven bits, and where it ends."""
    number = 0
    for index, byte in enumerate(stream[place : place + 8]):
        number |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            return number, place + index + 1
    raise FormatError(CUT_SHORT)


class _Bits:
    """Bits, the highest of a byte first."""

    def __init__(self, data: bytes) -> None:
        self._number, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int) -> int:
        """Return the number that the next bits make."""
        self._left -= count
        if self._left < 0:
            raise FormatError(CUT_SHORT)
        return self._number >> self._left & (1 << count) - 1

    def take_unary(self) -> int:
        """Return a number of variable length, `uvlc` in the specification."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        return self.take(zeros) + (1 << zeros) - 1 if zeros < 32 else 0


def _pixels_of_sequence(header: bytes) -> int:
    """Return the most pixels of a frame by a sequence header (5.5.1)."""
    bits = _Bits(header[:512])
    bits.take(4)  # profile, still picture
    reduced = bits.take(1)
    if reduced:
        bits.take(5)  # level
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    width, height = bits.take(width_bits) + 1, bits.take(height_bits) + 1
    # Without the reduced header, a frame may have another size of its own, in as many bits.
    return width * height if reduced else max(width * height, 1 << (width_bits + height_bits - 2))


def _skip_operating_points(bits: _Bits) -> None:
    """Skip what comes before the size in a sequence header that is not reduced."""
    model, delay_bits = 0, 0
    if bits.take(1):  # timing information
        bits.take(64)
        if bits.take(1):
            bits.take_unary()
        model = bits.take(1)
        if model:
            delay_bits = bits.take(5) + 1
            bits.take(42)
    display = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if model and bits.take(1):
            bits.take(2 * delay_bits + 1)
        if display and bits.take(1):
            bits.take(4)
