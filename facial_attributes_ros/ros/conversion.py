"""Image messages to BGR arrays, and back.

Messages are taken by their fields (`height`, `width`, `encoding`, `is_bigendian`, `step`, `data`; or `format`, `data`),
so nothing here needs ROS. Names of the encodings are those of sensor_msgs' `image_encodings.hpp`.
"""

import re
import sys
from dataclasses import dataclass, replace
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging.decoder import decode_pixels

Pixels = NDArray[np.uint8]


class ConversionError(Exception):
    """A message that cannot be converted to an image; the text is one sentence with the reason."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the rows of one encoding lie in memory and how they become BGR.

    Attributes:
        channels: values a pixel (and row) has; 2 for packed YUV 4:2:2.
        depth: bits a value has, 8 or 16.
        code: OpenCV's conversion to BGR; None where the values are BGR already.
        even: what width and height must be a multiple of.
        planes: rows of data for one row of pixels, as numerator and denominator; 3/2 for NV21, 3 for NV24.
    """

    channels: int
    depth: int = 8
    code: int | None = None
    even: tuple[int, int] = (1, 1)
    planes: tuple[int, int] = (1, 1)


def _bayer(pattern: str, depth: int) -> Encoding:
    """Return a Bayer encoding; OpenCV names the pattern by its second row, the RGGB-style aliases by its first."""
    return Encoding(1, depth, int(getattr(cv2, f"COLOR_Bayer{pattern.upper()}2BGR")))


ENCODINGS: Final[dict[str, Encoding]] = {
    "bgr8": Encoding(3),
    "8UC3": Encoding(3),
    "rgb8": Encoding(3, code=cv2.COLOR_RGB2BGR),
    "bgra8": Encoding(4, code=cv2.COLOR_BGRA2BGR),
    "8UC4": Encoding(4, code=cv2.COLOR_BGRA2BGR),
    "rgba8": Encoding(4, code=cv2.COLOR_RGBA2BGR),
    "mono8": Encoding(1, code=cv2.COLOR_GRAY2BGR),
    "8UC1": Encoding(1, code=cv2.COLOR_GRAY2BGR),
    "bgr16": Encoding(3, 16),
    "16UC3": Encoding(3, 16),
    "rgb16": Encoding(3, 16, cv2.COLOR_RGB2BGR),
    "bgra16": Encoding(4, 16, cv2.COLOR_BGRA2BGR),
    "rgba16": Encoding(4, 16, cv2.COLOR_RGBA2BGR),
    "mono16": Encoding(1, 16, cv2.COLOR_GRAY2BGR),
    "yuv422": Encoding(2, code=cv2.COLOR_YUV2BGR_UYVY, even=(2, 1)),
    "uyvy": Encoding(2, code=cv2.COLOR_YUV2BGR_UYVY, even=(2, 1)),
    "yuv422_yuy2": Encoding(2, code=cv2.COLOR_YUV2BGR_YUY2, even=(2, 1)),
    "yuyv": Encoding(2, code=cv2.COLOR_YUV2BGR_YUY2, even=(2, 1)),
    "nv21": Encoding(1, code=cv2.COLOR_YUV2BGR_NV21, even=(2, 2), planes=(3, 2)),
    "nv24": Encoding(1, code=cv2.COLOR_YUV2BGR_NV12, even=(2, 2), planes=(3, 1)),
    **{f"bayer_{p}{depth}": _bayer(p, depth) for p in ("rggb", "bggr", "gbrg", "grbg") for depth in (8, 16)},
}

_COLOURS: Final = frozenset({"bgr8", "rgb8", "bgra8", "rgba8", "bgr16", "rgb16", "bgra16", "rgba16"})
"""Encodings whose colours image_transport puts in another order before it compresses them."""

_MEASUREMENTS: Final = re.compile(r"(8S|16U|16S|32S|32F|64F)C1")
"""Encodings of one number a pixel that is no brightness, such as a distance in millimetres."""

MAX_COMPRESSED_PIXELS: Final = 40_000_000
"""Default limit of the pixels of a compressed image; 8K has 33 million."""


