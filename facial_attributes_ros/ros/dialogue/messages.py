"""Interlocutor and manner as messages."""

from typing import Any

from facial_attributes_ros.dialogue.interlocutor import Interlocutor
from facial_attributes_ros.dialogue.manner import SpeakingManner
from facial_attributes_ros.dialogue.policy import Manner
from facial_attributes_ros.msg import Interlocutor as InterlocutorMessage
from facial_attributes_ros.msg import MannerReason
from facial_attributes_ros.msg import SpeakingManner as SpeakingMannerMessage
from facial_attributes_ros.ros.messages import time_message


def interlocutor_message(interlocutor: Interlocutor, header: Any) -> InterlocutorMessage:
    """Return the message about an interlocutor.

    Args:
        interlocutor: the interlocutor.
        header: of the faces that it follows from; copied by reference.
    """
    return InterlocutorMessage(
        header=header,
        face_id=interlocutor.face,
        person_id=interlocutor.person,
        lost_face_ids=list(interlocutor.lost),
        encounter=interlocutor.encounter,
        reason=interlocutor.reason,
        engagement=interlocutor.engagement,
        in_view=interlocutor.in_view,
        since=time_message(interlocutor.since),
        distance=float(interlocutor.distance),
        bearing=float(interlocutor.bearing),
    )


def manner_message(spoken: SpeakingManner, header: Any) -> SpeakingMannerMessage:
    """Return the message about a manner of speaking; its arguments are like those of `interlocutor_message`."""
    manner = spoken.manner
    return SpeakingMannerMessage(
        header=header,
        face_id=spoken.face,
        person_id=spoken.person,
        encounter=spoken.encounter,
        speech_register=manner.register,
        pace=float(manner.pace),
        volume=float(manner.volume),
        tone=manner.tone,
        address=manner.address,
        ask=manner.ask,
        pronoun=spoken.pronoun,
        reasons=[
            MannerReason(
                rule=reason.rule,
                condition=reason.condition,
                changes=list(reason.changes),
                probability=reason.probability,
                since=time_message(reason.since),
            )
            for reason in spoken.reasons
        ],
    )


def manner_of(message: Any) -> Manner:
    """Return the manner that a `SpeakingManner` message holds."""
    return Manner(
        register=message.speech_register,
        pace=message.pace,
        volume=message.volume,
        tone=message.tone,
        address=message.address,
        ask=message.ask,
    )
