"""What the node says of itself on /diagnostics: rates, latencies, and when to worry. Needs no ROS."""

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

OK: Final = 0
WARN: Final = 1
ERROR: Final = 2
"""The levels of `diagnostic_msgs/DiagnosticStatus`."""

IMAGE_MISSING = 2.0
"""Seconds without an image after which we warn, and without image or array after which faces are not known."""
LATENCY_WARN, LATENCY_ERROR = 0.5, 2.0
"""Seconds from an image's stamp to its published attributes."""
OTHER_CLOCK = 3600.0
"""Seconds of latency, either way, from which stamps and clock cannot be of the same time."""


@dataclass(frozen=True, slots=True)
class Report:
    """What happened since the last report.

    Attributes:
        seconds: since the last report.
        counts: images in (`in`), arrays out (`out`), images passed over (`skipped`), images that were none (`bad`),
            frames on which the work failed (`failed`).
        totals: the same since the start.
        latencies: seconds from stamp to publication, one an array.
        timings: mean seconds of every stage.
        faces: in the last array; None without an image and an array in the last `IMAGE_MISSING` seconds.
        silence: seconds since the last image, or since the start.
    """

    seconds: float
    counts: Mapping[str, int]
    totals: Mapping[str, int]
    latencies: tuple[float, ...]
    timings: Mapping[str, float]
    faces: int | None
    silence: float

    def rate(self, what: str) -> float:
        """Return how many there were a second."""
        return self.counts.get(what, 0) / self.seconds if self.seconds > 0 else 0.0

    def latency(self, percent: float) -> float | None:
        """Return a percentile of the latency in seconds, or None where there was no array."""
        return float(np.percentile(self.latencies, percent)) if self.latencies else None


class Statistics:
    """Counts what happens, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals: Counter[str] = Counter()
        self.restart()

    def restart(self) -> None:
        """Begin a new interval, as when the node is activated; the totals go on."""
        with self._lock:
            self._begun = self._last_image = time.monotonic()
            self._faces, self._last_array = 0, -math.inf
            self._clear()

    def _clear(self) -> None:
        self._counts: Counter[str] = Counter()
        # Bounded, should nobody ask for reports.
        self._latencies: deque[float] = deque(maxlen=1000)
        self._timings: Counter[str] = Counter()

    def count(self, what: str) -> None:
        """Count one of what `Report.counts` names."""
        with self._lock:
            self._counts[what] += 1
            self._totals[what] += 1
            if what == "in":
                self._last_image = time.monotonic()

    def published(self, faces: int, latency: float, timings: Mapping[str, float]) -> None:
        """Count an array that was published.

        Args:
            faces: in the array.
            latency: seconds from the image's stamp until now.
            timings: seconds of each stage.
        """
        self.count("out")
        with self._lock:
            self._faces, self._last_array = faces, time.monotonic()
            self._latencies.append(latency)
            self._timings.update(timings)

    def report(self) -> Report:
        """Return what happened since the last report and begin a new interval."""
        now = time.monotonic()
        with self._lock:
            done = max(self._counts["out"], 1)
            timings = {stage: seconds / done for stage, seconds in self._timings.items()}
            known_at = min(self._last_array, self._last_image)
            report = Report(
                seconds=now - self._begun,
                counts=self._counts,
                totals=Counter(self._totals),
                latencies=tuple(self._latencies),
                timings=timings,
                faces=self._faces if now - known_at <= IMAGE_MISSING else None,
                silence=now - self._last_image,
            )
            self._begun = now
            self._clear()
        return report


@dataclass(frozen=True, slots=True)
class Health:
    """A diagnostic status before it becomes a message.

    Attributes:
        level: `OK`, `WARN` or `ERROR`.
        message: one sentence.
        values: what a person may want to look up.
    """

    level: int
    message: str
    values: dict[str, str] = field(default_factory=dict)


def assess(report: Report, state: str, problem: str | None = None) -> Health:
    """Judge a report.

    Args:
        report: the last second.
        state: of the lifecycle: unconfigured, inactive, active or finalized.
        problem: why the last attempt to configure failed, if it did.
    """
    values = _values(report, state)
    if problem is not None:
        return Health(ERROR, problem, values)
    if state != "active":
        return Health(OK, f"The node is {state}.", values)
    if report.silence > IMAGE_MISSING:
        return Health(WARN, f"No image has come for {report.silence:.0f} s; check the topic and the camera.", values)
    latency = report.latency(95)
    if latency is not None and abs(latency) > OTHER_CLOCK:
        text = (
            "The stamps of the images are not of this clock; set use_sim_time for a recording, or the camera's clock."
        )
        return Health(ERROR, text, values)
    if latency is not None and latency > LATENCY_WARN:
        level = ERROR if latency > LATENCY_ERROR else WARN
        return Health(level, f"Attributes come {latency:.1f} s after their image.", values)
    if report.counts.get("bad", 0) and not report.counts.get("out", 0):
        return Health(WARN, "None of the images could be read; the log says why.", values)
    if report.counts.get("failed", 0):
        return Health(ERROR, "The work on some images failed; the log says why.", values)
    rates = f"{report.rate('in'):.1f} images/s in, {report.rate('out'):.1f} arrays/s out"
    return Health(OK, f"{rates}, faces: {'?' if report.faces is None else report.faces}.", values)


def _values(report: Report, state: str) -> dict[str, str]:
    values = {
        "state": state,
        "images in per second": f"{report.rate('in'):.1f}",
        "arrays out per second": f"{report.rate('out'):.1f}",
        "images passed over": str(report.totals.get("skipped", 0)),
        "images refused": str(report.totals.get("bad", 0)),
        "frames failed": str(report.totals.get("failed", 0)),
        "faces": "" if report.faces is None else str(report.faces),
    }
    for percent in (50, 95, 99):
        latency = report.latency(percent)
        values[f"latency p{percent} ms"] = "" if latency is None else f"{latency * 1000:.1f}"
    return values | {f"{stage} ms": f"{seconds * 1000:.1f}" for stage, seconds in sorted(report.timings.items())}
