"""Made-up scenes for the dialogue: people who come, stand, change places and leave, before a camera that may pan.

What the camera sees of a person is exact up to jitter. What the model predicts of them is made as in
`estimate_streams`, from the confusions of `small`, and fused as the node fuses it, so that labels err and settle as
they do on a robot.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from estimate_streams import STEP, points, stream
from numpy.typing import NDArray

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, LABELS, Detection, FaceAttributes, age_group_of
from facial_attributes_ros.dialogue.scene import Cues, Scene, scene_of_faces
from facial_attributes_ros.fusion.beliefs import Beliefs
from facial_attributes_ros.models.registry import model_folder
from facial_attributes_ros.models.spec import ModelSpec
from facial_attributes_ros.options import FusionOptions

SIZE = (640, 480)
"""Of the image in pixels."""
DEATH = 1.5
"""Seconds after which somebody who was out of view comes back with another id."""
Course = Sequence[tuple[float, float]]
"""Times and values; between two times the value changes evenly."""


@dataclass(frozen=True)
class Actor:
    """Somebody in a scene.

    Attributes:
        name: of the person.
        years: age.
        gender: male or female.
        x: course of the face's place, in image heights from the middle of the scene, to the right.
        size: course of the face's size in image heights; 0 is out of view.
        emotions: times from which on the face shows an emotion; neutral before the first.
        new_ids: times at which the tracker loses the person and begins anew.
        resting: emotion that the face at rest resembles; empty for none.
        distance: course of the distance in metres; empty if it is not known.
    """

    name: str
    years: float = 35.0
    gender: str = "female"
    x: Course = ((0.0, 0.0),)
    size: Course = ((0.0, 0.3),)
    emotions: Sequence[tuple[float, str]] = ()
    new_ids: Sequence[float] = ()
    resting: str = ""
    distance: Course = ()


@dataclass(frozen=True)
class Play:
    """A scene with its people.

    Attributes:
        title: of the scene.
        seconds: that it lasts.
        actors: the people.
        speaks_with: times from which on somebody is in front, by name; an empty name for nobody.
        pan: how far the camera has turned at a time, in image heights.
    """

    title: str
    seconds: float
    actors: Sequence[Actor]
    speaks_with: Sequence[tuple[float, str]]
    pan: Callable[[float], float] = field(default=lambda _: 0.0)


@dataclass(frozen=True, eq=False)
class Moment:
    """One frame of a scene.

    Attributes:
        scene: as the dialogue sees it.
        single: per face id, per task, the most probable label of this frame's prediction alone.
        names: names of the actors by their ids.
        wanted: name of the person whom the robot should speak with; empty for nobody.
    """

    scene: Scene
    single: Mapping[str, Mapping[str, str]]
    names: Mapping[str, str]
    wanted: str


def play(scene: Play, seed: int = 0) -> Iterator[Moment]:
    """Yield the frames of a scene, ten per second."""
    rng = np.random.default_rng(seed)
    frames = round(scene.seconds / STEP)
    spec = ModelSpec.read(model_folder("small"))
    # Made-up predictions have no resting face that the model's constants would describe.
    beliefs = Beliefs(spec, FusionOptions(resting_face=False))
    predictions = [_predictions(rng, actor, frames) for actor in scene.actors]
    ids, last = [0] * len(scene.actors), [-1e9] * len(scene.actors)
    for frame in range(frames):
        now = frame * STEP
        seen = []
        for number, actor in enumerate(scene.actors):
            if not _value(actor.size, now):
                continue
            lost = any(last[number] < time <= now for time in actor.new_ids)
            ids[number] += lost or now - last[number] > DEATH
            last[number] = now
            seen.append(number)
        keys = {number: f"{scene.actors[number].name}{ids[number]}" for number in seen}
        estimates = {task: np.array([predictions[number][task][frame] for number in seen]) for task in LABELS}
        if seen:
            beliefs.update(list(keys.values()), estimates, now, np.ones(len(seen)), spec.thresholds)
        beliefs.keep(list(keys.values()) if seen else [])
        faces, cues = [], {}
        for number in seen:
            actor = scene.actors[number]
            face = _attributes(beliefs, spec, keys[number], _box(rng, actor, scene.pan(now), now))
            faces.append(face)
            if actor.distance:
                cues[keys[number]] = Cues(distance=_value(actor.distance, now))
        yield Moment(
            scene_of_faces(faces, SIZE, now, cues),
            {
                keys[number]: {task: LABELS[task][int(predictions[number][task][frame].argmax())] for task in LABELS}
                for number in seen
            },
            {keys[number]: scene.actors[number].name for number in seen},
            _latest(scene.speaks_with, now),
        )


def emotion_of(actor: Actor, now: float) -> str:
    """Return the emotion that an actor's face shows at a time."""
    return _latest(actor.emotions, now) or "neutral"


