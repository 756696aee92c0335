"""Synthetic videos of two faces that pass each other, as boxes: what trackers are tried on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from facial_attributes_ros.imaging.boxes import overlaps

SECONDS = 4.0
Follow = Callable[[np.ndarray, np.ndarray, float], Sequence[int | str | None]]
"""Takes (N, 4) boxes (x, y, width, height), (N,) scores and a time; returns the id of every box, None without one."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """How two faces pass each other.

    Attributes:
        overlap: whether one hides the other for a while.
        rate: frames a second.
        alike: largest difference in size, as a share.
        jitter: standard deviation of a detected box, as a share of the face size.
        missed: share of faces that the detector misses.
        blackout: longest time in seconds for which, around the meeting, nobody is detected.
    """

    overlap: bool = True
    rate: float = 20.0
    alike: float = 0.0
    jitter: float = 0.03
    missed: float = 0.05
    blackout: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a tracker made of one crossing.

    Attributes:
        swapped: afterwards one face has the id that the other had before.
        confused: at any time one face has the id that the other had before.
        renamed: afterwards a face has an id that neither had before.
    """

    swapped: bool
    confused: bool
    renamed: bool


def cross(how: Crossing, seed: int, follow: Follow) -> Outcome:
    """Let two faces pass each other before a tracker.

    Args:
        how: the kind of crossing.
        seed: chooses sizes, speeds, ways and the detector's errors.
        follow: the tracker.
    """
    rng = np.random.default_rng(seed)
    first = rng.uniform(40, 110)
    sizes = np.array([first, first * rng.uniform(1 - how.alike, 1 + how.alike)])
    # A face is hidden for less than a second: it must pass its own width in that time.
    speeds = np.array([1, -1]) * rng.uniform(0.6, 3, 2) * first
    offset = rng.uniform(-0.35, 0.35) * first if how.overlap else rng.choice([-1, 1]) * sizes.sum() * 0.6
    places = np.array([0.0, offset])
    phases, hidden = rng.uniform(0, 2 * np.pi, 2), int(rng.integers(2))
    dark = rng.uniform(0, how.blackout)
    before: dict[int, int | str] = {}
    after: dict[int, int | str] = {}
    confused = False
    for now in np.arange(rng.uniform(0, 1 / how.rate), SECONDS, 1 / how.rate):
        away = now - SECONDS / 2
        centres = np.stack([320 + speeds * away, 240 + places + 0.06 * first * np.sin(9 * now + phases)], axis=1)
        extents = np.stack([0.8 * sizes, sizes], axis=1)
        boxes = np.concatenate([centres - extents / 2, extents], axis=1)
        covered = overlaps(boxes[:1], boxes[1:])[0, 0] > 0.2
        seen = [
            face
            for face in (0, 1)
            if rng.random() >= how.missed and not (covered and face == hidden) and abs(away) >= dark / 2
        ]
        found = boxes[seen] + rng.normal(0, how.jitter, (len(seen), 4)) * sizes[seen, None]
        for face, name in zip(seen, follow(found, rng.uniform(0.7, 0.95, len(seen)), float(now)), strict=True):
            if name is not None and away < -0.5:
                before[face] = name
            confused |= name is not None and name == before.get(1 - face)
            if name is not None and away > 0.7:
                after[face] = name
    known = set(before.values())
    swapped = any(after.get(face) == before.get(1 - face) and face in after for face in (0, 1))
    return Outcome(swapped, confused, any(name not in known for name in after.values()))
