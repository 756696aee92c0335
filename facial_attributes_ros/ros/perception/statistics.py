"""Counts what happens in the node: rates, latencies, losses. Needs no ROS; `health` assesses the counts."""

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from facial_attributes_ros.ros.perception.stream import ImageStream, StreamReport

IMAGE_MISSING: Final = 2.0
"""Seconds without an image, or without a published message, after which the number of faces is not known."""
RECENT: Final = 5.0
"""Seconds that `Report.recent` covers, so that a single event is seen in several reports."""


NO_STREAM: Final = StreamReport()


@dataclass(frozen=True, slots=True)
class Report:
    """What happened since the last report.

    Attributes:
        seconds: since the last report.
        counts: images `received`, messages `published`, images `dropped` and images that are `invalid`, frames whose
            estimate (`model`) or anything else (`failed`) failed, and `restarts` of the worker.
        recent: the same in the last `RECENT` seconds.
        totals: the same since the start.
        latencies: seconds from stamp to publication, one a message.
        timings: mean seconds of every stage.
        faces: in the last message; None without an image and a message in the last `IMAGE_MISSING` seconds.
        silence: seconds since the last image, or since the start.
        waiting: seconds since the arrival of the oldest image that has not been processed; 0 if there is none.
        unanswered: seconds since the first image after the last message; 0 if there is none.
        still: seconds for which the stamps of the images have not moved, while images came.
        stream: what the stamps show of the camera.
        reasons: the last sentence that came with each count.
    """

    seconds: float
    counts: Mapping[str, int]
    recent: Mapping[str, int]
    totals: Mapping[str, int]
    latencies: tuple[float, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)
    faces: int | None = None
    silence: float = 0.0
    waiting: float = 0.0
    unanswered: float = 0.0
    still: float = 0.0
    stream: StreamReport = NO_STREAM
    reasons: Mapping[str, str] = field(default_factory=dict)

    def rate(self, what: str) -> float:
        """Return the rate of a count in Hz."""
        return self.counts.get(what, 0) / self.seconds if self.seconds > 0 else 0.0

    def latency(self, percent: float) -> float | None:
        """Return a percentile of the latency in seconds, or None if no message was published."""
        return float(np.percentile(self.latencies, percent)) if self.latencies else None


class Statistics:
    """Counts events, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals: Counter[str] = Counter()
        self._reasons: dict[str, str] = {}
        self._stream = ImageStream()
        self.restart()

    def restart(self) -> None:
        """Begin a new interval, as when the node is activated; the totals remain."""
        with self._lock:
            self._begun = self._last_image = time.monotonic()
            self._faces, self._last_message = 0, -math.inf
            self._waiting: float | None = None
            self._unanswered: float | None = None
            self._stream.restart()
            self._stamp, self._moved = 0, self._begun
            self._past: deque[tuple[float, Counter[str]]] = deque()
            self._clear()

    def _clear(self) -> None:
        self._counts: Counter[str] = Counter()
        # Bounded in case no report is requested.
        self._latencies: deque[float] = deque(maxlen=1000)
        self._timings: Counter[str] = Counter()

    def count(self, what: str, reason: str = "") -> None:
        """Count an event that `Report.counts` names, with a sentence for `Report.reasons`."""
        with self._lock:
            self._count(what)
            if reason:
                self._reasons[what] = reason

    def _count(self, what: str) -> None:
        self._counts[what] += 1
        self._totals[what] += 1

    def arrived(self, stamp: int, clock: int) -> float:
        """Count an image that was received and return the time of its arrival, for `processed`.

        Args:
            stamp: of the image in nanoseconds, 0 if it has none.
            clock: time of the node's clock in nanoseconds, which stands in for a stamp.
        """
        now = time.monotonic()
        with self._lock:
            self._count("received")
            if now - self._last_image > IMAGE_MISSING or (stamp or clock) != self._stamp:
                self._stamp, self._moved = stamp or clock, now
            if self._unanswered is None or now - self._last_image > IMAGE_MISSING:
                self._unanswered = now
            if self._waiting is None:
                self._waiting = now
            self._stream.add(stamp)
            self._last_image = now
        return now

    def processed(self, arrived: float) -> None:
        """Record that the work on an image has ended, with or without success.

        Args:
            arrived: when it arrived; every older one has been dropped.
        """
        with self._lock:
            self._waiting = self._last_image if self._last_image > arrived else None

    def published(self, faces: int, latency: float, timings: Mapping[str, float]) -> None:
        """Count a message that was published.

        Args:
            faces: in the message.
            latency: seconds from the image's stamp until now.
            timings: seconds of each stage.
        """
        with self._lock:
            self._count("published")
            self._faces, self._last_message = faces, time.monotonic()
            self._unanswered = None
            self._latencies.append(latency)
            self._timings.update(timings)

    def report(self) -> Report:
        """Return what happened since the last report and begin a new interval."""
        now = time.monotonic()
        with self._lock:
            done = max(self._counts["published"], 1)
            known_at = min(self._last_message, self._last_image)
            report = Report(
                seconds=now - self._begun,
                counts=self._counts,
                recent=self._look_back(now),
                totals=Counter(self._totals),
                latencies=tuple(self._latencies),
                timings={stage: seconds / done for stage, seconds in self._timings.items()},
                faces=self._faces if now - known_at <= IMAGE_MISSING else None,
                silence=now - self._last_image,
                waiting=0.0 if self._waiting is None else now - self._waiting,
                unanswered=0.0 if self._unanswered is None else now - self._unanswered,
                still=self._last_image - self._moved,
                stream=self._stream.report(),
                reasons=dict(self._reasons),
            )
            self._begun = now
            self._clear()
        return report

    def _look_back(self, now: float) -> Counter[str]:
        self._past.append((now, self._counts))
        while now - self._past[0][0] > RECENT:
            self._past.popleft()
        return sum((counts for _, counts in self._past), Counter())
