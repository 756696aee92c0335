"""TIFF 6.0 and BigTIFF: every page has a directory of tags with the positions of its strips or tiles of pixels."""

import struct
from dataclasses import dataclass, field

from facial_attributes_ros.imaging.formats.base import CUT_SHORT, FormatError, Header, checked_size, unpack

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _ORIENTATION, _CHANNELS = 256, 257, 258, 259, 274, 277
_STRIP_PLACES, _STRIP_ROWS, _STRIP_SIZES, _PLANES = 273, 278, 279, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILE_PLACES, _TILE_SIZES = 322, 323, 324, 325
_SAMPLE_FORMAT = 339

_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
"""Letter of `struct` by type of the values that are read here."""
_SIZES = {2: 1, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 17: 8}
"""Bytes of a value of the other types."""
_COMPRESSIONS = frozenset({1, 2, 3, 4, 5, 7, 8, 32773, 32946})
"""None, three of fax, LZW, JPEG, Deflate, PackBits, and Deflate under its older number."""
_MAX_TAGS = 4096


@dataclass(frozen=True, slots=True)
class _Tag:
    """Position, number and type of the values of a tag."""

    letter: str
    count: int
    place: int


@dataclass
class _Page:
    """The directory of the first page, in the byte order and the sizes of TIFF or BigTIFF."""

    data: bytes
    order: str
    big: bool
    tags: dict[int, _Tag] = field(default_factory=dict)
    next_page: int = 0

    def values(self, tag: int, default: int) -> tuple[int, ...]:
        """Return the values of a tag."""
        found = self.tags.get(tag)
        if found is None or not found.count:
            return (default,)
        return unpack(f"{self.order}{found.count}{found.letter}", self.data, found.place)

    def value(self, tag: int, default: int) -> int:
        """Return the first value of a tag."""
        return self.values(tag, default)[0]

    def read(self) -> None:
        """Find the tags, all of whose values must lie inside the file."""
        offset = f"{self.order}{'Q' if self.big else 'I'}"
        room, entry_size, head = (8, 20, 8) if self.big else (4, 12, 2)
        start = unpack(offset, self.data, 8 if self.big else 4)[0]
        count = unpack(f"{self.order}{'Q' if self.big else 'H'}", self.data, start)[0]
        if count > _MAX_TAGS:
            raise FormatError("is damaged")
        self.next_page = start + head + count * entry_size
        if self.next_page + room > len(self.data):
            raise FormatError(CUT_SHORT)
        for entry in range(start + head, self.next_page, entry_size):
            tag, kind, number = unpack(f"{self.order}HH{'Q' if self.big else 'I'}", self.data, entry)
            letter = _INTEGERS.get(kind, "")
            size = number * (struct.calcsize(f"={letter}") if letter else _SIZES.get(kind, 1))
            place = entry + entry_size - room
            if size > room:
                place = unpack(offset, self.data, place)[0]
            if place + size > len(self.data):
                raise FormatError(CUT_SHORT)
            if letter:
                self.tags.setdefault(tag, _Tag(letter, number, place))

    def changed(self, values: dict[int, int]) -> bytes:
        """Return the file with the first value of some tags changed, and without further pages."""
        content = bytearray(self.data)
        struct.pack_into(f"{self.order}{'Q' if self.big else 'I'}", content, self.next_page, 0)
        for tag, value in values.items():
            if found := self.tags.get(tag):
                struct.pack_into(f"{self.order}{found.letter}", content, found.place, value)
        return bytes(content)


def read_tiff(data: bytes) -> Header:
    """Read the header of a TIFF; of several pages, that of the first.

    Raises:
        FormatError: it is cut short or damaged, or of a rare kind.
    """
    page = _Page(data, "<" if data.startswith(b"II") else ">", big=43 in data[2:4])
    page.read()
    width, height = checked_size(page.value(_WIDTH, 0), page.value(_HEIGHT, 0))
    _check_samples(page)
    part_width, part_height = _check_parts(page, width, height)
    orientation = page.value(_ORIENTATION, 1)
    # Decoders turn the image for some orientations only, and need memory for all rows that a strip claims to have.
    content = page.changed({_ORIENTATION: 1, _STRIP_ROWS: part_height})
    return Header(width, height, content, orientation if 1 <= orientation <= 8 else 1, part_width * part_height)


def _check_samples(page: _Page) -> None:
    """Refuse images other than grey or colour of up to 16 bits, such as depth images, and rare compressions."""
    if (
        not 1 <= page.value(_CHANNELS, 1) <= 4
        or max(page.values(_BITS, 1)) > 16
        or set(page.values(_SAMPLE_FORMAT, 1)) != {1}
        or page.value(_COMPRESSION, 1) not in _COMPRESSIONS
    ):
        raise FormatError("is a TIFF of a kind that is not read, or damaged")


def _check_parts(page: _Page, width: int, height: int) -> tuple[int, int]:
    """Return width and height of the strips or tiles; there must be as many as the image needs."""
    tiled = _TILE_WIDTH in page.tags
    if tiled:
        part = checked_size(page.value(_TILE_WIDTH, 0), page.value(_TILE_HEIGHT, 0))
        places, sizes = page.values(_TILE_PLACES, 0), page.values(_TILE_SIZES, 0)
    else:
        part = checked_size(width, min(page.value(_STRIP_ROWS, height), height))
        places, sizes = page.values(_STRIP_PLACES, 0), page.values(_STRIP_SIZES, 0)
    number = -(-width // part[0]) * -(-height // part[1])
    if page.value(_PLANES, 1) == 2:
        number *= page.value(_CHANNELS, 1)
    if not len(places) == len(sizes) >= number or max(map(sum, zip(places, sizes, strict=True))) > len(page.data):
        raise FormatError(CUT_SHORT)
    return part
