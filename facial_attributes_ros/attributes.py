"""Tasks, labels and their order, and the result types of all parts of the package.

The label order is the class index everywhere: in tensors, in messages and in files. Results hold arrays, so they are
compared by identity (`eq=False`): `==`, `in` and sets work on them, and two results of the same values differ.

`face_dict` and `image_dict` define the JSON form of a face and of an image, once for the whole package.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facial_attributes_ros.text import age_text

AGE: Final = "age"
GENDER: Final = "gender"
EMOTION: Final = "emotion"

LABELS: Final[dict[str, tuple[str, ...]]] = {
    AGE: ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70+"),
    GENDER: ("male", "female"),
    EMOTION: ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral"),
}
TASKS: Final[tuple[str, ...]] = tuple(LABELS)

AGE_GROUP_STARTS: Final[tuple[int, ...]] = (0, 3, 10, 20, 30, 40, 50, 60, 70)
"""First year of every age group."""

_KEYS: Final = {AGE: "age_group"}
"""Keys of tasks in JSON that differ from their names: `age` is the age in years there."""

MISSING: Final = -100
"""Class index of a missing label of a sample; losses and metrics ignore it."""

UNKNOWN: Final = 255
"""Class index of an unknown label in messages: not estimated yet, switched off, or not confident enough."""


def age_group_of(years: float) -> int:
    """Return the index of the age group that holds an age in years.

    Raises:
        ValueError: the age is negative or not a number.

    >>> LABELS[AGE][age_group_of(31.5)]
    '30-39'
    """
    if not years >= 0:
        raise ValueError(f"an age is a number of years from 0 on, not {years}")
    return int(np.searchsorted(AGE_GROUP_STARTS, years, side="right")) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """One face found by a detector.

    Attributes:
        box: float32 (4,): x, y, width, height in pixels of the full frame, x to the right, y down; may reach past
            the border.
        score: confidence of the detector, 0 to 1.
        landmarks: float32 (5, 2): x, y in pixels of right eye, left eye, nose, right and left mouth corner (the
            person's own right and left); NaN if the detector has none.
        held: seconds since it was found; above 0 if the tracker predicts where it is now, as a whole: the landmarks
            keep their places in the box.
    """

    box: NDArray[np.float32]
    score: float
    landmarks: NDArray[np.float32] = field(default_factory=lambda: np.full((5, 2), np.nan, np.float32))
    held: float = 0.0

    def __repr__(self) -> str:
        """Return box and score, rounded."""
        return f"Detection(box={_numbers(self.box, 1)}, score={self.score:.2f})"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: box and landmarks (x, y of the five points in turn) in pixels, None where NaN."""
        return {
            "box": _numbers(self.box, 2),
            "detection_confidence": _number(self.score, 4),
            "landmarks": _numbers(self.landmarks, 2),
        }


def names_label(probability: float | np.floating, threshold: float) -> bool:
    """Return True if a label of this probability is known at a threshold; at the threshold 1 no label is known.

    Both are compared as float32, the type of published probabilities and of fitted thresholds.
    """
    return threshold < 1 and bool(np.float32(probability) >= np.float32(threshold))


@dataclass(frozen=True, slots=True, eq=False)
class Distribution:
    """Class probabilities of one task, with the label and the probability that it needs to be known.

    Attributes:
        task: a key of `LABELS`.
        probabilities: float32 (classes,), in the order of `LABELS[task]`, sums to 1.
        threshold: the label is unknown while its probability is below this; with 1 it is always unknown.
        chosen: class index of the label; None for the most probable class. For ages, it is the group of the expected
            age, so that both agree.

    >>> gender = Distribution("gender", np.array([0.3, 0.7], np.float32), threshold=0.6)
    >>> gender
    Distribution(task='gender', label='female', probabilities={'male': 0.3, 'female': 0.7})
    >>> gender.to_dict()
    {'gender': 'female', 'gender_probabilities': {'male': 0.3, 'female': 0.7}}
    >>> Distribution("gender", gender.probabilities, threshold=0.8).label is None
    True
    """

    task: str
    probabilities: NDArray[np.float32]
    threshold: float = 0.0
    chosen: int | None = None

    @property
    def most_probable(self) -> int:
        """Class index with the highest probability, which may differ from that of the label."""
        return int(np.argmax(self.probabilities))

    @property
    def index(self) -> int:
        """Class index of the label, or `UNKNOWN`."""
        return self._class if names_label(self.probabilities[self._class], self.threshold) else UNKNOWN

    @property
    def label(self) -> str | None:
        """The label, or None while it is unknown."""
        index = self.index
        return None if index == UNKNOWN else LABELS[self.task][index]

    @property
    def confidence(self) -> float:
        """Probability of the label, even while it is unknown."""
        return float(self.probabilities[self._class])

    @property
    def _class(self) -> int:
        return self.most_probable if self.chosen is None else self.chosen

    @classmethod
    def unknown(cls, task: str) -> "Distribution":
        """Return the distribution of a task before any estimate: uniform, with an unknown label."""
        classes = len(LABELS[task])
        return cls(task, np.full(classes, 1 / classes, np.float32), threshold=1.0)

    def __repr__(self) -> str:
        """Return task, label and probabilities, rounded."""
        values = _by_label(self.task, self.probabilities, 3)
        return f"Distribution(task={self.task!r}, label={self.label!r}, probabilities={values})"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: the label, None while it is unknown, and the probabilities by label."""
        return _task_dict(self.task, self.label, self.probabilities)


@dataclass(frozen=True, slots=True, eq=False)
class FaceAttributes:
    """Age, gender and emotion of one face.

    Attributes:
        id: begins with a letter, stable while the face is tracked, independent of the person's identity.
        detection: box, score and landmarks in the frame.
        age: expected age in years, to hundredths; NaN while unknown.
        age_stddev: standard deviation of that age in years, NaN while unknown.
        age_group: distribution over the nine age groups; its label is the group of `age`, and unknown if `age_stddev`
            is too large for it.
        gender: distribution over male and female.
        emotion: distribution over the seven emotions.
        observations: number of model estimates fused into the attributes.
        updated: time in seconds of the frame that last changed the attributes.
    """

    id: str
    detection: Detection
    age: float
    age_stddev: float
    age_group: Distribution
    gender: Distribution
    emotion: Distribution
    observations: int
    updated: float

    def __repr__(self) -> str:
        """Return id, box, age and labels."""
        return (
            f"FaceAttributes(id={self.id!r}, box={_numbers(self.detection.box, 1)}, "
            f"age={age_text(self.age, self.age_stddev)!r}, age_group={self.age_group.label!r}, "
            f"gender={self.gender.label!r}, emotion={self.emotion.label!r}, observations={self.observations})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form of the face, see `face_dict`."""
        distributions = (self.age_group, self.gender, self.emotion)
        return face_dict(
            face_id=self.id,
            detection=self.detection,
            age=self.age,
            age_stddev=self.age_stddev,
            labels={distribution.task: distribution.label for distribution in distributions},
            probabilities={distribution.task: distribution.probabilities for distribution in distributions},
            observations=self.observations,
        )


def face_dict(
    *,
    face_id: str,
    detection: Detection,
    age: float,
    age_stddev: float,
    labels: Mapping[str, str | None],
    probabilities: Mapping[str, ArrayLike],
    observations: int,
) -> dict[str, Any]:
    """Return the JSON form of a face; numbers are rounded, and None where they are not finite.

    Args:
        face_id: as in `FaceAttributes`.
        detection: likewise.
        age: expected age in years.
        age_stddev: its standard deviation in years.
        labels: per task, None where the label is unknown.
        probabilities: per task, (classes,).
        observations: as in `FaceAttributes`.
    """
    result: dict[str, Any] = {
        "id": face_id,
        **detection.to_dict(),
        "age": _number(age, 4),
        "age_stddev": _number(age_stddev, 4),
    }
    for task in TASKS:
        result |= _task_dict(task, labels[task], probabilities[task])
    return result | {"observations": int(observations)}


def image_dict(
    faces: Sequence[Mapping[str, Any]], width: int, height: int, model: str, **source: Any
) -> dict[str, Any]:
    """Return the JSON form of an image or a frame.

    Args:
        faces: the JSON form of every face, see `face_dict`.
        width: of the image in pixels.
        height: of the image in pixels.
        model: name of the model.
        source: where the image comes from: `path`, or `stamp` in seconds, or both.
    """
    return {**source, "width": width, "height": height, "faces": list(faces), "model": model}


def json_key(task: str) -> str:
    """Return the key of a task's label in the JSON form of a face; that of its probabilities adds `_probabilities`.

    >>> json_key("age"), json_key("emotion")
    ('age_group', 'emotion')
    """
    return _KEYS.get(task, task)


def _task_dict(task: str, label: str | None, probabilities: ArrayLike) -> dict[str, Any]:
    key = json_key(task)
    return {key: label, f"{key}_probabilities": _by_label(task, probabilities, 6)}


def _by_label(task: str, probabilities: ArrayLike, digits: int) -> dict[str, float | None]:
    return dict(zip(LABELS[task], _numbers(probabilities, digits), strict=True))


def _numbers(values: ArrayLike, digits: int) -> list[float | None]:
    return [_number(value, digits) for value in np.asarray(values).ravel().tolist()]


def _number(value: float, digits: int) -> float | None:
    return round(float(value), digits) if math.isfinite(value) else None
