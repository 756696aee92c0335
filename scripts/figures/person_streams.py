"""Streams made of real images of one person each, whose true emotion is known in every frame.

Every image was predicted in several views (`person_views.py`). A stream changes between the person's images as an
emotion changes, and between the views of an image from frame to frame.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import EMOTION, LABELS

RATE: Final = 5.0
"""Frames per second."""
NEUTRAL, SAD = (LABELS[EMOTION].index(label) for label in ("neutral", "sad"))
_SETTLED: Final = 30.0
"""Seconds at the beginning of a stream that are not counted."""
_CHANGING: Final = 1.0
"""Seconds after a change that are not counted."""

Episodes = Callable[[np.random.Generator, set[int]], Iterator[tuple[int, float]]]
"""Given the emotions of which there are images, yields (emotion, seconds)."""


@dataclass(frozen=True, slots=True, eq=False)
class PersonViews:
    """Emotion logits of several views of labelled images.

    Attributes:
        logits: float64 (images, views, emotions), NaN where an image has no such view.
        kinds: str (views,): `plain`, `jitter`, `turn` (the head is turned) or `light` (lit from one side).
        emotions: int (images,) true classes.
        sources: str (images,).
        people: str (images,), empty where the person is not known.
    """

    logits: NDArray[np.float64]
    kinds: NDArray[np.str_]
    emotions: NDArray[np.int64]
    sources: NDArray[np.str_]
    people: NDArray[np.str_]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` has written."""
        with np.load(path) as file:
            return cls(**{name: file[name] for name in ("logits", "kinds", "emotions", "sources", "people")})

    def write(self, path: Path) -> None:
        """Write all arrays to a compressed file."""
        names = ("logits", "kinds", "emotions", "sources", "people")
        np.savez_compressed(path, **{name: getattr(self, name) for name in names})

    def people_of(self, sources: set[str], emotions: set[int]) -> list[str]:
        """Return the people of some sources of whom there is an image of every one of some emotions."""
        rows = np.isin(self.sources, list(sources)) & (self.people != "")
        own = {person: set(self.emotions[rows & (self.people == person)]) for person in np.unique(self.people[rows])}
        return [str(person) for person, found in own.items() if emotions <= found]


@dataclass(frozen=True, slots=True, eq=False)
class Streams:
    """Streams of several people.

    Attributes:
        logits: float64 (people, frames, emotions).
        truth: int (people, frames) true classes.
    """

    logits: NDArray[np.float64]
    truth: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Score:
    """How well labels follow the truth.

    Attributes:
        neutral: fraction of the time at rest that is labelled neutral.
        sad_at_rest: fraction of the time at rest that is labelled sad.
        others: mean recall of the other emotions, over the time.
        sad: fraction of the time of sad faces that is labelled sad.
        delay: median seconds until a change is followed, of those that are followed at all.
        changes: label changes per minute.
    """

    neutral: float
    sad_at_rest: float
    others: float
    sad: float
    delay: float
    changes: float


def everyday(rng: np.random.Generator, emotions: set[int]) -> Iterator[tuple[int, float]]:
    """Yield episodes of somebody who is at rest 70 % of the time, with bursts of four seconds on average."""
    others = sorted(emotions - {NEUTRAL})
    while True:
        yield NEUTRAL, rng.exponential(4 * 0.7 / 0.3)
        yield int(rng.choice(others)), 1 + rng.exponential(3)


def only(emotion: int) -> Episodes:
    """Return the episodes of somebody who has one emotion throughout."""

    def episodes(_rng: np.random.Generator, _emotions: set[int]) -> Iterator[tuple[int, float]]:
        while True:
            yield emotion, 8.0

    return episodes


def sad_with_neutral(rng: np.random.Generator, _emotions: set[int]) -> Iterator[tuple[int, float]]:
    """Yield episodes of somebody who is sad 90 % of the time and neutral otherwise."""
    while True:
        yield (NEUTRAL if rng.random() < 0.1 else SAD), 2.0


def make_streams(
    views: PersonViews,
    people: list[str],
    rng: np.random.Generator,
    episodes: Episodes = everyday,
    seconds: float = 120.0,
    kinds: tuple[str, ...] = ("plain", "jitter"),
) -> Streams:
    """Return a stream of each person.

    Args:
        views: to take from.
        people: one or several times each.
        rng: source of randomness.
        episodes: what the person does.
        seconds: length of the streams.
        kinds: of views that are shown.
    """
    frames = round(seconds * RATE)
    logits = np.empty((len(people), frames, views.logits.shape[2]))
    truth = np.empty((len(people), frames), np.int64)
    for row, person in enumerate(people):
        images = np.flatnonzero(views.people == person)
        start = 0
        for emotion, length in episodes(rng, set(views.emotions[images])):
            image = rng.choice(images[views.emotions[images] == emotion])
            stop = min(start + max(1, round(length * RATE)), frames)
            shown = views.logits[image][np.isin(views.kinds, kinds)]
            shown = shown[np.isfinite(shown).all(axis=1)]
            logits[row, start:stop] = shown[_held(rng, stop - start, len(shown))]
            truth[row, start:stop] = emotion
            start = stop
            if start == frames:
                break
    return Streams(logits, truth)


def _held(rng: np.random.Generator, frames: int, count: int) -> NDArray[np.int64]:
    """Return (frames,) random indices below a count, each of which is held for two frames on average."""
    drawn, begins = rng.integers(count, size=frames), rng.random(frames) < 0.5
    begins[0] = True
    return drawn[np.maximum.accumulate(np.where(begins, np.arange(frames), 0))]


def score(labels: NDArray[np.int64], truth: NDArray[np.int64], settled: float = _SETTLED) -> Score:
    """Compare (people, frames) labels, which may be unknown, with the truth."""
    changed = np.zeros(truth.shape, bool)
    changed[:, 1:] = truth[:, 1:] != truth[:, :-1]
    counted = np.ones(truth.shape, bool)
    for frame in range(round(_CHANGING * RATE)):
        counted[:, frame:] &= ~changed[:, : truth.shape[1] - frame]
    counted[:, : round(settled * RATE)] = False

    def fraction(emotion: int, label: int) -> float:
        rows = counted & (truth == emotion)
        return float((labels[rows] == label).mean()) if rows.any() else np.nan

    others = [fraction(emotion, emotion) for emotion in range(len(LABELS[EMOTION])) if emotion != NEUTRAL]
    return Score(
        neutral=fraction(NEUTRAL, NEUTRAL),
        sad_at_rest=fraction(NEUTRAL, SAD),
        others=float(np.nanmean(others)) if np.isfinite(others).any() else np.nan,
        sad=fraction(SAD, SAD),
        delay=_delay(labels, truth, changed, round(settled * RATE)),
        changes=float((labels[:, 1:] != labels[:, :-1])[:, round(settled * RATE) :].mean() * RATE * 60),
    )


def _delay(labels: NDArray[np.int64], truth: NDArray[np.int64], changed: NDArray[np.bool_], settled: int) -> float:
    """Return the median seconds until a label follows a change, if it was correct before and ever is after it."""
    delays = []
    for row, frame in zip(*np.nonzero(changed[:, settled:]), strict=True):
        begin = int(frame) + settled
        if labels[row, begin - 1] != truth[row, begin - 1]:
            continue
        after = np.flatnonzero(truth[row, begin:] != truth[row, begin])
        stop = begin + int(after[0]) if len(after) else truth.shape[1]
        right = np.flatnonzero(labels[row, begin:stop] == truth[row, begin])
        if len(right):
            delays.append((right[0] + 1) / RATE)
    return float(np.median(delays)) if delays else np.nan
