"""How the listener shows messages: a line a face, or a table that stays in its place. Needs no ROS."""

import os
import time
from collections import deque
from typing import Any, Final, Protocol, TextIO

from facial_attributes_ros.ros.listener.screen import Screen, can_draw
from facial_attributes_ros.ros.listener.table import Person, table_lines
from facial_attributes_ros.ros.records import face_line, face_record

SILENCE: Final = 2.0
"""Seconds without a message after which the table shows nobody."""
_MESSAGES: Final = 30
"""Number of messages, the last ones, that rate and latency are of."""


class Display(Protocol):
    """Shows messages. Each method raises `OSError` if the output cannot be written."""

    def show(self, message: Any, latency: float) -> None:
        """Show a `FaceAttributesArray`, `latency` seconds after its image was taken."""

    def refresh(self) -> None:
        """Show what has changed since; called a few times a second."""

    def print(self, line: str) -> None:
        """Print a line of text."""


def open_display(stream: TextIO) -> Display:
    """Return the table if a stream is a terminal, lines if it is a pipe or a file."""
    return Table(Screen(stream, bold=not os.environ.get("NO_COLOR"))) if can_draw(stream) else Lines(stream)


class Lines:
    """Prints a line a face."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._faces_seen = True

    def show(self, message: Any, latency: float) -> None:
        """Print the faces of a message, and once that there is none."""
        for face in message.faces:
            self.print(face_line(face, latency))
        if not message.faces and self._faces_seen:
            self.print("no faces")
        self._faces_seen = bool(message.faces)

    def refresh(self) -> None:
        """Do nothing: what is printed stays."""

    def print(self, line: str) -> None:
        """Print a line of text."""
        self._stream.write(line + "\n")
        self._stream.flush()


class Table:
    """Draws a table with a line a person."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._people: dict[str, Person] = {}
        self._arrivals: deque[float] = deque(maxlen=_MESSAGES)
        self._latencies: deque[float] = deque(maxlen=_MESSAGES)

    def show(self, message: Any, latency: float) -> None:
        """Remember a message; people keep their order, and new ones come last."""
        present = {face.id: face_record(face) for face in message.faces}
        order = [*(name for name in self._people if name in present), *(n for n in present if n not in self._people)]
        self._people = {name: present[name] for name in order}
        self._arrivals.append(time.monotonic())
        self._latencies.append(latency)

    def refresh(self) -> None:
        """Draw the table."""
        self._screen.draw(self._block)

    def print(self, line: str) -> None:
        """Print a line of text above the table."""
        self._screen.log(line)

    def _block(self, columns: int, rows: int) -> list[str]:
        silent = time.monotonic() - self._arrivals[-1] if self._arrivals else 0.0
        if not self._arrivals or silent > SILENCE:
            self._people = {}
            for_seconds = f" for {silent:.0f} s" if self._arrivals else " yet"
            return [f"No message{for_seconds}."[:columns]]
        return [self._status()[:columns], *table_lines(list(self._people.values()), columns, rows - 1)]

    def _status(self) -> str:
        seconds = self._arrivals[-1] - self._arrivals[0]
        rate = f"{(len(self._arrivals) - 1) / seconds:.1f} Hz, " if seconds > 0 else ""
        latency = sorted(self._latencies)[len(self._latencies) // 2]
        return f"faces: {len(self._people)}, {rate}latency {latency * 1000:.0f} ms"
