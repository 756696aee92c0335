"""A block of lines at the bottom of a terminal that is drawn anew in its place; what is logged scrolls above it."""

import os
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TextIO

_CLEAR: Final = "\x1b[H\x1b[2J"
_UP: Final = "\x1b[{}A"
_ERASE_BELOW: Final = "\r\x1b[J"
_BOLD: Final = "\x1b[1m"
_PLAIN: Final = "\x1b[0m"
_LOGGED: Final = 200
"""Number of logged lines that are printed again after the terminal has changed its size."""

Block = Callable[[int, int], list[str]]
"""Makes the lines for a number of columns and rows; the first one is the heading."""


def can_draw(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Return True if a stream is a terminal that can move its cursor."""
    return stream.isatty() and environ.get("TERM", "") not in ("", "dumb")


class Screen:
    """Draws a block of lines; may be used from several threads.

    The cursor stays visible below the block, so that nothing has to be set right if the process is killed.

    Args:
        stream: a terminal, see `can_draw`.
        bold: whether the heading is bold.
    """

    def __init__(self, stream: TextIO, bold: bool = True) -> None:
        self._stream, self._bold = stream, bold
        self._lock = threading.Lock()
        self._drawn: list[str] = []
        self._size = self._measured()
        self._block: Block | None = None
        self._logged: deque[str] = deque(maxlen=_LOGGED)

    def draw(self, block: Block) -> None:
        """Draw a block in place of the last one.

        Raises:
            OSError: the terminal is gone.
        """
        with self._lock:
            self._block = block
            self._redraw()

    def log(self, line: str) -> None:
        """Print a line above the block.

        Raises:
            OSError: the terminal is gone.
        """
        with self._lock:
            self._logged.append(line)
            self._redraw([line])

    def _redraw(self, above: Sequence[str] = ()) -> None:
        size = columns, rows = self._measured()
        # In the last column the cursor of some terminals is on the next line already.
        lines = self._block(max(columns - 1, 1), max(rows - 1, 1)) if self._block is not None else []
        if (lines, size) == (self._drawn, self._size) and not above:
            return
        if size == self._size:
            begin = (_UP.format(len(self._drawn)) if self._drawn else "") + _ERASE_BELOW
        else:
            # Terminals differ in how they wrap what they show when they get narrower, so all of it is printed anew.
            begin, above = _CLEAR, self._logged
        self._drawn, self._size = lines, size
        shown = [f"{_BOLD}{lines[0]}{_PLAIN}", *lines[1:]] if lines and self._bold else lines
        # One write, so that nothing shows half drawn.
        self._stream.write(begin + "".join(f"{line}\n" for line in [*above, *shown]))
        self._stream.flush()

    def _measured(self) -> tuple[int, int]:
        """Return the columns and rows of the terminal."""
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            return 80, 24
        return size.columns or 80, size.lines or 24
