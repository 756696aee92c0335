"""A face that may be labelled, and how much a label of it is worth."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from facial_attributes_training.data.manifest import LABEL_COLUMNS
from numpy.typing import NDArray

from facial_attributes_ros.fusion.effective_sample_size import normalised_entropy

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A face in an image, or in one frame of a video.

    Attributes:
        media: absolute path of the image or video.
        face: the JSON form of the face, estimated from this view alone, see `attributes.face_dict`.
        quality: of the view, 0 to 1.
        look: nearly the same for near copies of the face, see `prepare.perceptual_hash.describe`.
        frame: number of the frame in a video, None in an image.
        seconds: time of the frame, None in an image.
        person: identity: the track in a video; empty where it is not known.
        belief: per task, the probabilities of the track, all its views fused; empty where there are none.
    """

    media: str
    face: Mapping[str, Any]
    quality: float
    look: str
    frame: int | None = None
    seconds: float | None = None
    person: str = ""
    belief: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """X, y, width, height in pixels of the image or frame."""
        x, y, width, height = self.face["box"]
        return x, y, width, height

    @property
    def landmarks(self) -> tuple[float, ...] | None:
        """X, y of the five landmarks in turn, None where the detector gives none."""
        points = self.face["landmarks"]
        return None if None in points else tuple(points)

    def view(self, task: str) -> Floats:
        """Return (classes,) the probabilities of a task from this view alone."""
        return np.array([*self.face[f"{LABEL_COLUMNS[task]}_probabilities"].values()], np.float64)

    def hardness(self, tasks: Collection[str]) -> float:
        """Return how much a label is worth, 0 to 1: the mean over the tasks of uncertainty or disagreement.

        A task counts by the larger of the two: the entropy of this view (uncertainty sampling: Lewis and Gale, 1994),
        and the disagreement of this view with the belief about the track (a committee of two: Seung and others, 1992).
        """
        values = [self._task_hardness(task) for task in tasks]
        return float(np.mean(values)) if values else 1.0

    def _task_hardness(self, task: str) -> float:
        view = self.view(task)
        unsure = float(normalised_entropy(view[None])[0])
        return max(unsure, disagreement(view, np.array(self.belief[task]))) if task in self.belief else unsure

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the candidate of a JSON form.

        Raises:
            TypeError: it is none.
        """
        return cls(**values)


def disagreement(one: Floats, other: Floats) -> float:
    """Return the Jensen-Shannon divergence of two distributions (classes,), 0 if they are equal, 1 if disjoint.

    Source: J. Lin, Divergence measures based on the Shannon entropy, 1991; in bits.

    >>> disagreement(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    1.0
    """
    middle = (one + other) / 2
    value = (_bits(middle) - _bits(one) / 2 - _bits(other) / 2).sum()
    return float(np.clip(value, 0.0, 1.0))


def _bits(probabilities: Floats) -> Floats:
    """Return (classes,) what each class adds to the entropy, in bits."""
    return np.asarray(-probabilities * np.log2(np.maximum(probabilities, 1e-300)))


def place_of(candidate: Candidate, folder: Path) -> tuple[str, int | None]:
    """Return where a face was found, with the path relative to a folder, so that both may be moved together."""
    return os.path.relpath(candidate.media, folder), candidate.frame
