"""How to speak with whom: the rules of a policy, as typed data. `policy_file` reads them from YAML."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from facial_attributes_ros.attributes import AGE, EMOTION

REGISTERS: Final = ("neutral", "simple", "formal", "casual")
TONES: Final = ("neutral", "warm", "playful", "calm")
ADDRESSES: Final = ("neutral", "formal", "informal")
PRONOUNS: Final = {"male": "he", "female": "she"}
THEY: Final = "they"

NOT_ADULT: Final = ("0-2", "3-9", "10-19")
"""Age groups that hold children."""


@dataclass(frozen=True, slots=True)
class Manner:
    """A manner of speaking; the defaults are the neutral one.

    Attributes:
        register: one of `REGISTERS`.
        pace: of speech, 1 is the voice's own.
        volume: of speech, likewise.
        tone: one of `TONES`.
        address: form of address, one of `ADDRESSES`; neutral leaves it to the language and the place.
        ask: whether to ask the person instead of going on, such as whether they need help.
    """

    register: str = "neutral"
    pace: float = 1.0
    volume: float = 1.0
    tone: str = "neutral"
    address: str = "neutral"
    ask: bool = False


NEUTRAL: Final = Manner()
Value = str | float | bool
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {"register": REGISTERS, "tone": TONES, "address": ADDRESSES}
"""What the fields of a manner that are texts may be."""
RANGES: Final[Mapping[str, tuple[float, float]]] = {"pace": (0.5, 2.0), "volume": (0.2, 2.0)}
"""What its numbers may be."""
FLAGS: Final = ("ask",)


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that has to be probable, for some time.

    Attributes:
        task: age or emotion.
        labels: whose probabilities are added up.
        probability: from which on the condition holds.
        until: below which it no longer holds; lower, so that it does not flicker.
        change: how far the probability has to be above what this person has shown so far on average; 0 for not at all.
    """

    task: str
    labels: tuple[str, ...]
    probability: float
    until: float
    change: float = 0.0

    def __str__(self) -> str:
        """Return the condition for people, such as `emotion sad >= 0.60, 0.30 above usual`."""
        name = {AGE: "age group", EMOTION: "emotion"}[self.task]
        above = f", {self.change:.2f} above usual" if self.change else ""
        return f"{name} {' or '.join(self.labels)} >= {self.probability:.2f}{above}"


@dataclass(frozen=True, slots=True)
class Rule:
    """A manner for those who meet all conditions.

    Attributes:
        name: of the rule; reasons name it.
        conditions: all of them have to hold.
        seconds: for how long they have to hold before the rule applies.
        release: for how long they have to be unfulfilled before it no longer applies.
        manner: the fields of `Manner` that it sets.
        priority: decides between rules that set a field differently; with equal priorities the field stays neutral.
        context: sentence for a language model by language; none says nothing.
    """

    name: str
    conditions: tuple[Condition, ...]
    seconds: float
    release: float
    manner: Mapping[str, Value] = field(default_factory=dict)
    priority: int = 0
    context: Mapping[str, str] = field(default_factory=dict)

    @property
    def needs_emotion(self) -> bool:
        """Whether the rule looks at emotions."""
        return any(condition.task == EMOTION for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class Pronouns:
    """When speech about somebody uses he or she instead of they.

    Attributes:
        use: whether it ever does.
        probability: of the gender, from which on.
        seconds: for how long.
        child: largest probability of being under twenty at which the gender counts.
    """

    use: bool = False
    probability: float = 0.95
    seconds: float = 5.0
    child: float = 0.1


@dataclass(frozen=True, slots=True)
class Rest:
    """What counts as a person's usual expression.

    Attributes:
        memory: seconds over which emotions are averaged.
        watched: seconds that the person has to have been seen before anything counts as a change.
        known: smallest `resting_face_known` for a change, where the program passes it on.
    """

    memory: float = 60.0
    watched: float = 10.0
    known: float = 0.2


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy. The default has no rules, so that everybody is spoken to in the same way.

    Attributes:
        emotion: whether emotions count; False switches every rule off that looks at them.
        neutral: the manner where no rule says otherwise.
        rules: in the order of the file.
        pronouns: when he and she are used.
        rest: what counts as usual.
    """

    emotion: bool = True
    neutral: Manner = NEUTRAL
    rules: tuple[Rule, ...] = ()
    pronouns: Pronouns = field(default_factory=Pronouns)
    rest: Rest = field(default_factory=Rest)

    @property
    def active_rules(self) -> tuple[Rule, ...]:
        """The rules that count: without those about emotions if these are off."""
        return tuple(rule for rule in self.rules if self.emotion or not rule.needs_emotion)
