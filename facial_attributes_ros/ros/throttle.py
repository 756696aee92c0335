"""Say the same thing at most every few seconds."""

import re
import time

_NUMBERS = re.compile(r"\d+")


class Throttle:
    """Lets a sentence through once a period; sentences that differ in numbers only are the same one.

    Args:
        period: seconds of silence after a sentence.
        most: kinds of sentences remembered at most, so that memory stays bounded whatever arrives.
    """

    def __init__(self, period: float = 5.0, most: int = 32) -> None:
        self._period = period
        self._most = most
        self._kinds: dict[str, tuple[float, int]] = {}

    def pass_on(self, sentence: str, now: float | None = None) -> str | None:
        """Return the sentence, with how often it was held back since the last time, or None to hold it back.

        Args:
            sentence: what would be logged.
            now: seconds on a clock that never goes back; this process's monotonic clock by default.
        """
        now = time.monotonic() if now is None else now
        kind = _NUMBERS.sub("#", sentence)
        said, held = self._kinds.pop(kind, (-self._period, 0))
        if now - said < self._period:
            self._kinds[kind] = (said, held + 1)
            return None
        self._kinds[kind] = (now, 0)
        while len(self._kinds) > self._most:
            del self._kinds[next(iter(self._kinds))]
        return f"{sentence} ({held} more like it before.)" if held else sentence
