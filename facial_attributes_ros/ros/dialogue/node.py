"""The dialogue node: from `faces` to `interlocutor`, `speaking_manner` and a context for language models.

Run it through `dialogue`.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from std_msgs.msg import Header, String

from facial_attributes_ros.dialogue.context import ContextWriter, RateLimit
from facial_attributes_ros.dialogue.dialogue import Dialogue, DialogueState
from facial_attributes_ros.dialogue.interlocutor import NO_ONE, Interlocutor, InterlocutorTracker
from facial_attributes_ros.dialogue.manner import MannerSelector
from facial_attributes_ros.dialogue.policy_file import default_policy_file, read_policy
from facial_attributes_ros.dialogue.scene import scene_of_message
from facial_attributes_ros.dialogue.settings import InterlocutorOptions
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.msg import FaceAttributesArray, FacePoseArray, PerceptionInfo
from facial_attributes_ros.msg import Interlocutor as InterlocutorMessage
from facial_attributes_ros.msg import SpeakingManner as SpeakingMannerMessage
from facial_attributes_ros.ros.dialogue.cues import Persons, Poses
from facial_attributes_ros.ros.dialogue.messages import interlocutor_message, manner_message
from facial_attributes_ros.ros.dialogue.settings import DIALOGUE_SETTINGS, DialogueOptions, options_from
from facial_attributes_ros.ros.messages import seconds_of, time_message
from facial_attributes_ros.ros.optional_messages import optional_messages
from facial_attributes_ros.ros.parameters import ParameterNames, declare
from facial_attributes_ros.ros.process import Finish
from facial_attributes_ros.ros.steady import STEADY
from facial_attributes_ros.ros.topics import LATCHED

CHECK = 0.1
"""Seconds between two checks for silence and for a context that waits."""


class DialogueNode(Node):
    """Follows whom to speak with, and how. All it publishes is latched, and published on change.

    Raises:
        UserError: a parameter, the policy, the language or a template is wrong.
    """

    def __init__(self) -> None:
        super().__init__("dialogue")
        for setting in DIALOGUE_SETTINGS:
            declare(self, setting)
        ParameterNames(self).check_overrides()
        self._options, tracking = self._read({})
        self._policy = read_policy(_path(self._options.policy) or default_policy_file())
        self._writer = ContextWriter(self._policy, self._options.language, _path(self._options.templates))
        self._dialogue = Dialogue(self._writer, InterlocutorTracker(tracking), MannerSelector(self._policy))
        self._limit = RateLimit(self._options.context_period)
        self._poses, self._persons = Poses(), self._read_persons()
        self._header, self._heard, self._shown, self._text = Header(), time.monotonic(), NO_ONE, ""
        self._spoken: Any = None
        self._silent = False
        self._open()
        self._apply(())
        self._show(self._dialogue.silent(self._now()))

    def _open(self) -> None:
        """Create publishers, subscriptions and the timer."""
        self._interlocutor = self.create_publisher(InterlocutorMessage, "interlocutor", LATCHED)
        self._manner = self.create_publisher(SpeakingMannerMessage, "speaking_manner", LATCHED)
        self._contexts = self.create_publisher(String, "dialogue/context", LATCHED)
        self._notice = self.create_publisher(String, "dialogue/notice", LATCHED)
        self.create_subscription(FaceAttributesArray, "faces", self._on_faces, QoSProfile(depth=10))
        self.create_subscription(FacePoseArray, "faces/pose", self._poses.take, QoSProfile(depth=10))
        self.create_subscription(PerceptionInfo, "faces/info", self._on_info, LATCHED)
        self.add_on_set_parameters_callback(self._check)
        self.add_post_set_parameters_callback(self._apply)
        self.create_timer(CHECK, self._on_timer, clock=STEADY)

    def _read(self, changes: dict[str, Any]) -> tuple[DialogueOptions, InterlocutorOptions]:
        values = {one.name: self.get_parameter(one.name).value for one in DIALOGUE_SETTINGS}
        return options_from(values | changes)

    def _read_persons(self) -> Persons | None:
        hri = optional_messages("hri_msgs", "rep155", self._options.rep155)
        return None if hri is None else Persons(self, hri, self._options.engagement)

    def _check(self, changes: Sequence[Parameter]) -> SetParametersResult:
        ours = {one.name for one in DIALOGUE_SETTINGS}
        try:
            self._read({change.name: change.value for change in changes if change.name in ours})
        except UserError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _apply(self, _changes: Sequence[Parameter]) -> None:
        self._options, self._dialogue.tracker.options = self._read({})
        self._limit.period = self._options.context_period
        self._dialogue.selector.policy = replace(self._policy, emotion=self._policy.emotion and self._options.emotion)

    def _on_faces(self, message: Any) -> None:
        self._header, self._heard, self._silent = message.header, time.monotonic(), False
        stamp = seconds_of(message.header.stamp)
        cues = self._poses.at(stamp)
        if self._persons is not None:
            cues = self._persons.add_to(cues)
        self._show(self._dialogue.update(scene_of_message(message, cues)))
        if self._persons is not None:
            self._persons.publish(dict(self._dialogue.tracker.engagements()), message.header, stamp)

    def _on_info(self, message: Any) -> None:
        self._notice.publish(String(data=self._writer.notice([one.name for one in message.tasks if one.running])))

    def _on_timer(self) -> None:
        silence = time.monotonic() - self._heard
        if silence >= self._options.timeout and not self._silent:
            self._silent = True
            stamp = seconds_of(self._header.stamp) + silence
            self._header = Header(stamp=time_message(stamp), frame_id=self._header.frame_id)
            self._show(self._dialogue.silent(stamp))
        self._show_context()

    def _show(self, state: DialogueState) -> None:
        """Publish what has changed."""
        if _known(state.interlocutor) != _known(self._shown) or self._spoken is None:
            self._shown = state.interlocutor
            self._interlocutor.publish(interlocutor_message(state.interlocutor, self._header))
        if state.spoken != self._spoken:
            self._spoken = state.spoken
            self._manner.publish(manner_message(state.spoken, self._header))
        self._text = state.context
        self._show_context()

    def _show_context(self) -> None:
        if self._limit.passes(self._text, time.monotonic()):
            self._contexts.publish(String(data=self._text))

    def _now(self) -> float:
        return float(self.get_clock().now().nanoseconds) * 1e-9


def _known(interlocutor: Interlocutor) -> Interlocutor:
    """Return an interlocutor without what changes from scene to scene."""
    return replace(interlocutor, others=0, distance=0.0, bearing=0.0)


def _path(text: str) -> Path | None:
    return Path(text).expanduser() if text else None


def create(_finish: Finish, _options: argparse.Namespace) -> DialogueNode:
    """Return the node.

    Raises:
        UserError: a parameter, the policy, the language or a template is wrong.
    """
    return DialogueNode()
