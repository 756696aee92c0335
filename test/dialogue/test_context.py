"""What a language model is told, and what the robot tells people: hedged, in every language, and nothing unasked."""

import pytest

from facial_attributes_ros.attributes import TASKS
from facial_attributes_ros.dialogue.context import ContextWriter, RateLimit, Settled
from facial_attributes_ros.dialogue.interlocutor import NO_ONE, Interlocutor
from facial_attributes_ros.dialogue.manner import Reason, SpeakingManner
from facial_attributes_ros.dialogue.policy import Manner, Policy
from facial_attributes_ros.dialogue.policy_file import default_policy_file, read_policy
from facial_attributes_ros.dialogue.templates import Templates, languages
from facial_attributes_ros.errors import UserError

SOMEBODY = Interlocutor("face_x", person="person_y", encounter=1)
CHILD = SpeakingManner(
    "face_x",
    manner=Manner(register="simple", pace=0.9, tone="playful", address="informal"),
    reasons=(Reason("child", "…", ("register=simple",), 0.87, 0.0),),
)


@pytest.fixture(scope="module")
def policy():
    return read_policy(default_policy_file())


@pytest.fixture(scope="module", params=["en", "de", "fr", "es"])
def writer(request, policy):
    return ContextWriter(policy, request.param)


def test_there_are_four_languages():
    assert {"en", "de", "fr", "es"} <= set(languages())


def test_a_child_is_described_with_doubt_and_without_ids(writer, policy):
    text = writer.context(SOMEBODY, CHILD, others=True)
    assert "80 %" in text
    assert policy.rules[0].context[writer._templates.language] in text
    assert "face_x" not in text
    assert "person_y" not in text
    assert len(text.split()) < 130


def test_what_the_policy_does_not_name_is_not_said(writer):
    silent = SpeakingManner("face_x", reasons=(Reason("another rule", "…", (), 0.9, 0.0),))
    assert writer.context(SOMEBODY, silent, others=False) == writer.context(
        SOMEBODY, SpeakingManner("face_x"), others=False
    )


def test_nobody_is_a_short_text_and_others_are_mentioned(writer):
    assert len(writer.context(NO_ONE, SpeakingManner(), others=False).split()) < 10
    texts = {writer.context(SOMEBODY, CHILD, others=others) for others in (True, False)}
    assert len(texts) == 2


def test_every_manner_and_pronoun_has_words(writer):
    neutral = writer.context(SOMEBODY, SpeakingManner("f"), others=False)
    fields = {
        "register": ("simple", "formal", "casual"),
        "tone": ("warm", "playful", "calm"),
        "address": ("formal", "informal"),
        "ask": (True,),
        "pace": (0.8,),
    }
    texts = [
        writer.context(SOMEBODY, SpeakingManner("f", manner=Manner(**{name: value})), others=False)
        for name, values in fields.items()
        for value in values
    ]
    texts += [writer.context(SOMEBODY, SpeakingManner("f", pronoun=word), others=False) for word in ("he", "she")]
    assert len({neutral, *texts}) == len(texts) + 1


def test_the_notice_names_the_tasks_that_run_and_no_others(writer):
    none, age, everything = writer.notice([]), writer.notice(["age"]), writer.notice(TASKS)
    assert len({none, age, everything}) == 3
    assert len(none) < len(age) < len(everything)


def test_the_english_notice_reads_well(policy):
    writer = ContextWriter(policy)
    assert "I also estimate age, gender and facial expression, to adapt" in writer.notice(TASKS)
    assert "I also estimate age and gender, to adapt" in writer.notice(["gender", "age"])
    assert "feels" not in writer.notice(["age"])


def write(folder, text, language="en"):
    file = folder / language / "context.jinja"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")


def test_templates_of_ones_own_take_the_place_of_the_shipped_ones(tmp_path):
    write(tmp_path, "{{ 'There you are' if somebody else 'Nobody' }}.")
    write(tmp_path, "ja", "tlh")
    writer = ContextWriter(Policy(), folder=tmp_path)
    assert writer.context(SOMEBODY, CHILD, others=False) == "There you are."
    assert "I am a robot" in writer.notice([])
    assert "tlh" in languages(tmp_path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{% if %}", r"context.jinja, line 1: .*"),
        ("{{ nothing }}", r"en/context.jinja fails: 'nothing' is undefined"),
        ("{{ 1 / 0 }}", r"fails: division by zero"),
        ("{{ somebody.__class__.__mro__ }}", r"fails: .*unsafe"),
        ("{% include 'en/absent.jinja' %}", r"has no en/absent.jinja"),
    ],
)
def test_a_mistake_in_a_template_is_one_sentence_at_the_start(tmp_path, text, sentence):
    write(tmp_path, text)
    with pytest.raises(UserError, match=sentence):
        ContextWriter(Policy(), folder=tmp_path)


def test_an_unknown_language_or_folder_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="There is no language 'xx': there are de, en, es, fr"):
        Templates("xx")
    with pytest.raises(UserError, match="is no folder"):
        Templates("en", tmp_path / "absent")


def test_a_text_passes_when_it_changed_and_not_too_often():
    limit = RateLimit(2.0)
    texts = ["a", "a", "b", "c", "c", "c"]
    assert [limit.passes(text, now) for now, text in enumerate(texts)] == [True, False, True, False, True, False]
    assert limit.passes("d", -50.0)  # the clock was set back


def test_people_who_pass_are_not_mentioned():
    settled = Settled()
    assert not any(settled.update(others, 0.1 * step) for step, others in enumerate([0, *[1] * 15, *[0] * 30]))
    assert settled.update(1, 10.0) is False
    assert any(settled.update(2, 10.0 + 0.1 * step) for step in range(40))
