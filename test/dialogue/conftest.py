"""People in front of a camera, made up."""

import numpy as np
import pytest

from facial_attributes_ros.attributes import LABELS, Distribution
from facial_attributes_ros.dialogue.scene import Cues, Scene, SeenFace

STEP = 0.1


def distribution(task, label=None, probability=0.9, known=True):
    """A label with a probability, the rest shared by the others; without a label it is unknown."""
    if label is None:
        return Distribution.unknown(task)
    labels = LABELS[task]
    values = np.full(len(labels), (1 - probability) / (len(labels) - 1), np.float32)
    values[labels.index(label)] = probability
    return Distribution(task, values, threshold=0.0 if known else 1.0)


def seen_face(
    key="a", x=0.0, size=0.3, *, age=None, gender=None, emotion=None, sure=0.9, known=True, observations=9, **cues
):
    return SeenFace(
        key,
        x,
        0.0,
        size,
        age=distribution("age", age, sure, known),
        gender=distribution("gender", gender, sure, known),
        emotion=distribution("emotion", emotion, sure, known),
        observations=observations,
        cues=Cues(**cues),
    )


class Watcher:
    """Shows scenes, ten per second, to something with `update(scene)`, and keeps what it returns."""

    def __init__(self, watched):
        self.watched, self.now, self.seen = watched, 100.0, []

    def show(self, seconds, *faces, jitter=0.0, seed=0):
        """Show faces for some seconds and return the last answer."""
        rng = np.random.default_rng(seed)
        for _ in range(round(seconds / STEP)):
            moved = [self._moved(face, rng.normal(0.0, jitter, 2)) for face in faces] if jitter else faces
            self.seen.append(self.watched.update(Scene(self.now, {face.id: face for face in moved})))
            self.now += STEP
        return self.seen[-1]

    def _moved(self, face, noise):
        return SeenFace(face.id, face.x + noise[0], face.y, face.size * (1 + noise[1]), cues=face.cues)

    def changes(self):
        """Those of the answers that differ from the one before."""
        return [now for before, now in zip([None, *self.seen], self.seen, strict=False) if now != before]


@pytest.fixture
def seen():
    return seen_face


@pytest.fixture
def watching():
    return Watcher
