"""How to speak with the interlocutor: a policy's rules, over time, with the reasons."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import AGE, EMOTION, LABELS, Distribution
from facial_attributes_ros.dialogue.interlocutor import LONGEST_STEP, Interlocutor
from facial_attributes_ros.dialogue.policy import (
    NEUTRAL,
    NOT_ADULT,
    PRONOUNS,
    THEY,
    Condition,
    Manner,
    Policy,
    Rule,
    Value,
)
from facial_attributes_ros.dialogue.scene import SeenFace
from facial_attributes_ros.dialogue.timer import Timer

STAYS: Final = 0.5
"""Fraction of a change above which it is still one, so that it does not flicker."""
LEAST_OBSERVATIONS: Final = 3
"""Number of estimates of a face before anything is concluded from them."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the manner is as it is.

    Attributes:
        rule: name of the rule that applies, or `pronouns`.
        condition: what held, as a text.
        changes: what the rule sets, as `register=simple`; empty where another rule contradicts it.
        probability: smallest probability of the conditions when the rule began to apply.
        since: stamp in seconds at which it began to apply.
    """

    rule: str
    condition: str
    changes: tuple[str, ...]
    probability: float
    since: float


@dataclass(frozen=True, slots=True)
class SpeakingManner:
    """How to speak with the interlocutor.

    Attributes:
        face: id of the interlocutor's face; empty if there is nobody.
        person: their id under /humans/persons; empty if there is none.
        encounter: as in `Interlocutor`.
        manner: the manner.
        pronoun: for speech about the person: they, he or she.
        reasons: of everything that is not neutral.
    """

    face: str = ""
    person: str = ""
    encounter: int = 0
    manner: Manner = NEUTRAL
    pronoun: str = THEY
    reasons: tuple[Reason, ...] = ()


@dataclass(slots=True, eq=False)
class _Usual:
    """What the person has shown on average."""

    watched: float = 0.0
    mean: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(LABELS[EMOTION])))

    def see(self, probabilities: NDArray[np.float32], seconds: float, memory: float) -> None:
        """Average one more distribution in."""
        self.watched += seconds
        if self.watched:
            self.mean += seconds / min(self.watched, memory) * (probabilities - self.mean)


@dataclass(slots=True)
class MannerSelector:
    """Follows how to speak, scene by scene. What is known of somebody is forgotten with the encounter.

    Attributes:
        policy: the rules.
    """

    policy: Policy = field(default_factory=Policy)
    _encounter: int = 0
    _stamp: float = 0.0
    _usual: _Usual = field(default_factory=_Usual)
    _timers: dict[str, Timer] = field(default_factory=dict)

    def update(self, interlocutor: Interlocutor, face: SeenFace | None, stamp: float) -> SpeakingManner:
        """Return how to speak now.

        Args:
            interlocutor: whom to speak with.
            face: the interlocutor's face in the scene; None while it is out of view, during which nothing changes.
            stamp: of the scene in seconds.
        """
        if not interlocutor.face:
            self._forget(0)
            return SpeakingManner(encounter=interlocutor.encounter, manner=self.policy.neutral)
        if interlocutor.encounter != self._encounter:
            self._forget(interlocutor.encounter)
            self._stamp = stamp
        seconds = min(max(stamp - self._stamp, 0.0), LONGEST_STEP)
        self._stamp = stamp
        if face is not None and face.observations >= LEAST_OBSERVATIONS:
            self._observe(face, seconds, stamp)
        return self._chosen(interlocutor)

    def _forget(self, encounter: int) -> None:
        self._encounter, self._usual, self._timers = encounter, _Usual(), {}

    def _observe(self, face: SeenFace, seconds: float, stamp: float) -> None:
        for rule in self.policy.active_rules:
            timer = self._timer(f"rule {rule.name}")
            probability = min(self._probability(one, face, timer.holds) for one in rule.conditions)
            timer.step(probability, seconds, stamp, rule.seconds, rule.release)
        if self.policy.pronouns.use:
            self._observe_gender(face, seconds, stamp)
        if np.ptp(face.emotion.probabilities) > 0:
            # A distribution without any difference is that of a task that does not run.
            self._usual.see(face.emotion.probabilities, seconds, self.policy.rest.memory)

    def _observe_gender(self, face: SeenFace, seconds: float, stamp: float) -> None:
        pronouns = self.policy.pronouns
        adult = face.age.label is not None and _sum_of(face.age, NOT_ADULT) <= pronouns.child
        for label in PRONOUNS:
            probability = _sum_of(face.gender, (label,)) if adult and face.gender.label == label else 0.0
            met = probability if probability >= pronouns.probability else 0.0
            self._timer(f"pronoun {label}").step(met, seconds, stamp, pronouns.seconds, pronouns.seconds)

    def _probability(self, condition: Condition, face: SeenFace, holds: bool) -> float:
        """Return the probability of a condition's labels, 0 if it is not met; one that `holds` is met more easily."""
        distribution = face.age if condition.task == AGE else face.emotion
        # An unknown label, or one that contradicts the condition, changes nothing, whatever the probabilities are.
        if distribution.label not in condition.labels:
            return 0.0
        probability = _sum_of(distribution, condition.labels)
        if probability < (condition.until if holds else condition.probability):
            return 0.0
        if condition.change and self._rise(condition, probability, face) < condition.change * (STAYS if holds else 1.0):
            return 0.0
        return probability

    def _rise(self, condition: Condition, probability: float, face: SeenFace) -> float:
        """Return how much more probable emotions are than the person has shown on average; 0 while that is unknown."""
        rest = self.policy.rest
        # Where it is not passed on it is NaN, which is not below anything.
        if self._usual.watched < rest.watched or face.cues.resting_face_known < rest.known:
            return 0.0
        return probability - float(sum(self._usual.mean[LABELS[EMOTION].index(label)] for label in condition.labels))

    def _timer(self, name: str) -> Timer:
        return self._timers.setdefault(name, Timer())

    def _chosen(self, interlocutor: Interlocutor) -> SpeakingManner:
        rules = [rule for rule in self.policy.active_rules if self._timer(f"rule {rule.name}").holds]
        settled = _settled(rules)
        reasons = [self._reason(rule, settled) for rule in rules]
        pronoun = THEY
        for label, word in PRONOUNS.items():
            timer = self._timer(f"pronoun {label}")
            if self.policy.pronouns.use and timer.holds:
                pronoun = word
                condition = f"gender {label} >= {self.policy.pronouns.probability:.2f}"
                reasons.append(Reason("pronouns", condition, (f"pronoun={word}",), timer.probability, timer.since))
        changes: dict[str, Any] = {name: value for name, (value, _) in settled.items()}
        manner = replace(self.policy.neutral, **changes)
        return SpeakingManner(
            interlocutor.face, interlocutor.person, interlocutor.encounter, manner, pronoun, tuple(reasons)
        )

    def _reason(self, rule: Rule, settled: Mapping[str, tuple[Value, int]]) -> Reason:
        timer = self._timer(f"rule {rule.name}")
        condition = "; ".join(map(str, rule.conditions)) + f", for {rule.seconds:g} s"
        changes = tuple(
            f"{name}={_shown(value)}"
            for name, value in rule.manner.items()
            if settled.get(name) == (value, rule.priority)
        )
        return Reason(rule.name, condition, changes, timer.probability, timer.since)


def _settled(rules: Sequence[Rule]) -> dict[str, tuple[Value, int]]:
    """Return what rules agree on, by field, with the priority that decided; the highest priority that names it does."""
    settled: dict[str, tuple[Value, int]] = {}
    for name in asdict(NEUTRAL):
        naming = [rule for rule in rules if name in rule.manner]
        top = max((rule.priority for rule in naming), default=0)
        values = {rule.manner[name] for rule in naming if rule.priority == top}
        if len(values) == 1:
            settled[name] = values.pop(), top
    return settled


def _sum_of(distribution: Distribution, labels: Sequence[str]) -> float:
    names = LABELS[distribution.task]
    # Sums of float32 may pass 1 by a rounding error.
    return min(float(sum(distribution.probabilities[names.index(label)] for label in labels)), 1.0)


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
