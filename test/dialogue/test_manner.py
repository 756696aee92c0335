"""How to speak: rules apply and end after a while; unknown or contradicting attributes change nothing."""

import textwrap
from dataclasses import replace
from itertools import pairwise

import pytest

from facial_attributes_ros.dialogue.interlocutor import Interlocutor
from facial_attributes_ros.dialogue.manner import MannerSelector
from facial_attributes_ros.dialogue.policy import NEUTRAL, Policy
from facial_attributes_ros.dialogue.policy_file import default_policy_file, read_policy


class Facing:
    """Speaks with the first face of every scene."""

    def __init__(self, policy):
        self.selector, self.encounter = MannerSelector(policy), 1

    def update(self, scene):
        face = next(iter(scene.faces.values()), None)
        if face is None:
            return self.selector.update(Interlocutor(), None, scene.stamp)
        return self.selector.update(Interlocutor(face.id, encounter=self.encounter), face, scene.stamp)


@pytest.fixture
def speaking(watching):
    return lambda policy: watching(Facing(policy))


@pytest.fixture(scope="module")
def shipped():
    return read_policy(default_policy_file())


@pytest.fixture
def policy(tmp_path):
    def read(text):
        (tmp_path / "policy.yaml").write_text(textwrap.dedent(text), encoding="utf-8")
        return read_policy(tmp_path / "policy.yaml")

    return read


def test_a_child_is_spoken_to_simply_after_two_seconds_with_a_reason(speaking, shipped, seen):
    robot = speaking(shipped)
    assert robot.show(1.9, seen(age="3-9")).manner == NEUTRAL
    spoken = robot.show(0.5, seen(age="3-9"))
    assert (spoken.manner.register, spoken.manner.tone, spoken.manner.pace) == ("simple", "playful", 0.9)
    (reason,) = spoken.reasons
    assert reason.rule == "child"
    assert reason.condition == "age group 0-2 or 3-9 >= 0.80, for 2 s"
    assert reason.changes == ("register=simple", "pace=0.9", "tone=playful", "address=informal")
    assert reason.probability == pytest.approx(0.9 + 0.1 / 8, abs=0.01)
    assert reason.since == pytest.approx(102.0, abs=0.2)


@pytest.mark.parametrize(
    "details",
    [
        {},
        {"age": "3-9", "known": False},
        {"age": "3-9", "sure": 0.6},
        {"age": "3-9", "observations": 1},
        {"age": "10-19"},
        {"age": "30-39"},
        {"age": "70+"},
        {"gender": "female"},
        {"emotion": "sad"},
        {"emotion": "happy"},
    ],
    ids=str,
)
def test_unknown_doubtful_and_other_attributes_change_nothing(speaking, shipped, seen, details):
    spoken = speaking(shipped).show(20, seen(**details))
    assert (spoken.manner, spoken.pronoun, spoken.reasons) == (NEUTRAL, "they", ())


def test_a_single_frame_of_sad_changes_nothing(speaking, shipped, seen):
    robot = speaking(shipped)
    robot.show(20, seen(emotion="neutral"))
    robot.show(0.1, seen(emotion="sad", sure=0.99))
    assert robot.show(5, seen(emotion="neutral")).manner == NEUTRAL
    assert not [one for one in robot.seen if one.reasons]


def test_somebody_who_turns_sad_is_asked_and_not_for_ever(speaking, shipped, seen):
    robot = speaking(shipped)
    robot.show(20, seen(emotion="neutral"))
    assert not robot.show(2.5, seen(emotion="sad")).manner.ask
    spoken = robot.show(1.5, seen(emotion="sad"))
    assert (spoken.manner.ask, spoken.manner.tone) == (True, "calm")
    assert robot.show(4, seen(emotion="neutral")).manner.ask
    assert robot.show(2, seen(emotion="neutral")).manner == NEUTRAL


def test_nobody_is_consoled_for_a_face_that_always_looks_sad(speaking, shipped, seen):
    robot = speaking(shipped)
    robot.show(120, seen(emotion="sad"))
    assert not [one for one in robot.seen if one.reasons]


