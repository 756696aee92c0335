"""Announcements of long steps reach whoever waits for them, once; a bar shows what can be counted."""

import io
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

import pytest

from facial_attributes_ros.progress import ProgressBar, announce


@contextmanager
def program_without_logging() -> Iterator[None]:
    """Take away the handlers that pytest gives the root logger."""
    root = logging.getLogger()
    before, root.handlers = root.handlers, []
    try:
        yield
    finally:
        root.handlers = before


def test_a_program_without_logging_sees_them(capsys: pytest.CaptureFixture[str]) -> None:
    with program_without_logging():
        announce("Building the engine")
    assert capsys.readouterr().err == "Building the engine\n"


def test_a_program_that_shows_warnings_only_sees_them_once_in_its_own_form(capsys: pytest.CaptureFixture[str]) -> None:
    with program_without_logging():
        logging.basicConfig(level=logging.WARNING, format="own: %(message)s")
        announce("Building the engine")
    assert capsys.readouterr().err == "own: Building the engine\n"


def test_a_program_that_wants_to_hear_nothing_hears_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("facial_attributes_ros"), "handlers", [logging.NullHandler()])
    with program_without_logging():
        announce("Building the engine")
    assert capsys.readouterr().err == ""


class Terminal(io.StringIO):
    """Stands in for a terminal."""

    def isatty(self) -> bool:
        return True


@contextmanager
def terminal() -> Iterator[Terminal]:
    """Give a terminal as standard error; as a fixture it would give way to pytest's own capture."""
    with redirect_stderr(Terminal()) as shown:
        yield shown


def last_shown(shown: Terminal) -> str:
    return shown.getvalue().rstrip().rpartition("\r")[2]


def test_a_bar_shows_what_is_done_its_rate_and_the_time_left() -> None:
    with terminal() as shown, ProgressBar("images", title="preparing") as bar:
        bar(0, 40)
        bar(40, 40)
    assert re.fullmatch(r"preparing: 100%\|.*\| 40/40 \[\d\d:\d\d<\d\d:\d\d, *[\d.]+ images/s\]", last_shown(shown))


def test_work_done_before_does_not_count_into_the_rate() -> None:
    with terminal() as shown, ProgressBar("images") as bar:
        bar(1_000_000, 1_000_001)
        bar(1_000_001, 1_000_001)
    rate = re.search(r"([\d.]+)(s/ images| images/s)", last_shown(shown))
    assert rate is not None
    assert 0 < float(rate[1]) < 1e6


def test_a_second_pass_has_a_bar_of_its_own() -> None:
    with terminal() as shown, ProgressBar("faces") as bar:
        for total in (3, 3, 5):
            for done in range(1, total + 1):
                bar(done, total)
    assert re.findall(r"(\d/\d) [^\r\n]*\n", shown.getvalue()) == ["3/3", "3/3", "5/5"]


def test_seconds_stop_at_their_total() -> None:
    with terminal() as shown, ProgressBar("s", 10.0) as bar:
        bar.advance(8.0)
        bar.advance(8.0)
    assert "10/10 s" in last_shown(shown)


def test_lines_are_printed_above_the_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal() as shown, ProgressBar("faces", 2) as bar:
        bar.advance()
        with bar.aside():
            sys.stdout.write("a line\n")
        bar.note("face of one")
        bar.advance()
    assert capsys.readouterr().out == "a line\n"
    assert "face of one" in last_shown(shown)


def test_without_a_terminal_a_bar_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("faces", 2) as bar, bar.aside():
        bar.note({"loss": 1})
        bar.advance()
        bar(2, 2)
    assert capsys.readouterr() == ("", "")
