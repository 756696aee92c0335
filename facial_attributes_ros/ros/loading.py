"""Loading in a thread of its own, and its progress. Needs no ROS."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

LIBRARY = "facial_attributes_ros"
"""The logger under which the library reports slow work, such as a download or the build of an engine."""


class Stages(logging.Handler):
    """Holds the stage of a long piece of work, with what the library has logged since the stage began.

    Attributes:
        text: of the stage, for users.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._begun = time.monotonic()
        self._stage, self._step, self._detail = "beginning", "", ""

    def enter(self, step: int, steps: int, stage: str) -> None:
        """Begin a stage, which is one step of the given number."""
        self._stage, self._step, self._detail = stage, f"step {step} of {steps}, ", ""

    def emit(self, record: logging.LogRecord) -> None:
        """Take what is logged as the detail of the stage."""
        self._detail = record.getMessage().strip()

    @property
    def seconds(self) -> float:
        """Seconds since the work began."""
        return time.monotonic() - self._begun

    @property
    def text(self) -> str:
        """The stage, which step it is, how long the work has taken so far, and the stage's detail."""
        detail = f": {self._detail}" if self._detail else ""
        return f"{self._stage} ({self._step}{self.seconds:.0f} s so far){detail}"


class Loading:
    """Runs work in a thread of its own, which does not keep the process alive.

    Args:
        work: the function to run; it records its stages in its argument.
        done: called in the thread when the work has ended, with or without success.

    Attributes:
        stages: the progress of the work.
    """

    def __init__(self, work: Callable[[Stages], Any], done: Callable[[], None] = lambda: None) -> None:
        self.stages = Stages()
        self._work = work
        self._done = done
        self._result: Any = None
        self._error: BaseException | None = None
        self._over = threading.Event()
        try:
            threading.Thread(target=self._run, name="loading", daemon=True).start()
        except RuntimeError as error:  # the machine has no thread to give
            self._end(error)

    def result(self) -> Any:
        """Wait for the work and return its result, or raise what it raised."""
        self._over.wait()
        if self._error is not None:
            raise self._error
        return self._result

    def _run(self) -> None:
        library = logging.getLogger(LIBRARY)
        library.addHandler(self.stages)
        try:
            self._result = self._work(self.stages)
        except BaseException as error:  # `result` raises it
            self._end(error)
        else:
            self._end(None)
        finally:
            library.removeHandler(self.stages)

    def _end(self, error: BaseException | None) -> None:
        self._error = error
        self._over.set()
        self._done()
