"""The talk node: plays a scripted conversation in the terminal, beside the dialogue node. Run it through `talk`."""

import argparse
import sys
import time
from typing import Any

from rclpy.node import Node
from std_msgs.msg import String

from facial_attributes_ros.dialogue.conversation import Conversation
from facial_attributes_ros.dialogue.templates import Templates
from facial_attributes_ros.ros.dialogue.client import DialogueClient
from facial_attributes_ros.ros.dialogue.messages import manner_of
from facial_attributes_ros.ros.parameters import ParameterNames
from facial_attributes_ros.ros.process import Finish
from facial_attributes_ros.ros.steady import STEADY

CHECK = 0.2
"""Seconds between two moments at which something may be said."""


class Talk(Node):
    """Prints whom the robot speaks with, how and why, and what it says; publishes that on `speech`.

    Args:
        finish: ends the process.
        language: of the sentences.
        duration: seconds from the first person until the end; None for no end.

    Raises:
        UserError: there is no such language, or a parameter was given; the node has none.
    """

    def __init__(self, finish: Finish, language: str, duration: float | None) -> None:
        super().__init__("talk")
        ParameterNames(self).check_overrides()
        self._finish, self._duration = finish, duration
        self._conversation = Conversation(Templates(language).sentences())
        self._client = DialogueClient(self)
        self._speech = self.create_publisher(String, "speech", 10)
        self._started = time.monotonic()
        self._first: float | None = None
        self._someone: Any = None
        self._client.on_interlocutor(self._on_interlocutor)
        self._client.on_speaking_manner(lambda message: self._print("manner", manner_text(message)))
        self.create_timer(CHECK, self._speak, clock=STEADY)

    def _on_interlocutor(self, message: Any) -> None:
        self._someone = message
        hidden = "" if message.in_view or not message.face_id else ", hidden"
        who = f"{message.face_id}, number {message.encounter}" if message.face_id else "nobody"
        self._print("speaks with", f"{who} ({message.reason}{hidden})")

    def _speak(self) -> None:
        now, someone, spoken = time.monotonic(), self._someone, self._client.speaking_manner
        if self._first is not None and self._duration is not None and now - self._first >= self._duration:
            self._finish(0)
        # Each comes on its own topic; for a moment one of them may still be about somebody else.
        if someone is None or spoken is None or spoken.face_id != someone.face_id:
            return
        if someone.face_id and self._first is None:
            self._first = now
        text = self._conversation.step(someone.encounter, someone.face_id, someone.reason, manner_of(spoken), now)
        if text:
            self._print("robot", f"“{text}”")
            self._speech.publish(String(data=text))

    def _print(self, what: str, text: str) -> None:
        try:
            sys.stdout.write(f"{time.monotonic() - self._started:6.1f} s  {what:11}  {text}\n")
            sys.stdout.flush()
        except OSError:
            # The reader has ended (`| head`), or the disk is full: nobody sees the conversation any more.
            self._finish(0)


def manner_text(message: Any) -> str:
    """Return a `SpeakingManner` as a line: what is not neutral, and why."""
    manner = manner_of(message)
    words = [
        *([f"{manner.register} words"] if manner.register != "neutral" else []),
        *([f"{manner.tone} tone"] if manner.tone != "neutral" else []),
        *([f"{manner.address} address"] if manner.address != "neutral" else []),
        *([f"pace {manner.pace:.2g}"] if manner.pace != 1 else []),
        *([f"volume {manner.volume:.2g}"] if manner.volume != 1 else []),
        *(["asks"] if manner.ask else []),
    ]
    reasons = "; ".join(f"{one.rule}: {one.condition}, was {one.probability:.2f}" for one in message.reasons)
    return ", ".join(words or ["neutral"]) + (f" ({reasons})" if reasons else "")


def create(finish: Finish, options: argparse.Namespace) -> Talk:
    """Return the node.

    Args:
        finish: ends the process.
        options: as the parser of `talk` in `arguments` gives them.

    Raises:
        UserError: there is no such language, or a parameter was given; the node has none.
    """
    return Talk(finish, options.language, options.duration)
