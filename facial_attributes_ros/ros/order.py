"""Whether an image was overtaken on its way, or time has jumped back. Needs no ROS."""

from typing import Final

OUT_OF_ORDER: Final = 0.5
"""Seconds that an image may be older than the one before it and still be only late."""
MOST_OVERTAKEN: Final = 2
"""So many images in a row may be late; the next one tells that time has jumped back a little."""


class ArrivalOrder:
    """Follows the times of images as they arrive."""

    def __init__(self) -> None:
        self._last = 0.0
        self._in_a_row = 0

    def late(self, seconds: float) -> float:
        """Return by how many seconds an image was overtaken; 0 if it is in order, or the first after a jump back.

        Args:
            seconds: time of the image.
        """
        late = self._last - seconds
        self._in_a_row = self._in_a_row + 1 if 0 < late < OUT_OF_ORDER else 0
        if 0 < self._in_a_row <= MOST_OVERTAKEN:
            return late
        self._last, self._in_a_row = seconds, 0
        return 0.0
