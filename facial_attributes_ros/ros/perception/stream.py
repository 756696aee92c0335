"""What the stamps of a camera's images say of it: how often it gives one, and how many got lost. Needs no ROS."""

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

WINDOW: Final = 64
"""Intervals between images that are looked at."""
FEWEST: Final = 16
"""Intervals that an estimate needs."""
PAUSE: Final = 2.0
"""Seconds between two images from which on nothing got lost: the camera had stopped."""
UNEVEN: Final = 0.2
"""Mean distance of the intervals from whole periods, in periods, from which on a camera has no period."""
UNEVEN_GAP: Final = 0.25
"""Distance of an interval from whole periods, in periods, from which on it is no gap."""
SEPARATE: Final = 3
"""Gaps apart from each other that are a loss; fewer may be a camera that changed its rate."""

Intervals = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class StreamReport:
    """What a camera's stamps say.

    Attributes:
        period: seconds between its images; None where that is not known.
        lost: images that got lost so far, by estimate.
        share: of the camera's images that got lost lately, 0 to 1.
    """

    period: float | None = None
    lost: int = 0
    share: float = 0.0


class ImageStream:
    """Follows the stamps of a camera's images and estimates how many of them never arrived.

    Images that get lost leave gaps of whole periods. The period is not the mean interval where many are lost, but
    what divides the intervals evenly.
    """

    def __init__(self) -> None:
        self._last: int | None = None
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self._new = 0
        self._lost = 0

    def restart(self) -> None:
        """Go on after a pause in which nobody listened."""
        self._last = None

    def add(self, stamp: int) -> None:
        """Take the stamp of an image in nanoseconds; 0 for an image that has none."""
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
        """Take note of an image that was overtaken by the last one: there was no gap before that."""
        if self._recent and earlier < self._recent[-1]:
            self._append(earlier)
            self._recent[-2] -= earlier

    def _append(self, interval: float) -> None:
        self._recent.append(interval)
        self._new = min(self._new + 1, WINDOW)

    def report(self) -> StreamReport:
        """Return what is known now."""
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
    # Where many images got lost, only the shortest intervals are single periods.
    starts = np.quantile(intervals, (0.1, 0.25, 0.5))
    distance, period = min(_fit(intervals, float(start)) for start in starts)
    return period if distance < UNEVEN else None


def _fit(intervals: Intervals, period: float) -> tuple[float, float]:
    """Return the mean distance of intervals from whole periods, in periods, and the period that fits, from a guess."""
    for _ in range(4):
        period = float(intervals.sum() / whole_periods(intervals, period).sum())
    return float(np.abs(intervals / period - whole_periods(intervals, period)).mean()), period
