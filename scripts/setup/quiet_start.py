"""Imported first, lets Ctrl-C end a script without a word while the script's other modules are being imported."""

import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupt_on(*numbers: signal.Signals) -> None:
    """Have signals raise KeyboardInterrupt from now on."""
    for number in numbers:
        signal.signal(number, signal.default_int_handler)
