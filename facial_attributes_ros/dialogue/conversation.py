"""A scripted conversation that follows the interlocutor and the manner: what `make talk` and the examples say.

It greets everybody once, however often what is known of them changes, never says the same sentence to somebody twice
within minutes, and says nothing about anybody.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from facial_attributes_ros.dialogue.policy import NEUTRAL, Manner

PAUSE: Final = 5.0
"""Seconds between two sentences."""
AGAIN: Final = 120.0
"""Seconds before help is offered to the same person again."""
SPOKEN: Final = 5.0
"""Seconds that a conversation has lasted before it ends with a goodbye."""
REMEMBERED: Final = 32
"""Number of encounters, the last ones, of which it is remembered what was said."""
LOST: Final = ("left", "disengaged")
"""Reasons for which an encounter ends that a goodbye answers."""


@dataclass(slots=True)
class Conversation:
    """Decides what to say, and when. Not a dialogue system: it shows the adaptation.

    Attributes:
        sentences: by occasion (greet, introduce, offer, goodbye) and variant: a register, a form of address or neutral.
    """

    sentences: Mapping[str, Mapping[str, str]]
    _encounter: int = 0
    _began: float = 0.0
    _spoke: float = -math.inf
    _said: dict[tuple[int, str], float] = field(default_factory=dict)
    _manner: Manner = NEUTRAL
    _open: bool = False

    def step(self, encounter: int, face: str, reason: str, manner: Manner, now: float) -> str | None:
        """Return what to say now, or None.

        Args:
            encounter: as in `Interlocutor`.
            face: id of the interlocutor's face; empty if there is nobody.
            reason: why, as in `Interlocutor`.
            manner: how to speak.
            now: in seconds.
        """
        if not face:
            return self._part(reason, now)
        if encounter != self._encounter:
            self._encounter, self._began, self._spoke = encounter, now, -math.inf
            self._said = {key: at for key, at in self._said.items() if encounter - key[0] < REMEMBERED}
        self._manner, self._open = manner, True
        if now - self._spoke < PAUSE:
            return None
        occasion = self._occasion(manner, now)
        return None if occasion is None else self._say(occasion, now)

    def _occasion(self, manner: Manner, now: float) -> str | None:
        if not math.isfinite(self._last("greet")):
            return "greet"
        if manner.ask and now - self._last("offer") >= AGAIN:
            return "offer"
        return None if math.isfinite(self._last("introduce")) or manner.ask else "introduce"

    def _last(self, occasion: str) -> float:
        """Return when something was last said to this person."""
        return self._said.get((self._encounter, occasion), -math.inf)

    def _part(self, reason: str, now: float) -> str | None:
        if not self._open:
            return None
        self._open = False
        if reason in LOST and now - self._began >= SPOKEN and now - self._last("goodbye") >= AGAIN:
            return self._say("goodbye", now)
        return None

    def _say(self, occasion: str, now: float) -> str:
        self._said[self._encounter, occasion] = self._spoke = now
        variants = self.sentences[occasion]
        special = (name for name in (self._manner.register, self._manner.address) if name != "neutral")
        return variants[next((name for name in special if name in variants), "neutral")]
