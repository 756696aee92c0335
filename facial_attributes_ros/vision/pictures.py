"""Reading picture files, with a sentence for each that cannot be read."""

import io
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facial_attributes_ros.errors import UserError

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv"})

MAX_PIXELS = 150_000_000
"""Pictures of more are not decoded: a file of a few kilobytes can hold gigabytes of one colour."""

_JPEG_START, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"


def decode_picture(data: bytes, name: str) -> NDArray[np.uint8]:
    """Decode the bytes of a picture file, turned upright where the file says how it was held.

    Sixteen bits a channel become eight, and of several frames the first is taken.

    Args:
        data: the whole file, in any format that OpenCV reads.
        name: what to call it in an error.

    Returns:
        uint8 (H, W, 3) BGR.

    Raises:
        UserError: the data is empty, cut short, too large or not a picture.
    """
    if not data:
        raise UserError(f"{name} is empty.")
    if _pixels(data) > MAX_PIXELS:
        raise UserError(f"{name} has more than {MAX_PIXELS // 10**6} million pixels; make it smaller.")
    # OpenCV fills what is missing of a JPEG with grey and says nothing.
    if data.startswith(_JPEG_START) and data.rfind(_JPEG_END) < data.rfind(_JPEG_SCAN):
        raise UserError(f"{name} is cut short; copy the picture again.")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise UserError(f"{name} cannot be decoded as a picture.") from error
    if image is None:
        raise UserError(f"{name} is not a whole picture in a format that OpenCV reads.")
    return np.asarray(image, np.uint8)


def _pixels(data: bytes) -> int:
    """Return the number of pixels that a file's header tells, 0 for formats that Pillow does not know."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return picture.width * picture.height
    except Image.DecompressionBombError:
        return MAX_PIXELS + 1
    except (OSError, ValueError, SyntaxError):
        return 0


def read_picture(path: Path | str) -> NDArray[np.uint8]:
    """Read a picture file.

    Returns:
        uint8 (H, W, 3) BGR.

    Raises:
        UserError: there is no such file, no permission to read it, or it is not a whole picture.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}.") from error
    except PermissionError as error:
        raise UserError(f"There is no permission to read {path}.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    return decode_picture(data, str(path))


def is_video(path: Path) -> bool:
    """Tell whether a file's name is that of a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def files_in(folder: Path, suffixes: frozenset[str]) -> Iterator[Path]:
    """Yield the files of a folder and its subfolders whose names have one of the suffixes, in order of their names.

    Raises:
        UserError: there is no permission to read the folder.
    """
    try:
        next(folder.iterdir(), None)
    except PermissionError as error:
        raise UserError(f"There is no permission to read the folder {folder}.") from error
    yield from sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
