"""cv_bridge for the colour of raw images, where it is installed and gives what our own conversion gives.

A cv_bridge compiled against another numpy raises, returns nonsense or ends the process, and older ones ignore row
padding or byte order. So it is asked first, in a process of its own, to convert one small picture of each encoding.
"""

import importlib
import importlib.util
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from facial_attributes_ros.child_processes import run
from facial_attributes_ros.ros.conversion import (
    ENCODINGS,
    ConversionError,
    Pixels,
    checked_lines,
    image_to_bgr,
)

log = logging.getLogger(__name__)

PROBE_TIMEOUT = 20.0
"""Seconds that the trial may take."""


def image_converter() -> Callable[[Any], Pixels]:
    """Return the function that turns a `sensor_msgs/Image` into BGR: `image_to_bgr`, with cv_bridge where trusted.

    Both ways take the same messages, refuse the same ones with the same sentence, and give the same picture.
    """
    trusted = trusted_encodings()
    if not trusted:
        return image_to_bgr
    bridge = importlib.import_module("cv_bridge").CvBridge()

    def convert(message: Any) -> Pixels:
        checked_lines(message)
        # A BGR image is a mere view with our own code; cv_bridge would copy it.
        if message.encoding not in trusted or ENCODINGS[message.encoding] == ENCODINGS["bgr8"]:
            return image_to_bgr(message)
        try:
            return np.asarray(bridge.imgmsg_to_cv2(message, "bgr8"), np.uint8)
        except Exception as error:  # cv_bridge raises whatever its bindings raise
            raise ConversionError(f"cv_bridge cannot convert this {message.encoding} image: {error}.") from error

    return convert


def trusted_encodings() -> frozenset[str]:
    """Return the encodings that the installed cv_bridge converts as we do; none if there is no working cv_bridge."""
    if importlib.util.find_spec("cv_bridge") is None:
        return frozenset()
    try:
        command = [sys.executable, "-m", __name__]
        trial = run(command, timeout=PROBE_TIMEOUT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        trial.check_returncode()
        return frozenset(json.loads(trial.stdout.splitlines()[-1]))
    except (subprocess.SubprocessError, OSError, ValueError, IndexError) as error:
        log.warning("cv_bridge is installed but does not work here, so it is not used (%s).", error)
        return frozenset()


def sample_message(name: str, big_endian: bool) -> SimpleNamespace:
    """Return a small image message with noise and row padding, for trying a converter.

    Args:
        name: a key of `ENCODINGS`.
        big_endian: byte order of 16-bit values.
    """
    encoding, height, width, padding = ENCODINGS[name], 4, 6, 4
    step = width * encoding.channels * encoding.depth // 8 + padding
    size = height * encoding.planes[0] // encoding.planes[1] * step
    data = np.random.default_rng(0).integers(0, 256, size, np.uint8).tobytes()
    return SimpleNamespace(
        height=height, width=width, encoding=name, is_bigendian=int(big_endian), step=step, data=data
    )


def agrees(convert: Callable[[Any], Any], name: str) -> bool:
    """Whether a converter gives what `image_to_bgr` gives for one encoding, in both byte orders, up to rounding."""
    for big_endian in (False, True):
        message = sample_message(name, big_endian)
        try:
            theirs = np.asarray(convert(message), np.int16)
        except Exception as error:  # whatever it is, this encoding is ours to convert
            log.info("cv_bridge does not convert %s: %s", name, error)
            return False
        ours = image_to_bgr(message).astype(np.int16)
        if theirs.shape != ours.shape or np.abs(theirs - ours).max() > 1:
            return False
    return True


def main() -> None:
    """Write the encodings that cv_bridge can be trusted with to standard output, as JSON."""
    bridge = importlib.import_module("cv_bridge").CvBridge()
    trusted = [name for name in ENCODINGS if agrees(lambda message: bridge.imgmsg_to_cv2(message, "bgr8"), name)]
    sys.stdout.write(json.dumps(trusted) + "\n")


if __name__ == "__main__":
    main()
