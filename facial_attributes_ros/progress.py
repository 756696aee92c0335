"""One-time steps tell the user why they have to wait."""

import logging

_LOGGER = logging.getLogger(__name__)


class _LastResort(logging.Handler):
    """Writes to standard error in a program without logging of its own, as Python itself does from WARNING on."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless somebody above takes it."""
        if logging.lastResort and not logging.getLogger("facial_attributes_ros").hasHandlers():
            logging.lastResort.emit(record)


# Waiting without a word reads like a hang, so these lines appear even where the program shows only warnings, and in a
# script or a notebook that has set up nothing.
_LOGGER.setLevel(logging.INFO)
_LOGGER.addHandler(_LastResort())


def announce(message: str) -> None:
    """Log one line about a long step that happens once, such as a download or an engine build."""
    _LOGGER.info(message)
