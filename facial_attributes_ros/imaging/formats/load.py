"""The choice of the reader of a file's header, by the file's first bytes."""

from collections.abc import Callable

from facial_attributes_ros.imaging.formats import bmp, gif, jpeg, jpeg2000, png, pnm, tiff
from facial_attributes_ros.imaging.formats.avif import read_avif
from facial_attributes_ros.imaging.formats.base import FormatError, Header
from facial_attributes_ros.imaging.formats.webp import read_webp

_READERS: dict[tuple[bytes, ...], Callable[[bytes], Header]] = {
    (jpeg.SIGNATURE,): jpeg.read_jpeg,
    (png.SIGNATURE,): png.read_png,
    gif.SIGNATURES: gif.read_gif,
    tiff.SIGNATURES: tiff.read_tiff,
    jpeg2000.SIGNATURES: jpeg2000.read_jpeg2000,
    (bmp.SIGNATURE,): bmp.read_bmp,
    pnm.SIGNATURES: pnm.read_pnm,
}

NAMES = "JPEG, PNG, WebP, AVIF, TIFF, GIF, JPEG 2000, BMP, PBM, PGM and PPM"

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".avif", ".tif", ".tiff", ".gif", ".jp2", ".j2k"}
)
SUFFIXES |= {".bmp", ".dib", ".pbm", ".pgm", ".ppm", ".pnm"}
"""Suffixes of the formats, in small letters."""

_OTHERS = {b"#?RADIANCE": "HDR", b"#?RGBE": "HDR", b"v/1\1": "OpenEXR", b"\x59\xa6\x6a\x95": "Sun raster"}
_OTHERS |= {b"\xff\x0a": "JPEG XL", b"\0\0\0\x0cJXL ": "JPEG XL", b"8BPS": "Photoshop", b"%PDF": "PDF", b"qoif": "QOI"}


def read_header(data: bytes) -> Header:
    """Read the header of an image file.

    Raises:
        FormatError: it is of another format, cut short or damaged.
    """
    for signatures, reader in _READERS.items():
        if data.startswith(signatures):
            return reader(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return read_webp(data)
    if data[4:8] == b"ftyp":
        if data[8:12] in (b"avif", b"avis") or b"avif" in data[16:64]:
            return read_avif(data)
        raise FormatError(f"is a film or a HEIC image, not one of the formats that are read: {NAMES}")
    name = next((name for start, name in _OTHERS.items() if data.startswith(start)), None)
    if name:
        raise FormatError(f"is in the format {name}, which is not read; save it as one of {NAMES}")
    raise FormatError(f"is not a whole image in a format that is read: {NAMES}")
