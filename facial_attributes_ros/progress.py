"""Progress of long steps: one line for a step that happens once, and a bar for work that can be counted."""

import logging
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, Final

from typing_extensions import Self

_LOGGER = logging.getLogger(__name__)

_SECONDS: Final = "{desc}{percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s, {remaining} left{postfix}"


class _LastResort(logging.Handler):
    """Writes to standard error in a program without logging of its own, as Python itself does from WARNING on."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless a logger above has a handler."""
        if logging.lastResort and not logging.getLogger("facial_attributes_ros").hasHandlers():
            logging.lastResort.emit(record)


# A long step without any output looks like a program that hangs. So these lines appear even if the program shows
# warnings only, and in a script or a notebook that has not set up logging.
_LOGGER.setLevel(logging.INFO)
_LOGGER.addHandler(_LastResort())


def announce(message: str) -> None:
    """Log one line about a long step that happens once, such as a download or an engine build."""
    _LOGGER.info(message)


class ProgressBar:
    """A bar on standard error with the rate and the time left; silent where standard error is not a terminal.

    Call it with the number that is done and the total, or let it `advance`. It starts again if the total changes or the
    number falls, so that one bar serves a step of several passes. Work that was done before the bar began does not
    count in the rate.

    Args:
        unit: what is counted, such as `images`; `s` for a measurement of known duration, which has no rate.
        total: how many there are; if it is None, the first call sets it.
        title: shown before the bar.
        shown: False keeps the bar silent, as in all processes of a training run but the first.
    """

    def __init__(self, unit: str, total: float | None = None, title: str = "", *, shown: bool = True) -> None:
        self._unit, self._title = unit, title
        self._shown = shown and sys.stderr.isatty()
        self._bar: Any = None
        self._done: float = 0
        self._total = total
        if total is not None:
            self._start(0, total)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the bar and leave it on the screen."""
        self.close()

    def __call__(self, done: float, total: float) -> None:
        """Show that `done` of `total` are done."""
        if total != self._total or done < self._done:
            self._start(done, total)
        elif self._bar is not None:
            self._bar.update(done - self._done)
        self._done = done
        if done >= total:
            self.close()

    def advance(self, more: float = 1) -> None:
        """Show that this many more are done; a bar that has reached its total stays full."""
        if self._total is not None:
            self(min(self._done + more, self._total), self._total)

    def note(self, values: Mapping[str, object] | str) -> None:
        """Show values, or a text, behind the bar from the next update on."""
        if self._bar is None:
            return
        if isinstance(values, str):
            self._bar.set_postfix_str(values, refresh=False)
        else:
            self._bar.set_postfix(values, refresh=False)

    def aside(self) -> AbstractContextManager[object]:
        """Return a context in which lines may be printed to standard output or standard error, above the bar."""
        if self._bar is None:
            return nullcontext()
        aside: AbstractContextManager[object] = self._bar.external_write_mode(file=sys.stdout)
        return aside

    def close(self) -> None:
        """End the bar; a later call begins another."""
        if self._bar is not None:
            self._bar.close()
        self._bar = None

    def _start(self, done: float, total: float) -> None:
        self.close()
        self._done, self._total = done, total
        if not self._shown:
            return
        from tqdm import tqdm

        self._bar = tqdm(
            total=total,
            initial=done,
            desc=self._title or None,
            unit=f" {self._unit}",
            bar_format=_SECONDS if self._unit == "s" else None,
            dynamic_ncols=True,
            mininterval=0.5,
            file=sys.stderr,
        )
