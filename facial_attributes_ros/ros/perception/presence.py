"""How long the faces of the last frame count as present when no other frame comes. Needs no ROS."""

from collections import deque

from facial_attributes_ros.tracking.tracker import INTERVALS, SLOW_CAMERA


class Presence:
    """Keeps faces as long as the tracker would, on a clock that runs on when frames do not.

    The tracker counts in the times of frames, and so keeps everybody for ever when the camera dies.
    """

    def __init__(self) -> None:
        self._last: float | None = None
        self._intervals: deque[float] = deque(maxlen=INTERVALS)

    def frame(self, now: float) -> None:
        """Take note of a frame.

        Args:
            now: seconds on a clock that never goes back.
        """
        if self._last is not None:
            self._intervals.append(now - self._last)
        self._last = now

    def over(self, now: float, death_after: float) -> bool:
        """Return whether the faces of the last frame are gone.

        Args:
            now: as in `frame`.
            death_after: seconds unseen after which a track ends.
        """
        if self._last is None:
            return False
        # The longest may have been a pause of the camera.
        interval = sorted(self._intervals)[-2:][0] if self._intervals else 0.0
        return now - self._last > max(death_after + interval, SLOW_CAMERA * interval)
