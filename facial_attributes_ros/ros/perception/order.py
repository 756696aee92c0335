"""Whether an image belongs where its stamp puts it: overtaken, stamped wrongly, or time has jumped. Needs no ROS."""

from typing import Final

TOLERANCE: Final = 0.1
"""Seconds by which stamps may run ahead of the clock between two images that are in order."""
MOST_REFUSED: Final = 2
"""Images in a row that may be out of order; the next one confirms that time itself has jumped."""


class ArrivalOrder:
    """Follows the stamps of images as they arrive.

    Transport lets images overtake each other, and drivers that map a device clock onto the host's stamp one ahead now
    and then. Such an image is refused, since a tracker that believed it would take every later one for a jump back in
    time. A recording that starts again and a clock that is set jump for good: so many images in a row settle it.
    """

    def __init__(self) -> None:
        self._last: float | None = None
        self._arrived = 0.0
        self._interval = 0.0
        self._refused = 0

    def offset(self, seconds: float, arrived: float) -> float:
        """Return by how many seconds an image is to be refused as ahead (above 0) or behind (below 0); 0 to use it.

        An image is in order if its stamp is not before the last one, and has not moved on further than the time that
        has passed, plus one interval between images and `TOLERANCE`. Recordings that are played faster keep within
        that, and so do images that arrive in a burst.

        Args:
            seconds: stamp of the image.
            arrived: time of its arrival on a clock that never goes back.
        """
        if self._last is None:
            elapsed = 0.0
        else:
            elapsed = seconds - self._last
            in_order = 0 <= elapsed <= arrived - self._arrived + self._interval + TOLERANCE
            if not in_order and self._refused < MOST_REFUSED:
                self._refused += 1
                return elapsed
        self._last, self._arrived = seconds, arrived
        self._interval, self._refused = max(elapsed, 0.0), 0
        return 0.0
