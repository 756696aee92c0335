"""cv_bridge for the colour of raw images, where it is installed and gives what our own conversion gives.

A cv_bridge compiled against another numpy raises, returns nonsense or ends the process; older ones ignore row padding
or byte order, and with numpy 2 the byte swap fails. So it first converts one small image of each layout, in a process
of its own and once for this process, and is used for the layouts that it converts as we do.
"""

import importlib
import importlib.util
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from facial_attributes_ros.child_processes import run
from facial_attributes_ros.ros.conversion import (
    ENCODINGS,
    ConversionError,
    Pixels,
    checked_lines,
    image_to_bgr,
    row_bytes,
)

_LOGGER = logging.getLogger(__name__)

PROBE_TIMEOUT = 20.0
"""Seconds that the trial may take."""


class Layout(NamedTuple):
    """How the pixels of an image message lie in memory.

    Attributes:
        encoding: a key of `ENCODINGS`.
        big_endian: byte order of 16-bit values, as the message has it.
        padded: whether rows end in bytes that are no pixels.
    """

    encoding: str
    big_endian: bool
    padded: bool


def image_converter() -> Callable[[Any], Pixels]:
    """Return the function that turns a `sensor_msgs/Image` into BGR: `image_to_bgr`, or cv_bridge for trusted layouts.

    Both ways take the same messages, refuse the same ones with the same sentence, and give the same image.
    """
    trusted = trusted_layouts()
    if not trusted:
        return image_to_bgr
    bridge = importlib.import_module("cv_bridge").CvBridge()

    def convert(message: Any) -> Pixels:
        checked_lines(message)
        # A BGR image is a mere view with our own code; cv_bridge would copy it.
        if _layout(message) not in trusted or ENCODINGS[message.encoding] == ENCODINGS["bgr8"]:
            return image_to_bgr(message)
        try:
            return np.asarray(bridge.imgmsg_to_cv2(message, "bgr8"), np.uint8)
        except Exception as error:  # cv_bridge raises whatever its bindings raise
            raise ConversionError(f"cv_bridge cannot convert this {message.encoding} image: {error}.") from error

    return convert


@cache
def trusted_layouts() -> frozenset[Layout]:
    """Return the layouts that the installed cv_bridge converts as we do; none if there is no working cv_bridge."""
    if importlib.util.find_spec("cv_bridge") is None:
        return frozenset()
    try:
        command = [sys.executable, "-m", __name__]
        trial = run(command, timeout=PROBE_TIMEOUT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        trial.check_returncode()
        trusted = frozenset(Layout(*each) for each in json.loads(trial.stdout.splitlines()[-1]))
    except (subprocess.SubprocessError, OSError, ValueError, IndexError) as error:
        _LOGGER.warning("cv_bridge is installed but does not work here, so it is not used (%s).", error)
        return frozenset()
    encodings = sorted({layout.encoding for layout in trusted})
    _LOGGER.info(
        "cv_bridge converts images of %d of %d encodings; the package's own conversion is used for the others (%s).",
        len(encodings),
        len(ENCODINGS),
        ", ".join(sorted(set(ENCODINGS) - set(encodings))) or "none",
    )
    return trusted


def _layout(message: Any) -> Layout:
    padded = message.step > row_bytes(ENCODINGS[message.encoding], message.width)
    return Layout(message.encoding, bool(message.is_bigendian), padded)


def layouts() -> Iterator[Layout]:
    """Give every layout."""
    for name in ENCODINGS:
        for big_endian in (False, True):
            for padded in (False, True):
                yield Layout(name, big_endian, padded)


def sample_message(layout: Layout) -> SimpleNamespace:
    """Return a small image message of noise in a layout, to try a converter with."""
    encoding, height, width = ENCODINGS[layout.encoding], 4, 6
    step = row_bytes(encoding, width) + 4 * layout.padded
    size = height * encoding.planes[0] // encoding.planes[1] * step
    data = np.random.default_rng(0).integers(0, 256, size, np.uint8).tobytes()
    return SimpleNamespace(
        height=height, width=width, encoding=layout.encoding, is_bigendian=int(layout.big_endian), step=step, data=data
    )


def agrees(convert: Callable[[Any], Any], layout: Layout) -> bool:
    """Return True if a converter gives what `image_to_bgr` gives for a layout, up to rounding."""
    message = sample_message(layout)
    try:
        theirs = np.asarray(convert(message), np.int16)
    except Exception as error:  # whatever it is, this layout is ours to convert
        _LOGGER.info("cv_bridge does not convert %s: %s", layout, error)
        return False
    ours = image_to_bgr(message).astype(np.int16)
    return theirs.shape == ours.shape and bool(np.abs(theirs - ours).max() <= 1)


def main() -> None:
    """Write the layouts that cv_bridge can be trusted with to standard output, as JSON."""
    bridge = importlib.import_module("cv_bridge").CvBridge()
    trusted = [each for each in layouts() if agrees(lambda message: bridge.imgmsg_to_cv2(message, "bgr8"), each)]
    sys.stdout.write(json.dumps(trusted) + "\n")


if __name__ == "__main__":
    main()
