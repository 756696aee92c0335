"""How much in front a face is, for comparing the faces of one scene."""

import math
from collections.abc import Mapping
from typing import Final

from facial_attributes_ros.dialogue.scene import SeenFace

CENTRE: Final = 1.0
"""Offset from the middle of the image, in image heights, at which a face counts as exp(-1/2) of one in the middle.

So wide that a camera which pans does not change the interlocutor by that alone: from the middle to the border of an
image of 4:3 a face loses less than `interlocutor.margin`.
"""
AHEAD: Final = math.radians(60)
"""Bearing at which a face counts as exp(-1/2) of one straight ahead."""
TURNED_AWAY: Final = 0.25
"""What a face that is certainly turned away counts, relative to one that faces the camera."""
SMALLEST: Final = 1e-3
"""Size in image heights, or distance in metres, below which a face is not measured."""


def log_prominences(faces: Mapping[str, SeenFace]) -> dict[str, float]:
    """Return the logarithm of each face's prominence; only differences between faces of one scene mean anything.

    Prominence is nearness times direction times facing times speaking. A cue counts only if it is known of all faces:
    otherwise those of whom less is known would be ahead or behind for that reason alone. Size stands in for distance,
    and the place in the image for the bearing.

    >>> near, far = SeenFace("a", 0.0, 0.0, 0.4), SeenFace("b", 0.0, 0.0, 0.2)
    >>> levels = log_prominences({"a": near, "b": far})
    >>> round(math.exp(levels["a"] - levels["b"]), 3)
    2.0
    """
    near, ahead, facing, speaking = (
        all(math.isfinite(getattr(face.cues, cue)) for face in faces.values())
        for cue in ("distance", "bearing", "facing", "speaking")
    )
    levels = {}
    for key, face in faces.items():
        cues = face.cues
        level = -math.log(max(cues.distance, SMALLEST)) if near else math.log(max(face.size, SMALLEST))
        level -= (cues.bearing / AHEAD) ** 2 / 2 if ahead else (face.x / CENTRE) ** 2 / 2
        level += math.log(TURNED_AWAY + (1 - TURNED_AWAY) * cues.facing) if facing else 0.0
        level += math.log1p(cues.speaking) if speaking else 0.0
        levels[key] = level
    return levels