def _attributes(beliefs: Beliefs, spec: ModelSpec, key: str, box: NDArray[np.float32]) -> FaceAttributes:
    return beliefs.attributes(key, 0.0, Detection(box, 0.95), tuple(LABELS), spec.thresholds)


def _box(rng: np.random.Generator, actor: Actor, pan: float, now: float) -> NDArray[np.float32]:
    size = _value(actor.size, now) * SIZE[1] * (1 + 0.02 * rng.normal())
    centre = SIZE[0] / 2 + SIZE[1] * (_value(actor.x, now) - pan) + 1.5 * rng.normal()
    return np.array([centre - size / 2, SIZE[1] / 2 - size / 2, size, size], np.float32)


def _predictions(rng: np.random.Generator, actor: Actor, frames: int) -> dict[str, NDArray[np.float64]]:
    """Return (frames, classes) predictions per task."""
    emotions = LABELS[EMOTION]
    truth = {
        AGE: np.full(frames, age_group_of(actor.years)),
        GENDER: np.full(frames, LABELS[GENDER].index(actor.gender)),
        EMOTION: np.array([emotions.index(emotion_of(actor, frame * STEP)) for frame in range(frames)]),
    }
    found = {
        task: stream(rng, points(task), classes[None], "drifting", stays=0.3)[0] for task, classes in truth.items()
    }
    if actor.resting:
        # The model takes the face at rest for another emotion about half of the time.
        at_rest = truth[EMOTION] == emotions.index("neutral")
        found[EMOTION][at_rest, emotions.index(actor.resting)] += 1.5 * found[EMOTION][at_rest, -1]
        found[EMOTION] /= found[EMOTION].sum(axis=1, keepdims=True)
    return found


def _value(course: Course, now: float) -> float:
    times, values = zip(*course, strict=True)
    return float(np.interp(now, times, values))


def _latest(marks: Sequence[tuple[float, str]], now: float) -> str:
    return next((value for time, value in reversed(marks) if time <= now), "")


def _steps(*marks: tuple[float, float]) -> Course:
    """Return a course that jumps at the given times."""
    course: list[tuple[float, float]] = []
    for time, value in marks:
        if course:
            course.append((time - 0.05, course[-1][1]))
        course.append((time, value))
    return course


PLAYS: tuple[Play, ...] = (
    Play(
        "two people side by side",
        120.0,
        (Actor("a", x=((0, -0.22),)), Actor("b", 42.0, "male", x=((0, 0.22),))),
        ((0.0, "either"),),
    ),
    Play(
        "a child joins, then steps in front",
        90.0,
        (
            Actor("a", x=((0, 0.0), (20, 0.0), (22, -0.3)), size=((0, 0.3), (50, 0.3), (53, 0.2))),
            Actor(
                "c",
                6.0,
                "male",
                x=((0, 0.4), (50, 0.4), (53, 0.05)),
                size=_steps((0, 0), (20, 0.2), (50, 0.2), (53, 0.34)),
            ),
        ),
        ((0.0, "a"), (53.0, "c")),
    ),
    Play(
        "somebody leaves and returns; an id is lost",
        90.0,
        (Actor("a", size=_steps((0, 0.3), (20, 0), (35, 0.3)), new_ids=(60.0,)),),
        ((0.0, "a"), (20.0, ""), (35.0, "a")),
    ),
    Play(
        "the camera pans",
        120.0,
        (Actor("a", x=((0, -0.2),), size=((0, 0.3),)), Actor("b", 42.0, "male", x=((0, 0.25),), size=((0, 0.27),))),
        ((0.0, "a"),),
        lambda now: 0.3 * float(np.sin(now / 4)),
    ),
    Play(
        "somebody passes in front",
        60.0,
        (
            Actor("a", size=_steps((0, 0.25), (20.4, 0), (21.2, 0.25), (40.4, 0), (41.2, 0.25))),
            Actor(
                "p",
                30.0,
                "male",
                x=((19.5, -0.8), (22, 0.8), (39.5, 0.8), (42, -0.8)),
                size=_steps((0, 0), (19.5, 0.4), (22, 0), (39.5, 0.4), (42, 0)),
            ),
        ),
        ((0.0, "a"),),
    ),
    Play("a face that looks sad at rest", 120.0, (Actor("a", resting="sad"),), ((0.0, "a"),)),
    Play(
        "somebody turns sad for a while",
        120.0,
        (Actor("a", emotions=((30.0, "happy"), (40.0, "neutral"), (60.0, "sad"), (80.0, "neutral"))),),
        ((0.0, "a"),),
    ),
    Play(
        "an older adult with a grandchild beside",
        90.0,
        (
            Actor("o", 74.0, "male", x=((0, -0.15),), size=((0, 0.32),)),
            Actor("c", 7.0, x=((0, 0.25),), size=((0, 0.22),)),
        ),
        ((0.0, "o"),),
    ),
)
"""The scenes of `docs/dialogue.md`."""
