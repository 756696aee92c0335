"""Made-up scenes for the dialogue: people who come, stand, change places and leave, before a camera that may pan.

What the camera sees of a person is exact up to jitter. What the model predicts of them is made as in
`estimate_streams`, from the confusions of `small`, and fused as the node fuses it, so that labels err and settle as
they do on a robot.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from estimate_streams import STEP, points, stream
from numpy.typing import NDArray

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, LABELS, Detection, age_group_of
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


def play(scene: Play, runs: Sequence[int] = (0,)) -> Iterator[list[Moment]]:
    """Yield the frames of several runs of a scene, ten per second, one moment a run.

    Args:
        scene: the scene.
        runs: seeds of the randomness. The runs are fused together, which is as fast as one.
    """
    spec = ModelSpec.read(model_folder("small"))
    # Made-up predictions have no resting face that the model's constants would describe.
    beliefs = Beliefs(spec, FusionOptions(resting_face=False))
    stages = [_Stage(scene, seed) for seed in runs]
    for frame in range(round(scene.seconds / STEP)):
        now = frame * STEP
        shown = [stage.enter(now) for stage in stages]
        keys = [key for one in shown for key in one]
        if keys:
            rows = [row for stage, one in zip(stages, shown, strict=True) for row in stage.rows(one, frame)]
            estimates = {task: np.array([row[task] for row in rows]) for task in LABELS}
            beliefs.update(keys, estimates, now, np.ones(len(keys)), spec.thresholds)
        beliefs.keep(keys)
        yield [stage.moment(one, beliefs, frame) for stage, one in zip(stages, shown, strict=True)]


class _Stage:
    """One run of a scene: where its actors are, and under which ids."""

    def __init__(self, scene: Play, seed: int) -> None:
        self._scene, self._seed = scene, seed
        self._rng = np.random.default_rng(seed)
        frames = round(scene.seconds / STEP)
        self._predictions = [_predictions(self._rng, actor, frames) for actor in scene.actors]
        self._ids = [0] * len(scene.actors)
        self._last = [-1e9] * len(scene.actors)

    def enter(self, now: float) -> dict[str, int]:
        """Return the ids of the actors in view with their numbers; whoever was away or lost gets a new id."""
        seen = {}
        for number, actor in enumerate(self._scene.actors):
            if not _value(actor.size, now):
                continue
            lost = any(self._last[number] < time <= now for time in actor.new_ids)
            self._ids[number] += lost or now - self._last[number] > DEATH
            self._last[number] = now
            seen[f"{actor.name}{self._ids[number]}.{self._seed}"] = number
        return seen

    def rows(self, seen: Mapping[str, int], frame: int) -> Iterator[dict[str, NDArray[np.float64]]]:
        """Yield the predictions of a frame, per task, for every actor in view."""
        for number in seen.values():
            yield {task: self._predictions[number][task][frame] for task in LABELS}

    def moment(self, seen: Mapping[str, int], beliefs: Beliefs, frame: int) -> Moment:
        """Return the frame."""
        now, scene = frame * STEP, self._scene
        faces, cues = [], {}
        for key, number in seen.items():
            actor = scene.actors[number]
            detection = Detection(_box(self._rng, actor, scene.pan(now), now), 0.95)
            faces.append(beliefs.attributes(key, 0.0, detection, tuple(LABELS), beliefs.spec.thresholds))
            if actor.distance:
                cues[key] = Cues(distance=_value(actor.distance, now))
        single = {
            key: {task: LABELS[task][int(row[task].argmax())] for task in LABELS}
            for key, row in zip(seen, self.rows(seen, frame), strict=True)
        }
        names = {key: scene.actors[number].name for key, number in seen.items()}
        return Moment(scene_of_faces(faces, SIZE, now, cues), single, names, wanted_name(scene, now))


def wanted_name(scene: Play, now: float) -> str:
    """Return the name of the person in front at a time."""
    return _latest(scene.speaks_with, now)


def emotion_of(actor: Actor, now: float) -> str:
    """Return the emotion that an actor's face shows at a time."""
    return _latest(actor.emotions, now) or "neutral"


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
        task: stream(rng, _points(task), classes[None], "drifting", stays=0.3)[0] for task, classes in truth.items()
    }
    if actor.resting:
        # The model takes the face at rest for another emotion about half of the time.
        at_rest = truth[EMOTION] == emotions.index("neutral")
        found[EMOTION][at_rest, emotions.index(actor.resting)] += 1.5 * found[EMOTION][at_rest, -1]
        found[EMOTION] /= found[EMOTION].sum(axis=1, keepdims=True)
    return found


@functools.cache
def _points(task: str) -> NDArray[np.float64]:
    return points(task)


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
