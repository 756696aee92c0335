"""What the scripted conversation says: everything once, to the right person, in the right variant."""

import pytest

from facial_attributes_ros.dialogue.conversation import Conversation
from facial_attributes_ros.dialogue.policy import NEUTRAL, Manner
from facial_attributes_ros.dialogue.templates import Templates, languages


class Talk:
    def __init__(self, language="en"):
        self.sentences = Templates(language).sentences()
        self.conversation, self.now = Conversation(self.sentences), 0.0

    def go(self, seconds, encounter=1, face="a", reason="arrived", manner=NEUTRAL):
        said = []
        for _ in range(round(seconds * 10)):
            said.append(self.conversation.step(encounter, face, reason, manner, self.now))
            self.now += 0.1
        return [sentence for sentence in said if sentence]


@pytest.mark.parametrize("language", languages())
def test_every_language_has_a_sentence_for_every_occasion(language):
    sentences = Templates(language).sentences()
    assert all("neutral" in sentences[occasion] for occasion in ("greet", "introduce", "offer", "goodbye"))


def test_somebody_is_greeted_once_whatever_becomes_known():
    talk = Talk()
    said = talk.go(20) + talk.go(20, manner=Manner(register="simple")) + talk.go(3600, manner=NEUTRAL)
    assert said == [talk.sentences["greet"]["neutral"], talk.sentences["introduce"]["neutral"]]


def test_a_child_hears_the_simple_variant_and_a_friend_the_informal_one():
    talk = Talk("de")
    assert talk.go(1, manner=Manner(register="simple")) == [talk.sentences["greet"]["simple"]]
    assert talk.go(1, encounter=2, manner=Manner(address="informal")) == [talk.sentences["greet"]["informal"]]


def test_help_is_offered_once_in_two_minutes_however_often_the_manner_asks():
    talk = Talk()
    talk.go(20)
    said = [one for _ in range(10) for one in talk.go(6, manner=Manner(ask=True)) + talk.go(6)]
    assert said == [talk.sentences["offer"]["neutral"]]


def test_somebody_who_goes_hears_goodbye_and_somebody_who_is_interrupted_does_not():
    talk = Talk()
    talk.go(10)
    assert talk.go(10, face="", reason="left") == [talk.sentences["goodbye"]["neutral"]]
    talk.go(10, encounter=2)
    said = talk.go(10, encounter=3, reason="took_over")
    assert said == [talk.sentences[one]["neutral"] for one in ("greet", "introduce")]
    assert talk.go(2, encounter=2) == []
    assert talk.go(5, face="", reason="silent") == []
