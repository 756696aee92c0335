"""Publishes the health of the node on /diagnostics, once per second and to every new subscriber."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.event_handler import PublisherEventCallbacks, UnsupportedEventTypeError
from rclpy.node import Node

from facial_attributes_ros.ros.perception.health import ERROR, OK, WARN, Situation, assess
from facial_attributes_ros.ros.perception.statistics import Statistics
from facial_attributes_ros.ros.steady import STEADY

PERIOD: Final = 1.0
"""Seconds between two messages."""
_LEVELS: Final = {OK: DiagnosticStatus.OK, WARN: DiagnosticStatus.WARN, ERROR: DiagnosticStatus.ERROR}


class Diagnostics:
    """Publishes what `health.assess` returns, as long as the node exists.

    Args:
        node: whose health it is.
        statistics: what happened.
        situation: returns what the node does now; it is given the seconds for which the node's clock has not moved.
        about: returns the keys and values of the configured model, or nothing; `device` becomes the hardware id.
    """

    def __init__(
        self,
        node: Node,
        statistics: Statistics,
        situation: Callable[[float], Situation],
        about: Callable[[], Mapping[str, str]],
    ) -> None:
        self._node, self._statistics, self._situation, self._about = node, statistics, situation, about
        self._still_clock = _StillClock()
        self._publisher = self._create_publisher()
        node.create_timer(PERIOD, self.publish, clock=STEADY)

    def publish(self) -> None:
        """Publish the health now."""
        now = self._node.get_clock().now()
        about = self._about()
        situation = self._situation(self._still_clock.seconds(now.nanoseconds, time.monotonic()))
        health = assess(self._statistics.report(), situation)
        status = DiagnosticStatus(
            level=_LEVELS[health.level],
            name=f"{self._node.get_fully_qualified_name()}: attributes",
            message=health.message,
            hardware_id=about.get("device", ""),
            values=[KeyValue(key=key, value=value) for key, value in {**about, **health.values}.items()],
        )
        message = DiagnosticArray(status=[status])
        message.header.stamp = now.to_msg()
        self._publisher.publish(message)

    def _create_publisher(self) -> Any:
        try:
            return self._node.create_publisher(
                DiagnosticArray, "/diagnostics", 10, event_callbacks=PublisherEventCallbacks(matched=self._matched)
            )
        except UnsupportedEventTypeError:  # not every middleware reports new subscribers
            return self._node.create_publisher(DiagnosticArray, "/diagnostics", 10)

    def _matched(self, match: Any) -> None:
        if match.current_count_change > 0:
            self.publish()


class _StillClock:
    """Measures for how long a clock has not moved."""

    def __init__(self) -> None:
        self._reading = -1
        self._moved = 0.0

    def seconds(self, reading: int, now: float) -> float:
        """Return the seconds since the reading of the clock changed; `now` is the time of a clock that always moves."""
        if reading != self._reading:
            self._reading, self._moved = reading, now
        return now - self._moved
