"""The clock of timers and of throttled messages."""

from typing import Final

from rclpy.clock import Clock
from rclpy.clock_type import ClockType

STEADY: Final = Clock(clock_type=ClockType.STEADY_TIME)
"""Moves while a node's own clock does not, as when a recording is paused."""
