"""AVIF: an ISO base media file whose items are AV1 key frames, one of them or a grid of them the image."""

from dataclasses import dataclass, field

from facial_attributes_ros.imaging.formats.av1 import largest_frame
from facial_attributes_ros.imaging.formats.base import CUT_SHORT, FormatError, Header, boxes, checked_size, unpack

_RARE = "is an AVIF of a kind that is not read, or damaged"
_MAX_ITEMS = 1024
_TURNS = {0: 1, 1: 8, 2: 3, 3: 6}
"""EXIF's orientation by quarters of a turn to the left."""
_MIRRORED = {1: (4, 2), 8: (5, 7), 3: (2, 4), 6: (7, 5)}
"""EXIF's orientation by that of the turn, if then mirrored top to bottom, or left to right."""

Span = tuple[int, int]
"""Start and end of bytes in the file."""


@dataclass
class _Items:
    """The items of the file, from the box `meta`."""

    primary: int = 0
    kinds: dict[int, bytes] = field(default_factory=dict)
    places: dict[int, tuple[bool, list[Span]]] = field(default_factory=dict)
    """Whether the spans lie in `idat`, and the spans."""
    properties: list[tuple[bytes, int, int]] = field(default_factory=list)
    of_item: dict[int, list[int]] = field(default_factory=dict)
    idat: Span = (0, 0)


def read_avif(data: bytes) -> Header:
    """Read the header of an AVIF; of an animated one, that of its primary image.

    Raises:
        FormatError: it is cut short or damaged, or of a rare kind.
    """
    items, content = _Items(), bytearray(data)
    for kind, start, end in boxes(data, 0, len(data)):
        if kind == b"ftyp":
            content[start:end] = data[start:end].replace(b"avis", b"avif")
        elif kind == b"moov":  # films are not read
            place = start - 4 if data[start - 4 : start] == kind else start - 12
            content[place : place + 4] = b"free"
        elif kind == b"meta":
            _read_meta(data, start + 4, end, items)
    if items.kinds.get(items.primary) not in (b"av01", b"grid"):
        raise FormatError(_RARE)
    width, height = _size(data, items, items.primary)
    held = 0
    for item, kind in items.kinds.items():
        if kind == b"av01":
            across, down = _size(data, items, item)
            held += max(across * down, largest_frame(_payload(data, items, item)))
        elif kind == b"grid":
            _check_grid(_payload(data, items, item), *_size(data, items, item))
    return Header(width, height, bytes(content), _orientation(data, items), held)


def _read_meta(data: bytes, start: int, end: int, items: _Items) -> None:
    for kind, first, last in boxes(data, start, end):
        if kind == b"pitm":
            items.primary = _Fields(data, first, last).versioned(0)
        elif kind == b"iinf":
            _read_kinds(data, first, last, items)
        elif kind == b"iloc":
            _read_places(_Fields(data, first, last), items)
        elif kind == b"idat":
            items.idat = first, last
        elif kind == b"iprp":
            _read_properties(data, first, last, items)


@dataclass
class _Fields:
    """Big-endian numbers one after the other; of a full box, the version comes first."""

    data: bytes
    place: int
    end: int
    version: int = 0

    def __post_init__(self) -> None:
        self.version = self.number(1)
        self.flags = self.number(3)

    def number(self, size: int) -> int:
        """Return the next number, `size` bytes long."""
        if self.place + size > self.end:
            raise FormatError(CUT_SHORT)
        self.place += size
        return int.from_bytes(self.data[self.place - size : self.place], "big")

    def versioned(self, last_short: int) -> int:
        """Return the next number: of 2 bytes up to a version, of 4 from the next on."""
        return self.number(2 if self.version <= last_short else 4)


def _read_kinds(data: bytes, start: int, end: int, items: _Items) -> None:
    fields = _Fields(data, start, end)
    fields.versioned(0)  # the number of entries, which follows from the boxes too
    for kind, first, last in boxes(data, fields.place, end):
        if kind != b"infe":
            continue
        entry = _Fields(data, first, last)
        if entry.version < 2:
            raise FormatError(_RARE)
        item = entry.versioned(2)
        items.kinds[item] = data[entry.place + 2 : entry.place + 6]
        if len(items.kinds) > _MAX_ITEMS:
            raise FormatError(_RARE)


def _read_places(fields: _Fields, items: _Items) -> None:
    sizes, more = fields.number(1), fields.number(1)
    offset_size, length_size, base_size = sizes >> 4, sizes & 15, more >> 4
    index_size = more & 15 if fields.version else 0
    for _ in range(fields.versioned(1)):
        item = fields.versioned(1)
        method = fields.number(2) & 15 if fields.version else 0
        if method > 1 or fields.number(2):  # from other items, or other files
            raise FormatError(_RARE)
        base, spans = fields.number(base_size), []
        for _ in range(fields.number(2)):
            fields.number(index_size)
            start = base + fields.number(offset_size)
            spans.append((start, start + fields.number(length_size)))
        items.places[item] = method == 1, spans


def _read_properties(data: bytes, start: int, end: int, items: _Items) -> None:
    for kind, first, last in boxes(data, start, end):
        if kind == b"ipco":
            items.properties = list(boxes(data, first, last))
        elif kind == b"ipma":
            fields = _Fields(data, first, last)
            for _ in range(fields.number(4)):
                item = fields.versioned(0)
                size = 2 if fields.flags & 1 else 1
                mask = 0x7FFF if size == 2 else 0x7F
                of_item = items.of_item.setdefault(item, [])
                of_item += [(fields.number(size) & mask) - 1 for _ in range(fields.number(1))]


def _property(items: _Items, item: int, wanted: bytes) -> Span | None:
    """Return where the content of a property of an item lies."""
    for index in items.of_item.get(item, ()):
        if 0 <= index < len(items.properties) and items.properties[index][0] == wanted:
            return items.properties[index][1:]
    return None


def _size(data: bytes, items: _Items, item: int) -> tuple[int, int]:
    span = _property(items, item, b"ispe")
    if span is None:
        raise FormatError("is damaged: an image in it has no size")
    fields = _Fields(data, *span)
    return checked_size(fields.number(4), fields.number(4))


def _orientation(data: bytes, items: _Items) -> int:
    turn, mirror = _property(items, items.primary, b"irot"), _property(items, items.primary, b"imir")
    turned = _TURNS[unpack("B", data, turn[0])[0] & 3] if turn else 1
    return _MIRRORED[turned][unpack("B", data, mirror[0])[0] & 1] if mirror else turned


def _payload(data: bytes, items: _Items, item: int) -> bytes:
    """Return the bytes of an item, all of which must be there."""
    in_idat, spans = items.places.get(item, (False, []))
    shift, limit = items.idat if in_idat else (0, len(data))
    if not spans or any(shift + end > limit for _, end in spans) or sum(end - start for start, end in spans) > limit:
        raise FormatError(CUT_SHORT)
    if len(spans) == 1 and spans[0][0] == spans[0][1]:  # without a length: to the end of the file
        return data[shift + spans[0][0] : limit]
    return b"".join(data[shift + start : shift + end] for start, end in spans)


def _check_grid(payload: bytes, width: int, height: int) -> None:
    """Refuse a grid whose own size differs from the size in its properties."""
    _, flags, _, _ = unpack("BBBB", payload, 0)
    if unpack(">II" if flags & 1 else ">HH", payload, 4) != (width, height):
        raise FormatError("is damaged: it has two sizes")
