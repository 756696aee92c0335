"""Announcements of long steps reach whoever waits for them, once."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from facial_attributes_ros.progress import announce


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
