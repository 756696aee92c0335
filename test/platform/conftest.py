"""What the tests of set-up and processes share."""

import signal

import pytest


@pytest.fixture(autouse=True)
def ctrl_c_reaches_python():
    """Importing a script lets Ctrl-C end the process at once, and background jobs ignore it; here it raises."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, signal.default_int_handler if before == signal.SIG_DFL else before)