def image_to_bgr(message: Any) -> Pixels:
    """Return the pixels of a `sensor_msgs/Image` as uint8 (height, width, 3), BGR.

    An image that is BGR already (bgr8, 8UC3) is a view of the message's data, row padding included; every other
    encoding is converted once. Values of 16 bits are scaled so that 65535 becomes 255.

    Raises:
        ConversionError: no such encoding, no pixels, or sizes that don't fit the data.
    """
    encoding, lines = checked_lines(message)
    rows = _nv24_as_nv12(lines, message) if message.encoding == "nv24" else _pixels(lines, message, encoding)
    try:
        return _to_bgr(rows, encoding)
    except cv2.error as error:
        raise ConversionError(f"OpenCV cannot convert this {_described(message)}: {error.err}.") from error


def _described(message: Any) -> str:
    return f"{message.width}x{message.height} {message.encoding} image"


def checked_lines(message: Any) -> tuple[Encoding, Pixels]:
    """Return the encoding of an image and a view of its data as (lines, step) bytes, row padding included.

    Raises:
        ConversionError: no such encoding, no pixels, or sizes that don't fit each other.
    """
    encoding = ENCODINGS.get(message.encoding)
    if _MEASUREMENTS.fullmatch(message.encoding):
        raise ConversionError(
            f"An image of the encoding {message.encoding} holds depths or other measurements, no colours; "
            "listen to a topic of colour images."
        )
    if encoding is None:
        raise ConversionError(f"The encoding {_shown(message.encoding)} is not one of {', '.join(sorted(ENCODINGS))}.")
    height, width, step = message.height, message.width, message.step
    if height == 0 or width == 0:
        raise ConversionError(f"The image has no pixels: it is {width}x{height}.")
    if width % encoding.even[0] or height % encoding.even[1]:
        raise ConversionError(f"A {_described(message)} cannot be: {message.encoding} needs even sides.")
    row_size = row_bytes(encoding, width)
    if step < row_size:
        raise ConversionError(f"A row of this {_described(message)} has {row_size} bytes, but step is only {step}.")
    lines = height * encoding.planes[0] // encoding.planes[1]
    data = _bytes(message.data)
    if len(data) != lines * step:
        raise ConversionError(
            f"This {_described(message)} with a step of {step} needs {lines * step} bytes of data, not {len(data)}."
        )
    return encoding, data.reshape(lines, step)


def row_bytes(encoding: Encoding, width: int) -> int:
    """Return the bytes of a row of pixels, without padding."""
    return width * encoding.channels * encoding.depth // 8


def _pixels(lines: Pixels, message: Any, encoding: Encoding) -> NDArray[Any]:
    """Cut the row padding off: a view (lines, width[, channels]); 16-bit values are copied to this byte order."""
    rows = lines[:, : row_bytes(encoding, message.width)]
    values = _words(rows, bool(message.is_bigendian)) if encoding.depth == 16 else rows
    return values if encoding.channels == 1 else values.reshape(len(lines), message.width, encoding.channels)


def _bytes(data: Any) -> Pixels:
    """View an array.array, bytes, memoryview or numpy array as uint8 without a copy; copy a list."""
    return np.asarray(data, np.uint8) if isinstance(data, list) else np.frombuffer(data, np.uint8)


def _words(rows: Pixels, big_endian: bool) -> NDArray[np.uint16]:
    """Copy rows of bytes as 16-bit values in this machine's byte order; a step need not be a multiple of two."""
    words = np.ascontiguousarray(rows).view(np.uint16)
    return words if big_endian == (sys.byteorder == "big") else words.byteswap()


