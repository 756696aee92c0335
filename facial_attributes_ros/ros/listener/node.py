"""The listener: shows every published face, in a terminal as a table, and writes JSON. Run it through `listener`."""

import argparse
import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.time import Time

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.msg import FaceAttributesArray
from facial_attributes_ros.ros.listener.display import Lines, open_display
from facial_attributes_ros.ros.parameters import ParameterNames
from facial_attributes_ros.ros.process import Finish
from facial_attributes_ros.ros.records import array_record
from facial_attributes_ros.text import printable

HINT_AFTER = 15.0
"""Seconds without a message after which the listener prints a hint."""
REFRESH = 0.2
"""Seconds between two drawings of the table."""
LATENCIES = 10_000
"""Number of latencies, the last ones, that the summary uses."""


class Listener(Node):
    """Shows the messages on `faces`, and a summary at the end.

    Args:
        finish: ends the process.
        duration: seconds from the first message until the end; None for no end.
        jsonl: file for one JSON object per message; None for none.
        show_log: print what comes on standard input above the table: what other processes log.

    Raises:
        UserError: the file cannot be written, or a parameter was given; the listener has none.
    """

    def __init__(self, finish: Finish, duration: float | None, jsonl: Path | None, show_log: bool = False) -> None:
        super().__init__("listener")
        ParameterNames(self).check_overrides()
        self._finish = finish
        self._duration = duration
        self._records = _opened(jsonl)
        self._printing = True
        self._display = open_display(sys.stdout)
        self._started = time.monotonic()
        self._first: float | None = None
        self._last = 0.0
        self._count = 0
        self._latencies: deque[float] = deque(maxlen=LATENCIES)
        self.create_subscription(FaceAttributesArray, "faces", self._on_faces, QoSProfile(depth=10))
        # The node's own clock does not move while a recording is paused.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(0.1, self._end_after_duration, clock=self._steady)
        self.create_timer(REFRESH, lambda: self._show(self._display.refresh), clock=self._steady)
        if show_log:
            threading.Thread(target=self._show_log, name="log", daemon=True).start()
        self._hint = self.create_timer(HINT_AFTER, self._give_hint, clock=self._steady)

    def end(self) -> None:
        """Print the summary and close the file."""
        self._show(lambda: Lines(sys.stdout).print(self.summary()))
        if self._records is not None:
            self._try(self._records.close)

    def summary(self) -> str:
        """Return the number, the rate and the latency of the messages."""
        if self._first is None:
            return "No FaceAttributesArray received."
        seconds = self._last - self._first
        rate = f" ({(self._count - 1) / seconds:.1f} Hz)" if seconds > 0 else ""
        p50, p95 = np.percentile(self._latencies, [50, 95]) * 1000
        return f"{self._count} messages in {seconds:.1f} s{rate}; latency p50 {p50:.0f} ms, p95 {p95:.0f} ms"

    def _on_faces(self, message: Any) -> None:
        self._last = time.monotonic()
        if self._first is None:
            self._first = self._last
            self._hint.cancel()
        latency = (self.get_clock().now() - Time.from_msg(message.header.stamp)).nanoseconds * 1e-9
        self._count += 1
        self._latencies.append(latency)
        self._show(lambda: self._display.show(message, latency))
        if self._records is not None:
            self._record(self._records, message)

    def _record(self, file: TextIO, message: Any) -> None:
        line = json.dumps(array_record(message), ensure_ascii=False, allow_nan=False)

        def write() -> None:
            file.write(line + "\n")
            file.flush()

        self._try(write)

    def _try(self, write: Any) -> None:
        """Try to write; if that fails, log it once and continue without the file."""
        try:
            write()
        except OSError as error:
            name = self._records.name if self._records is not None else "The file"
            self._records = None
            self.get_logger().error(f"{name} is not written any further: {error.strerror}. Printing continues.")

    def _show_log(self) -> None:
        """Print the lines of standard input until it ends."""
        for line in sys.stdin:
            self._show(partial(self._display.print, printable(line.rstrip("\n"))))

    def _show(self, show: Callable[[], None]) -> None:
        if not self._printing:
            return
        try:
            show()
        except BrokenPipeError:
            # The reader has ended (`| head`); without this the interpreter prints an error on exit.
            self._printing = False
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self._finish(0)
        except OSError as error:
            self._printing = False
            self.get_logger().error(f"Standard output cannot be written: {error.strerror}.")

    def _end_after_duration(self) -> None:
        over = self._duration is not None and self._first is not None
        if over and time.monotonic() - self._first >= self._duration:  # type: ignore[operator]
            self._finish(0)

    def _give_hint(self) -> None:
        self._hint.cancel()
        topic = self.resolve_topic_name("faces")
        publishers = self.count_publishers(topic)
        reason = "is a camera publishing?" if publishers else "is the perception node configured and active?"
        self.get_logger().warning(f"No message received on {topic} for {HINT_AFTER:.0f} s: {reason}")


def _opened(jsonl: Path | None) -> TextIO | None:
    try:
        return None if jsonl is None else jsonl.open("w", encoding="utf-8")
    except OSError as error:
        raise UserError(f"Cannot write {jsonl}: {error.strerror}.") from error


def create(finish: Finish, options: argparse.Namespace) -> Listener:
    """Return the node.

    Args:
        finish: ends the process.
        options: as the parser of `listener` in `arguments` gives them.

    Raises:
        UserError: the JSON file cannot be written, or a parameter was given; the listener has none.
    """
    return Listener(finish, options.duration, options.jsonl, options.show_log)
