"""The sample camera: it pans and zooms over photographs that installed packages carry.

The photographs are scikit-image's astronaut (one face) and insightface's t1.jpg (six faces). They hang side by side on
a wall. The camera shows all six faces, zooms in on some of them, pans to the astronaut and back.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.imaging.decoder import read_image
from facial_attributes_ros.imaging.sample_images import sample_images

PERIOD = 28.0
"""Seconds after which the motion repeats."""

_WALL_HEIGHT = 1000

_PATH = np.array(
    [
        # seconds, centre x, centre y, width of the view, in pixels of the wall
        [0.0, 640, 500, 1270],
        [7.0, 640, 500, 1230],
        [10.0, 420, 400, 760],
        [15.0, 880, 420, 760],
        [19.0, 1740, 480, 900],
        [23.0, 1740, 420, 700],
        [28.0, 640, 500, 1270],
    ]
)
_SWAY_PIXELS, _SWAY_PERIOD = 8.0, 5.0


class SampleCamera:
    """Renders the view of the sample camera at any time.

    Attributes:
        width: of the frames, pixels.
        height: of the frames, pixels.
    """

    def __init__(self, width: int = 640, height: int = 480) -> None:
        """Hang up the photographs.

        Raises:
            UserError: neither package with photographs is installed.
        """
        self.width, self.height = width, height
        wall = _hang_up()
        # A second wall of half the size for wide views, so that pixels are averaged and not skipped.
        self._walls = (wall, cv2.resize(wall, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))

    def frame(self, seconds: float) -> NDArray[np.uint8]:
        """Return the view at a time in seconds, uint8 (height, width, 3) BGR."""
        centre_x, centre_y, view_width = _viewpoint(seconds)
        step = max(view_width / self.width, view_width * 0.75 / self.height)
        level = int(step > math.sqrt(2))
        shrink = 2**level
        step /= shrink
        to_wall = np.array(
            [
                [step, 0, centre_x / shrink - step * self.width / 2],
                [0, step, centre_y / shrink - step * self.height / 2],
            ]
        )
        view = cv2.warpAffine(
            self._walls[level],
            to_wall,
            (self.width, self.height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        return np.asarray(view, np.uint8)


def _viewpoint(seconds: float) -> tuple[float, float, float]:
    """Return centre x, centre y and width of the view: smooth from one point of the path to the next, with a sway."""
    time = seconds % PERIOD
    leg = min(int(np.searchsorted(_PATH[:, 0], time, side="right")) - 1, len(_PATH) - 2)
    start, end = _PATH[leg], _PATH[leg + 1]
    part = (time - start[0]) / (end[0] - start[0])
    _, x, y, width = start + (end - start) * part * part * (3 - 2 * part)
    angle = 2 * math.pi * seconds / _SWAY_PERIOD
    return x + _SWAY_PIXELS * math.sin(angle), y + _SWAY_PIXELS * math.cos(0.6 * angle), width


def _hang_up() -> NDArray[np.uint8]:
    return np.hstack([_mount(read_image(path)) for path in sample_images()])


def _mount(photograph: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a photograph in the height of the wall: a small one is enlarged, then mirrored at its edges."""
    enlarge = max(_WALL_HEIGHT * 0.85 / photograph.shape[0], 1.0)
    photograph = np.asarray(cv2.resize(photograph, None, fx=enlarge, fy=enlarge, interpolation=cv2.INTER_LINEAR))
    missing = max(_WALL_HEIGHT - photograph.shape[0], 0)
    above = missing // 2
    mounted = cv2.copyMakeBorder(photograph, above, missing - above, 0, 0, cv2.BORDER_REFLECT_101)
    return np.asarray(mounted[:_WALL_HEIGHT], np.uint8)
