"""Reads a policy from YAML; a mistake in it is one sentence with file, line and key."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Final

from facial_attributes_ros.attributes import AGE, EMOTION, LABELS
from facial_attributes_ros.dialogue.located_yaml import Entry, read_yaml
from facial_attributes_ros.dialogue.policy import (
    CHOICES,
    FLAGS,
    RANGES,
    Condition,
    Manner,
    Policy,
    Pronouns,
    Rest,
    Rule,
    Value,
)
from facial_attributes_ros.errors import UserError

TASKS: Final = {"age_group": AGE, "emotion": EMOTION}
"""What conditions may look at, and the task that it belongs to."""
MANNER: Final = tuple(one.name for one in fields(Manner))
LEAST: Final = 0.5
"""Smallest probability of a condition."""
SHORTEST: Final = 0.5
"""Shortest time in seconds that a condition has to hold."""
STAYS: Final = 0.75
"""Fraction of the probability above which a condition that holds continues to hold, unless the file says otherwise."""
RELEASE: Final = 3.0
"""Seconds after which a rule that no longer holds stops to apply, unless the file says otherwise."""
_GENDER: Final = "cannot be a condition: gender only chooses a pronoun in speech about somebody; see the key pronouns."


def default_policy_file() -> Path:
    """Return the path of the policy that the package ships, `config/dialogue.yaml`.

    Raises:
        UserError: the installation lacks it.
    """
    here = Path(__file__).resolve()
    # Installed beside this file; in a checkout, in its own folder.
    places = here.parent / "config" / "dialogue.yaml", here.parents[2] / "config" / "dialogue.yaml"
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise UserError("This installation has no dialogue.yaml: name a policy file.")
    return found


def read_policy(file: Path) -> Policy:
    """Return the policy of a file.

    Raises:
        UserError: it cannot be read, or something in it is wrong; the sentence names file, line and key.
    """
    keys = read_yaml(file).items(("emotion", "neutral", "pronouns", "rest", "rules"))
    default = Policy()
    return Policy(
        emotion=keys["emotion"].flag() if "emotion" in keys else default.emotion,
        neutral=Manner(**_manner(keys["neutral"])) if "neutral" in keys else default.neutral,  # type: ignore[arg-type]
        rules=_rules(keys["rules"]) if "rules" in keys else (),
        pronouns=_pronouns(keys["pronouns"]) if "pronouns" in keys else default.pronouns,
        rest=_rest(keys["rest"]) if "rest" in keys else default.rest,
    )


def _rules(entry: Entry) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    for element in entry.elements():
        rule = _rule(element)
        if rule.name in [other.name for other in rules]:
            raise element.error(f"has the name '{rule.name}' of another rule: give each its own.")
        rules.append(rule)
    return tuple(rules)


def _rule(entry: Entry) -> Rule:
    keys = entry.items(("name", "when", "for", "release", "manner", "priority", "context"))
    for needed in ("name", "when"):
        if needed not in keys:
            raise entry.error(f"has no {needed}: every rule needs a name and a condition.")
    if "manner" not in keys and "context" not in keys:
        raise entry.error("changes nothing: give it a manner, a context, or both.")
    return Rule(
        name=keys["name"].text(),
        conditions=tuple(_condition(one) for one in keys["when"].elements()),
        seconds=_number(keys, "for", 2.0, SHORTEST, 600.0, ", as no single frame may decide"),
        release=_number(keys, "release", RELEASE, 0.0, 600.0),
        manner=_manner(keys["manner"]) if "manner" in keys else {},
        priority=keys["priority"].integer(-100, 100) if "priority" in keys else 0,
        context=_context(keys["context"]) if "context" in keys else {},
    )


def _condition(entry: Entry) -> Condition:
    keys = entry.items(("age_group", "emotion", "gender", "probability", "until", "change"))
    if "gender" in keys:
        raise keys["gender"].error(_GENDER)
    named = [name for name in TASKS if name in keys]
    if len(named) != 1:
        raise entry.error("takes exactly one of age_group and emotion; write a list for several conditions.")
    task = TASKS[named[0]]
    if "change" in keys and task != EMOTION:
        raise keys["change"].error("belongs to an emotion: an age does not change.")
    probability = _number(
        keys, "probability", 0.7, LEAST, 1.0, ", as a condition must not be wrong more often than right"
    )
    return Condition(
        task=task,
        labels=tuple(_labels(keys[named[0]], task)),
        probability=probability,
        until=_number(keys, "until", STAYS * probability, 0.0, probability, ", at most probability"),
        change=_number(keys, "change", 0.0, 0.0, 1.0),
    )


def _labels(entry: Entry, task: str) -> Iterator[str]:
    seen: set[str] = set()
    for element in entry.elements():
        label = element.choice(LABELS[task])
        if label in seen:
            raise element.error(f"names {label} twice: its probability would count twice.")
        seen.add(label)
        yield label


def _manner(entry: Entry) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, one in entry.items(MANNER).items():
        if name in CHOICES:
            found[name] = one.choice(CHOICES[name])
        else:
            found[name] = one.flag() if name in FLAGS else one.number(*RANGES[name])
    if not found:
        raise entry.error("is empty: remove it, or name what it changes.")
    return found


def _context(entry: Entry) -> dict[str, str]:
    return {language: sentence.text() for language, sentence in entry.items().items()}


def _pronouns(entry: Entry) -> Pronouns:
    keys = entry.items(("use", "probability", "for", "child"))
    default = Pronouns()
    return Pronouns(
        use=keys["use"].flag() if "use" in keys else default.use,
        probability=_number(keys, "probability", default.probability, 0.8, 1.0, ", as a wrong pronoun hurts"),
        seconds=_number(keys, "for", default.seconds, SHORTEST, 600.0),
        child=_number(keys, "child", default.child, 0.0, 0.3, ", as the gender of children is not to be guessed"),
    )


def _rest(entry: Entry) -> Rest:
    keys = entry.items(("memory", "watched", "known"))
    default = Rest()
    return Rest(
        memory=_number(keys, "memory", default.memory, 5.0, 3600.0),
        watched=_number(keys, "watched", default.watched, 1.0, 3600.0),
        known=_number(keys, "known", default.known, 0.0, 1.0),
    )


def _number(keys: Mapping[str, Entry], name: str, default: float, low: float, high: float, why: str = "") -> float:
    return keys[name].number(low, high, why) if name in keys else default
