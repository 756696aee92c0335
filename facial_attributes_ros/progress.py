"""One-time steps tell the user why they have to wait."""

import logging

_LOGGER = logging.getLogger(__name__)
# Waiting without a word reads like a hang, so these lines appear even where the program shows only warnings.
_LOGGER.setLevel(logging.INFO)


def announce(message: str) -> None:
    """Log one line about a long step that happens once, such as a download or an engine build."""
    _LOGGER.info(message)
