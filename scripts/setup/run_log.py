"""What the nodes of a run log: it is printed above the listener's table, which it would tear otherwise."""

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TextIO

from process_group import Streams


@dataclass(slots=True)
class RunLog:
    """A pipe from all nodes to the listener if the output is a terminal; enter it before the nodes start.

    Attributes:
        output: where the listener draws.
        table: whether it draws; without it lines of all nodes may mix.
        pipe: ends to read and to write; None if what nodes log goes straight to the outputs of this process.
    """

    output: TextIO
    table: bool = True
    pipe: tuple[int, int] | None = None

    def __enter__(self) -> "RunLog":
        if self.table and self.output.isatty():
            self.pipe = os.pipe()
        return self

    def __exit__(self, *_: object) -> None:
        """Print what nobody has read: the listener may have ended first."""
        if self.pipe is None:
            return
        reading, writing = self.pipe
        os.close(writing)
        os.set_blocking(reading, False)
        with os.fdopen(reading, "rb") as rest:
            sys.stderr.write((rest.read() or b"").decode(errors="replace"))

    @property
    def of_node(self) -> Streams:
        """Streams of a node."""
        return subprocess.DEVNULL, *((None, None) if self.pipe is None else (self.pipe[1], self.pipe[1]))

    @property
    def of_listener(self) -> Streams:
        """Streams of the listener."""
        return self.of_node if self.pipe is None else (self.pipe[0], None, self.pipe[1])

    @property
    def options(self) -> list[str]:
        """Options of the listener."""
        return [] if self.pipe is None else ["--show-log"]
