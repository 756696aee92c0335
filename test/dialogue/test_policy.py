"""A policy is read, and every mistake in it is one sentence with file, line and key."""

import textwrap

import pytest

from facial_attributes_ros.dialogue.policy_file import default_policy_file, read_policy
from facial_attributes_ros.errors import UserError

RULE = """\
rules:
  - name: child
    when: {age_group: [0-2, 3-9], probability: 0.8}
    manner: {register: simple}
"""


@pytest.fixture
def read(tmp_path):
    def read_text(text):
        file = tmp_path / "policy.yaml"
        file.write_text(textwrap.dedent(text), encoding="utf-8")
        return read_policy(file)

    return read_text


def test_the_shipped_policy_is_careful():
    policy = read_policy(default_policy_file())
    assert not policy.pronouns.use
    assert [rule.name for rule in policy.rules] == ["child", "turned sad or afraid"]
    assert not [rule for rule in policy.rules for one in rule.conditions if {"60-69", "70+"} & set(one.labels)]
    assert all(one.change > 0 for rule in policy.rules for one in rule.conditions if one.task == "emotion")
    assert all({"en", "de", "fr", "es"} <= set(rule.context) for rule in policy.rules)


def test_what_is_not_named_is_neutral(read):
    policy = read(RULE)
    assert policy.emotion
    assert policy.neutral.register == "neutral"
    (rule,) = policy.rules
    assert (rule.seconds, rule.release, rule.priority, rule.context) == (2.0, 3.0, 0, {})
    assert rule.conditions[0].until == pytest.approx(0.6)


def test_several_conditions_are_a_list(read):
    (rule,) = read(
        """\
        rules:
          - name: both
            when:
              - age_group: [3-9]
              - emotion: happy
                change: 0.2
            manner: {tone: playful}
        """
    ).rules
    assert [str(one) for one in rule.conditions] == [
        "age group 3-9 >= 0.70",
        "emotion happy >= 0.70, 0.20 above usual",
    ]


MISTAKES = {
    "emotoin: false": "line 1: emotoin is no key here (did you mean emotion?)",
    "emotion: maybe": "line 1: emotion takes true or false, not 'maybe'",
    "emotion: false\nemotion: true": "line 2: emotion stands there twice",
    "- a\n- b": "line 1: the file takes a mapping",
    "neutral: {pace: 9}": "line 1: neutral.pace takes a number from 0.5 to 2, not '9'",
    "neutral: {pace: .nan}": "neutral.pace takes a number",
    "neutral: {pace: fast}": "neutral.pace takes a number",
    "neutral: {register: baby talk}": "neutral.register takes one of neutral, simple, formal, casual",
    "neutral: {ask: 1}": "neutral.ask takes true or false, not '1'",
    "neutral: {}": "neutral is empty",
    "pronouns: {use: true, probability: 0.6}": "pronouns.probability takes a number from 0.8 to 1",
    "pronouns: {child: 0.9}": "pronouns.child takes a number from 0 to 0.3",
    "rest: {memory: 0}": "rest.memory takes a number from 5 to 3600",
    "rules: []": "line 1: rules is an empty list",
    "rules: [child]": "rules[0] takes a mapping",
    RULE.replace("simple", "posh"): "line 4: rules[0].manner.register takes one of",
    RULE.replace("0.8", "0.3"): "line 3: rules[0].when.probability takes a number from 0.5 to 1, as",
    RULE.replace("0.8", "80"): "line 3: rules[0].when.probability takes a number",
    RULE.replace("3-9", "3-8"): "line 3: rules[0].when.age_group[1] takes one of 0-2, 3-9",
    RULE.replace("0-2, 3-9", "3-9, 3-9"): "line 3: rules[0].when.age_group[1] names 3-9 twice",
    RULE.replace("age_group: [0-2, 3-9]", "gender: female"): "gender cannot be a condition: gender only chooses a",
    RULE.replace("age_group: [0-2, 3-9], ", ""): "takes exactly one of age_group and emotion",
    RULE.replace("probability: 0.8", "change: 0.2"): "change belongs to an emotion",
    RULE.replace("probability: 0.8", "probability: 0.8, until: 0.9"): "until takes a number from 0 to 0.8",
    RULE.replace("when", "wenn"): "rules[0].wenn is no key here",
    RULE.replace("    manner: {register: simple}\n", ""): "line 2: rules[0] changes nothing",
    RULE.replace("  - name: child\n    when", "  - when"): "rules[0] has no name",
    RULE + "    for: 0.1\n": "line 5: rules[0].for takes a number from 0.5 to 600, as no single frame may decide",
    RULE + "    priority: high\n": "rules[0].priority takes a whole number",
    RULE + "    context: A child.\n": "rules[0].context takes a mapping",
    RULE + RULE.removeprefix("rules:\n"): "line 5: rules[1] has the name 'child' of another rule",
    "a: [": "line 1, is not YAML",
    "a: b: c": "is not YAML",
    "": "is empty",
    "!!python/object/apply:os.system ['true']": "the file takes a mapping",
    "emotion: !!python/name:os.system ''": "line 1: emotion cannot be read",
}


@pytest.mark.parametrize("text", MISTAKES, ids=lambda text: text[:40])
def test_a_mistake_is_one_sentence_with_file_line_and_key(read, text):
    with pytest.raises(UserError) as caught:
        read(text)
    sentence = str(caught.value)
    assert MISTAKES[text] in sentence
    assert "policy.yaml" in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r"absent.yaml cannot be read: No such file"):
        read_policy(tmp_path / "absent.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"bytes.yaml cannot be read: it is not UTF-8"):
        read_policy(tmp_path / "bytes.yaml")
