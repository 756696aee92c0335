"""The stream of a camera's images: whether an image is in order, how many are lost, and whether it has stopped.

Needs no ROS.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.tracking.tracker import INTERVALS, SLOW_CAMERA

WINDOW: Final = 64
"""Number of intervals between images that an estimate uses."""
FEWEST: Final = 16
"""Number of intervals that an estimate needs."""
PAUSE: Final = 2.0
"""Interval in seconds from which on nothing was lost: the camera had stopped."""
UNEVEN: Final = 0.2
"""Mean distance of the intervals from whole periods, in periods, from which on a camera has no period."""
UNEVEN_GAP: Final = 0.25
"""Distance of an interval from whole periods, in periods, from which on it is no gap."""
SEPARATE: Final = 3
"""Number of separate gaps that count as a loss; fewer may be a camera that changed its rate."""

TOLERANCE: Final = 0.1
"""Seconds by which stamps may run ahead of the clock between two images that are in order."""
MOST_REFUSED: Final = 2
"""Number of successive images that may be out of order; the next one confirms that time itself has jumped."""

Intervals = NDArray[np.float64]


class ArrivalOrder:
    """Decides by the stamp of each image whether it is in order.

    In transport an image can overtake another, and drivers that map a device clock onto the host's sometimes stamp one
    ahead. Such an image is dropped: after it, a tracker would take every later one for a jump back in time. A recording
    that starts again, and a clock that is set, change the time permanently: after `MOST_REFUSED` dropped images in
    succession the next one is used.
    """

    def __init__(self) -> None:
        self._last: float | None = None
        self._arrived = 0.0
        self._interval = 0.0
        self._refused = 0

    def offset(self, seconds: float, arrived: float) -> float:
        """Return by how many seconds an image is ahead (above 0) or behind (below 0) and so dropped; 0 to use it.

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


class Presence:
    """Decides when the faces of the last frame are gone because no other frame has come.

    The tracker counts in the times of frames, so it would keep its tracks for ever if the camera stops.
    """

    def __init__(self) -> None:
        self._last: float | None = None
        self._intervals: deque[float] = deque(maxlen=INTERVALS)

    def frame(self, now: float) -> None:
        """Record a frame.

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


@dataclass(frozen=True, slots=True)
class StreamReport:
    """What the stamps of a camera's images show.

    Attributes:
        period: seconds between images; None if it is not known.
        lost: estimated number of images lost so far.
        lost_fraction: estimated fraction of the last images that were lost, 0 to 1.
    """

    period: float | None = None
    lost: int = 0
    lost_fraction: float = 0.0


class ImageStream:
    """Estimates from the stamps of a camera's images how many of them never arrived.

    Lost images leave gaps of whole periods. If many are lost, the period is not the mean interval, but
    the one that divides the intervals evenly.
    """

    def __init__(self) -> None:
        self._last: int | None = None
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self._new = 0
        self._lost = 0

    def restart(self) -> None:
        """Continue after a pause without a subscription."""
        self._last = None

    def add(self, stamp: int) -> None:
        """Add the stamp of an image in nanoseconds; 0 if it has none."""
        if not stamp:
            return
        last, self._last = self._last, stamp
        seconds = 0.0 if last is None else (stamp - last) * 1e-9
        if -PAUSE < seconds < 0:
            self._last = last
            self._fill(-seconds)
        elif 0 < seconds < PAUSE:
            self._append(seconds)

    def _fill(self, earlier: float) -> None:
        """Remove the gap before the last image, which an older one that arrives now had left."""
        if self._recent and earlier < self._recent[-1]:
            self._append(earlier)
            self._recent[-2] -= earlier

    def _append(self, interval: float) -> None:
        self._recent.append(interval)
        self._new = min(self._new + 1, WINDOW)

    def report(self) -> StreamReport:
        """Return the estimates."""
        intervals = np.array(self._recent)
        new, self._new = self._new, 0
        period = estimate_period(intervals)
        if period is None:
            return StreamReport(None, self._lost)
        periods = whole_periods(intervals, period)
        gaps = (periods > 1) & (np.abs(intervals / period - periods) < UNEVEN_GAP)
        if np.count_nonzero(gaps[:-1] & ~gaps[1:]) < SEPARATE:
            return StreamReport(period, self._lost)
        missing = np.where(gaps, periods - 1, 0.0)
        self._lost += int(missing[len(missing) - new :].sum())
        return StreamReport(period, self._lost, float(missing.sum() / periods.sum()))


def whole_periods(intervals: Intervals, period: float) -> Intervals:
    """Return how many periods each interval lasts, at least one."""
    return np.maximum(np.rint(intervals / period), 1.0)


def estimate_period(intervals: Intervals) -> float | None:
    """Return the period in seconds of which all intervals are nearly whole multiples, or None if there is none.

    Args:
        intervals: (N,) seconds between the images that arrived.
    """
    if len(intervals) < FEWEST:
        return None
    # If many images are lost, only the shortest intervals are single periods.
    starts = np.quantile(intervals, (0.1, 0.25, 0.5))
    distance, period = min(_fit(intervals, float(start)) for start in starts)
    return period if distance < UNEVEN else None


def _fit(intervals: Intervals, period: float) -> tuple[float, float]:
    """Return the mean distance of intervals from whole periods, in periods, and the period that fits, from a guess."""
    for _ in range(4):
        period = float(intervals.sum() / whole_periods(intervals, period).sum())
    return float(np.abs(intervals / period - whole_periods(intervals, period)).mean()), period