def test_a_change_waits_for_fusion_to_know_the_resting_face_where_that_is_passed_on(speaking, shipped, seen):
    robot = speaking(shipped)
    robot.show(20, seen(emotion="neutral", resting_face_known=0.0))
    assert not robot.show(10, seen(emotion="sad", resting_face_known=0.0)).manner.ask
    robot = speaking(shipped)
    robot.show(20, seen(emotion="neutral", resting_face_known=0.6))
    assert robot.show(10, seen(emotion="sad", resting_face_known=0.6)).manner.ask


def test_one_switch_turns_emotions_off_and_everything_else_goes_on(speaking, shipped, seen):
    robot = speaking(replace(shipped, emotion=False))
    robot.show(20, seen(age="3-9"))
    child = seen(age="3-9", emotion="sad")
    assert robot.show(20, child).manner.register == "simple"
    assert not [one for one in robot.seen if one.manner.ask]


def test_a_higher_priority_decides_and_the_reasons_say_what_is_set(speaking, shipped, seen):
    robot = speaking(shipped)
    robot.show(20, seen(age="3-9", emotion="neutral"))
    spoken = robot.show(6, seen(age="3-9", emotion="sad"))
    assert (spoken.manner.register, spoken.manner.tone, spoken.manner.ask) == ("simple", "calm", True)
    assert [reason.changes for reason in spoken.reasons] == [
        ("register=simple", "address=informal"),
        ("tone=calm", "pace=0.9", "ask=true"),
    ]


def test_rules_that_contradict_each_other_change_nothing(speaking, policy, seen):
    contradicting = policy(
        """\
        rules:
          - {name: a, when: {age_group: [3-9]}, manner: {register: simple, pace: 0.9}}
          - {name: b, when: {emotion: happy}, manner: {register: casual}}
        """
    )
    spoken = speaking(contradicting).show(5, seen(age="3-9", emotion="happy"))
    assert (spoken.manner.register, spoken.manner.pace) == ("neutral", 0.9)
    assert [reason.changes for reason in spoken.reasons] == [("pace=0.9",), ()]


def test_nothing_is_said_to_anybody_without_rules(speaking, seen):
    spoken = speaking(Policy()).show(20, seen(age="3-9", gender="male", emotion="sad"))
    assert (spoken.manner, spoken.reasons) == (NEUTRAL, ())


PRONOUNS = "pronouns: {use: true}"


def test_gender_chooses_a_pronoun_for_adults_only_where_the_policy_says_so(speaking, policy, seen):
    assert speaking(Policy()).show(20, seen(age="30-39", gender="female", sure=0.99)).pronoun == "they"
    robot = speaking(policy(PRONOUNS))
    assert robot.show(4.5, seen(age="30-39", gender="female", sure=0.99)).pronoun == "they"
    spoken = robot.show(1, seen(age="30-39", gender="female", sure=0.99))
    assert (spoken.pronoun, spoken.manner) == ("she", NEUTRAL)
    assert spoken.reasons[0].changes == ("pronoun=she",)


@pytest.mark.parametrize("age", ["0-2", "3-9", "10-19", None])
def test_the_gender_of_children_and_of_the_unknown_is_never_used(speaking, policy, seen, age):
    assert speaking(policy(PRONOUNS)).show(30, seen(age=age, gender="male", sure=0.99)).pronoun == "they"


def test_what_was_known_of_somebody_is_forgotten_with_the_encounter(speaking, shipped, seen):
    robot = speaking(shipped)
    robot.show(5, seen(age="3-9"))
    robot.watched.encounter = 2
    assert robot.show(0.1, seen("b", age="30-39")).manner == NEUTRAL
    assert robot.show(0.1).reasons == ()


def test_a_flickering_probability_does_not_make_the_manner_flicker(speaking, shipped, seen):
    robot = speaking(shipped)
    for number in range(100):
        robot.show(*((0.3, seen(age="3-9", sure=0.75)) if number % 2 else (0.6, seen(age="3-9"))))
    manners = [one.manner for one in robot.seen]
    assert sum(before != now for before, now in pairwise(manners)) == 1