def _nv24_as_nv12(lines: Pixels, message: Any) -> Pixels:
    """Average the full-size chroma plane of NV24 to the half-size one of NV12, which OpenCV converts."""
    height, width, step = message.height, message.width, message.step
    # A row of chroma, two bytes a pixel, takes two lines of data.
    chroma = lines[height:].reshape(height, 2 * step)[:, : 2 * width].reshape(height, width, 2)
    half = cv2.resize(chroma, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return np.concatenate([lines[:height, :width], half.reshape(height // 2, width)])


def _to_bgr(pixels: NDArray[Any], encoding: Encoding) -> Pixels:
    """Convert the colour at full depth, then scale 16-bit values to 8 bits, so that rounding comes last."""
    image: Any = pixels if encoding.code is None else cv2.cvtColor(pixels, encoding.code)
    return np.asarray(cv2.convertScaleAbs(image, alpha=1 / 257) if encoding.depth == 16 else image, np.uint8)


def compressed_to_bgr(message: Any, max_pixels: int = MAX_COMPRESSED_PIXELS) -> Pixels:
    """Return the pixels of a `sensor_msgs/CompressedImage` (JPEG, PNG, WebP, …) as uint8 (height, width, 3), BGR.

    What the decoded pixels are is read from `format` as image_transport's own subscriber reads it: before a semicolon
    is the encoding of the image that was compressed, and colours lie as BGR only where "compressed bgr" is behind it.
    The orientation an EXIF block names is ignored, as image_transport does, so that pixels are where the camera
    calibration says.

    Args:
        message: taken by its fields `format` and `data`.
        max_pixels: limit of its width times its height.

    Raises:
        ConversionError: no data, depths, more pixels than the limit, cut short, damaged or in a format not read.
    """
    source, separator, codec = message.format.partition(";")
    source = source.strip()
    if "compressedDepth" in message.format or (separator and _MEASUREMENTS.fullmatch(source)):
        raise ConversionError(f"A compressed image of the format {_shown(message.format)} holds depths, no colours.")
    data = _bytes(message.data).tobytes()
    name = f"The compressed image ({_shown(message.format)}, {len(data)} bytes)"
    colours_named = "compressed bgr" in codec or "compressed rgb" in codec
    developing = bool(separator) and not colours_named and (source.startswith("bayer_") or source == "mono16")
    try:
        pixels = decode_pixels(data, name, max_pixels, deep=developing)
    except UserError as error:
        raise ConversionError(str(error)) from error
    if developing:
        return _developed(pixels, source, name)
    image = np.asarray(pixels, np.uint8)
    swapped = separator and source in _COLOURS and "compressed bgr" not in codec
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), np.uint8) if swapped else image


def _developed(pixels: NDArray[Any], source: str, name: str) -> Pixels:
    """Convert a mosaic or 16-bit grey that was compressed as it is, as the raw image would be."""
    encoding = ENCODINGS.get(source)
    if encoding is None or pixels.ndim != 2:
        raise ConversionError(
            f"{name} has the format {_shown(source)}, which does not fit its data or is not supported."
        )
    try:
        # A codec of 8 bits has scaled 16-bit values down already.
        return _to_bgr(pixels, replace(encoding, depth=8 * pixels.itemsize))
    except cv2.error as error:
        raise ConversionError(f"{name} cannot be converted from {source}: {error.err}.") from error


def _shown(text: str) -> str:
    """Return a text that anybody may have sent in a form that fits a line of a log."""
    return repr(text if len(text) <= 60 else f"{text[:60]}…")


def bgr_fields(image: Pixels) -> dict[str, Any]:
    """Return the fields of a bgr8 `sensor_msgs/Image` that carries an image; the header is left to the caller.

    Args:
        image: uint8 (H, W, 3), BGR.
    """
    height, width = image.shape[:2]
    fields = {"height": height, "width": width, "encoding": "bgr8", "is_bigendian": 0, "step": 3 * width}
    return fields | {"data": image.tobytes()}


def jpeg_bytes(image: Pixels, quality: int) -> bytes:
    """Return a BGR image, uint8 (H, W, 3), as JPEG with a quality of 1 to 100.

    Raises:
        ConversionError: OpenCV cannot encode it (no pixels, or a side above 65,535).
    """
    try:
        done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    except cv2.error as error:
        raise ConversionError(f"OpenCV cannot encode the image: {error.err}.") from error
    if not done:
        raise ConversionError("OpenCV cannot encode the image.")
    return bytes(data)
