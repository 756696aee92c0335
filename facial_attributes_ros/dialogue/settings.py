"""The settings of the interlocutor, in seconds, and in metres or face sizes."""

from dataclasses import dataclass
from typing import ClassVar

from facial_attributes_ros.setting import check, setting


@dataclass(frozen=True, slots=True)
class InterlocutorOptions:
    """When somebody becomes, stays, and ceases to be the interlocutor."""

    group: ClassVar[str] = "interlocutor"

    acquire: float = setting(
        1.0, "Time that somebody has to be in reach before the robot speaks with them.", low=0, high=60, unit="s"
    )
    takeover: float = setting(
        1.5,
        "Time that somebody else has to be clearly in front before the interlocutor changes.",
        low=0.5,
        high=60,
        unit="s",
    )
    margin: float = setting(
        1.3, "How many times as prominent somebody else has to be to be clearly in front.", low=1.05, high=10
    )
    hold: float = setting(2.0, "Time that an interlocutor who is out of view is waited for.", low=0, high=60, unit="s")
    relink: float = setting(
        1.0,
        "Time after a lost id within which a new one at the same place and of the same size is the same person.",
        low=0,
        high=10,
        unit="s",
    )
    relink_distance: float = setting(
        1.0,
        "Largest distance from the expected place of the lost face to the new one.",
        low=0,
        high=5,
        unit="face sizes",
    )
    disengage: float = setting(
        3.0, "Time out of reach, or turned away, after which an interlocutor is released.", low=0, high=60, unit="s"
    )
    max_distance: float = setting(
        3.0, "Farthest somebody who is spoken with may be, where the distance is known.", low=0.2, high=20, unit="m"
    )
    min_size: float = setting(
        0.08,
        "Smallest face that is spoken with, where the distance is not known.",
        low=0.01,
        high=1,
        unit="image heights",
    )
    facing: float = setting(
        0.5, "Smallest probability of facing the camera to be spoken with, where it is known.", low=0, high=1
    )
    passing: float = setting(
        1.0, "Fastest that somebody new may move across the image.", low=0.1, high=100, unit="face sizes per s"
    )
    smoothing: float = setting(0.4, "Time constant over which prominence is averaged.", low=0, high=10, unit="s")

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UserError: one is out of its range.
        """
        check(self)
