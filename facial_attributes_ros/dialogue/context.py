"""What a language model may know of the interlocutor, in a few hedged sentences; and what the robot tells people."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from facial_attributes_ros.attributes import TASKS
from facial_attributes_ros.dialogue.interlocutor import LONGEST_STEP, NO_ONE, Interlocutor
from facial_attributes_ros.dialogue.manner import Reason, SpeakingManner
from facial_attributes_ros.dialogue.policy import CHOICES, PRONOUNS, Manner, Policy
from facial_attributes_ros.dialogue.templates import CONTEXT, NOTICE, Templates
from facial_attributes_ros.dialogue.timer import Timer

SETTLE: Final = 2.0
"""Seconds that other people have to be there, or gone, before the text says so."""


class ContextWriter:
    """Writes the context and the notice.

    Args:
        policy: whose rules may have a sentence for the context. What no rule says is not said.
        language: of the texts.
        folder: of templates of one's own; None for those that the package ships.

    Raises:
        UserError: there is no such language, or a template has a mistake.
    """

    def __init__(self, policy: Policy, language: str = "en", folder: Path | None = None) -> None:
        self._sentences = {rule.name: rule.context.get(language, "") for rule in policy.rules}
        self._neutral = policy.neutral
        self._templates = Templates(language, folder)
        self._try()

    def _try(self) -> None:
        """Render everything once, so that a mistake shows now and not in the middle of a conversation."""
        reason = Reason(next(iter(self._sentences), ""), "", (), 1.0, 0.0)
        fields: list[dict[str, Any]] = [{name: word} for name, words in CHOICES.items() for word in words]
        manners = [Manner(ask=True, pace=0.9), *(replace(self._neutral, **one) for one in fields)]
        spoken = [SpeakingManner("f", manner=manner, reasons=(reason,)) for manner in manners]
        spoken += [SpeakingManner("f", pronoun=pronoun) for pronoun in PRONOUNS.values()]
        for one in spoken:
            self.context(Interlocutor("f"), one, others=True)
        self.context(NO_ONE, SpeakingManner(), others=False)
        for number in range(len(TASKS) + 1):
            self.notice(TASKS[:number])

    def context(self, interlocutor: Interlocutor, spoken: SpeakingManner, *, others: bool) -> str:
        """Return the context for a language model.

        Args:
            interlocutor: who is there.
            spoken: how to speak with them, and why.
            others: whether other people are in reach.
        """
        return self._templates.render(
            CONTEXT,
            {
                "somebody": bool(interlocutor.face),
                "others": others,
                "known": self._known(spoken),
                "manner": spoken.manner,
                "neutral": self._neutral,
                "pronoun": spoken.pronoun,
            },
        )

    def notice(self, tasks: Collection[str]) -> str:
        """Return what the robot may say about its camera.

        Args:
            tasks: that run now, as `faces/info` lists them.
        """
        return self._templates.render(NOTICE, {"tasks": [task for task in TASKS if task in tasks]})

    def _known(self, spoken: SpeakingManner) -> list[Mapping[str, Any]]:
        """Return the sentences of the rules that apply, with their probabilities in tens of per cent."""
        return [
            {"sentence": self._sentences[reason.rule], "percent": 10 * math.floor(10 * reason.probability + 1e-6)}
            for reason in spoken.reasons
            if self._sentences.get(reason.rule)
        ]


@dataclass(slots=True)
class Settled:
    """Whether other people are there, without those who only pass."""

    _timer: Timer = field(default_factory=Timer)
    _stamp: float = math.nan

    def update(self, others: int, stamp: float) -> bool:
        """Return whether others count, from their number in one more scene."""
        step = 0.0 if math.isnan(self._stamp) else min(max(stamp - self._stamp, 0.0), LONGEST_STEP)
        self._stamp = stamp
        return self._timer.step(float(others > 0), step, stamp, SETTLE, SETTLE)


@dataclass(slots=True)
class RateLimit:
    """Lets a text pass when it has changed, and not more often than once a period.

    Attributes:
        period: in seconds.

    >>> limit = RateLimit(2.0)
    >>> [limit.passes(text, now) for text, now in [("a", 0.0), ("b", 1.0), ("b", 2.0), ("b", 9.0)]]
    [True, False, True, False]
    """

    period: float
    _last: str | None = None
    _at: float = -math.inf

    def passes(self, text: str, now: float) -> bool:
        """Return whether to publish a text now."""
        if text == self._last or 0 <= now - self._at < self.period:
            return False
        self._last, self._at = text, now
        return True
