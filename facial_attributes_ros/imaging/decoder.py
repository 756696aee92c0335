"""Decoding of image files within limits, with one sentence for a file that cannot be decoded.

Our own code reads the header first and compares it with a limit and with the length of the data. The decoder gets only
data that passed, and only the part with the pixels of the first image.
"""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging import formats
from facial_attributes_ros.imaging.formats import FormatError, Header

VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv"})

MAX_PIXELS = 150_000_000
"""Default limit; larger images are not decoded."""

SPARSE_PIXELS, PIXELS_PER_BYTE = 1 << 22, 256
"""An image of more pixels than the first number must have a byte for every 256 pixels. All photographs do, while a file
of a few kilobytes can hold gigabytes of one colour."""

_BYTES_PER_PIXEL = 8
"""Of the largest files that are read: four uncompressed channels of 16 bits."""
_MORE_BYTES = 1 << 28
"""Allowance in bytes for other content of a file, such as the film of a motion photo."""

_TURNS: dict[int, Callable[[NDArray[Any]], Any]] = {
    2: lambda image: cv2.flip(image, 1),
    3: lambda image: cv2.rotate(image, cv2.ROTATE_180),
    4: lambda image: cv2.flip(image, 0),
    5: cv2.transpose,
    6: lambda image: cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE),
    7: lambda image: cv2.flip(cv2.transpose(image), -1),
    8: lambda image: cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE),
}
"""Transformation that makes an image upright, by EXIF's orientation."""


def decode_image(data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode the bytes of an image file and turn it upright by its EXIF orientation.

    Sixteen bits per channel become eight. Of several frames or pages, the first is decoded.

    Args:
        data: the whole file, in a format of `formats.NAMES`.
        name: of the image in an error.
        max_pixels: limit of its width times its height.

    Returns:
        uint8 (H, W, 3) BGR.

    Raises:
        UserError: the data is empty, cut short, too large or not an image.
    """
    header = _checked_header(data, name, max_pixels)
    image = _decoded(header, name, cv2.IMREAD_COLOR)
    turn = _TURNS.get(header.orientation)
    return np.asarray(turn(image) if turn else image, np.uint8)


def decode_pixels(data: bytes, name: str, max_pixels: int = MAX_PIXELS, deep: bool = False) -> NDArray[np.generic]:
    """Decode the bytes of an image file without turning it upright.

    Args:
        data: the whole file, in a format of `formats.NAMES`.
        name: of the image in an error.
        max_pixels: limit of its width times its height.
        deep: keep grey and 16 bits as they are.

    Returns:
        uint8 (H, W, 3) BGR; if deep, uint8 or uint16, (H, W) or (H, W, 3) BGR.

    Raises:
        UserError: the data is empty, cut short, too large or not an image.
    """
    header = _checked_header(data, name, max_pixels)
    return _decoded(header, name, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH if deep else cv2.IMREAD_COLOR)


def _checked_header(data: bytes, name: str, max_pixels: int) -> Header:
    """Read the header of an image that may be decoded."""
    if not data:
        raise UserError(f"{name} is empty.")
    try:
        header = formats.read_header(data)
    except FormatError as error:
        raise UserError(f"{name} {error}.") from error
    size = f"{header.width}x{header.height} pixels"
    if header.pixels > max_pixels:
        limit = f"{max_pixels / 1e6:g} million pixels"
        raise UserError(f"{name} has {size}, and the limit is {limit}; make it smaller, or raise the limit.")
    if header.pixels > max(SPARSE_PIXELS, PIXELS_PER_BYTE * len(header.data)):
        raise UserError(f"{name} claims {size} in its header, for which its {len(data)} bytes are too few.")
    return header


def _decoded(header: Header, name: str, flags: int) -> NDArray[np.generic]:
    """Decode the pixels of a header's image, which must have the size in the header."""
    try:
        image = cv2.imdecode(np.frombuffer(header.data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise UserError(f"{name} cannot be decoded as an image.") from error
    if image is None:
        raise UserError(f"{name} is damaged, or in a format that this OpenCV cannot decode.")
    if image.shape[:2] != (header.height, header.width):
        raise UserError(f"{name} is damaged: its pixels have another size than its header.")
    return np.asarray(image)


def read_image(path: Path | str, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Read an image file.

    Args:
        path: of the file.
        max_pixels: limit of its width times its height.

    Returns:
        uint8 (H, W, 3) BGR.

    Raises:
        UserError: there is no such file, no permission to read it, or it is not a whole image within the limit.
    """
    path = Path(path)
    try:
        data = read_within(path, max_pixels)
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}.") from error
    except PermissionError as error:
        raise UserError(f"There is no permission to read {path}.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UserError(f"{str(path)!r} cannot be read: {error}.") from error
    return decode_image(data, str(path), max_pixels)


def read_within(path: Path, max_pixels: int = MAX_PIXELS) -> bytes:
    """Return the content of a regular file that is not too long for an image of `max_pixels`.

    Raises:
        UserError: it is no regular file (a pipe or a device need not end), or longer.
        OSError: it cannot be read.
        ValueError: no file can have such a name.
    """
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise UserError(f"{path} is not a file.")
    check_length(state.st_size, str(path), max_pixels)
    return path.read_bytes()


def check_length(size: int, name: str, max_pixels: int = MAX_PIXELS) -> None:
    """Check that a file has no more bytes than an image of `max_pixels` can have.

    Raises:
        UserError: it has more.
    """
    if size > _BYTES_PER_PIXEL * max_pixels + _MORE_BYTES:
        limit = f"{max_pixels / 1e6:g} million pixels"
        raise UserError(f"{name} has {size / 1e9:.1f} GB, more than an image of {limit}, the limit.")


def is_video(path: Path) -> bool:
    """Return True if a file has the suffix of a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES
