"""Measuring how a model's emotion logits depend on the person, and a copy of the model that holds the result.

The means of the emotions are taken over sources, each counted alike, and the correlation within people over images of
one source, so that neither is a fact of one collection. The variance around the means includes the difference between
sources: the camera and the place of use differ from all of them, too. One variance for all directions is measured
instead of full covariance matrices: the few people of whom several images are known do not carry more, and on people
of sources left out it separated the emotions better (`docs/fusion.md`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from facial_attributes_training.data.manifest import IDENTITY
from facial_attributes_training.measure.predictions import Predictions
from facial_attributes_training.measure.recalibration import check_target, write_copy
from numpy.typing import NDArray

from facial_attributes_ros.attributes import EMOTION, LABELS, MISSING
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.provenance import Parent, today
from facial_attributes_ros.models.resting_face import RestingFaceFacts
from facial_attributes_ros.models.spec import ModelSpec

FEWEST_IMAGES = 20
"""Images that every emotion needs."""
FEWEST_PEOPLE = 10
"""People with two neutral images, and with a neutral and another one, that the correlations need."""
_FEWEST_IN_CELL = 5
"""Images of one emotion in one source from which on their mean counts."""
_NEUTRAL = LABELS[EMOTION].index("neutral")
_DIRECTIONS = len(LABELS[EMOTION]) - 1
_MARK = "+resting-face"


@dataclass(frozen=True, slots=True, eq=False)
class LabelledLogits:
    """Emotion logits of labelled images.

    Attributes:
        logits: float64 (images, emotions), centred so that each row sums to 0; not divided by a temperature.
        emotions: int (images,) true classes.
        sources: str (images,).
        people: str (images,), unique over all sources; empty where the person is not known.
    """

    logits: NDArray[np.float64]
    emotions: NDArray[np.int64]
    sources: NDArray[np.str_]
    people: NDArray[np.str_]

    @classmethod
    def of(cls, predictions: Predictions) -> "LabelledLogits":
        """Return the samples of predictions that have an emotion."""
        manifest = predictions.manifest
        rows = manifest.labels[EMOTION] != MISSING
        logits = predictions.logits[EMOTION][rows].astype(np.float64)
        sources = manifest.sources[rows]
        identity = manifest.extra.get(IDENTITY, np.full(len(manifest), ""))[rows]
        people = np.where(identity == "", "", np.char.add(np.char.add(sources, "/"), identity))
        centred = logits - logits.mean(axis=1, keepdims=True)
        return cls(centred, manifest.labels[EMOTION][rows], sources, people)


def measure_resting_face(samples: LabelledLogits) -> RestingFaceFacts:
    """Return the facts about a model's emotion logits.

    Args:
        samples: of people that the model was not trained on.

    Raises:
        UserError: an emotion has too few images, or too few people have several.
    """
    counts = np.bincount(samples.emotions, minlength=len(LABELS[EMOTION]))
    if (counts < FEWEST_IMAGES).any():
        few = ", ".join(label for label, count in zip(LABELS[EMOTION], counts, strict=True) if count < FEWEST_IMAGES)
        raise UserError(f"the resting face needs at least {FEWEST_IMAGES} images of every emotion; too few of {few}.")
    means = np.stack([_mean_over_sources(samples, emotion) for emotion in range(len(counts))])
    residuals = samples.logits - means[samples.emotions]
    cells = [(residuals[cell] ** 2).sum(axis=1).mean() for cell in _cells(samples)]
    variance = float(np.mean(cells)) / _DIRECTIONS
    at_rest, otherwise, people = _covariances(samples)
    correlation = float(np.clip(at_rest / variance, 0.0, 0.95))
    coupling = float(np.clip(otherwise / at_rest, 0.0, 1.0)) if at_rest > 0 else 0.0
    rounded = tuple(tuple(round(float(value), 4) for value in row) for row in means)
    return RestingFaceFacts(
        rounded, round(variance, 4), round(correlation, 4), round(coupling, 4), people, len(samples.emotions)
    )


def save_resting_face(source: Path, target: Path, predictions: Predictions, command: str = "") -> RestingFaceFacts:
    """Write a copy of a model with the facts about its emotion logits, and return them.

    Args:
        source: folder of the model.
        target: folder to write, which must not exist yet.
        predictions: of labelled images, with the column `identity`.
        command: the command line, for the model's provenance.

    Raises:
        UserError: there are too few images or people, the model does not estimate all emotions, or the folder cannot
            be written.
    """
    check_target(source, target)
    spec = ModelSpec.identified(source)
    if EMOTION not in spec.tasks or EMOTION in spec.untrained_labels:
        raise UserError(f"the resting face needs a model of all emotions, and {spec.title} has not learnt them all.")
    facts = measure_resting_face(LabelledLogits.of(predictions))
    changed = replace(
        spec,
        resting_face=facts,
        version=spec.version.removesuffix(_MARK) + _MARK,
        parent=Parent(spec.name, spec.version, spec.sha256),
        date=today(),
        commands=(*spec.commands, *([command] if command else [])),
    )
    write_copy(source, target, changed)
    return facts


def _cells(samples: LabelledLogits) -> Iterator[NDArray[np.bool_]]:
    """Yield bool (images,) for every emotion of every source that has enough images."""
    for source in np.unique(samples.sources):
        for emotion in range(len(LABELS[EMOTION])):
            cell = (samples.sources == source) & (samples.emotions == emotion)
            if cell.sum() >= _FEWEST_IN_CELL:
                yield cell


def _mean_over_sources(samples: LabelledLogits, emotion: int) -> NDArray[np.float64]:
    """Return the mean of the sources' means, or of all images if no source has enough."""
    means = [samples.logits[cell].mean(axis=0) for cell in _cells(samples) if samples.emotions[cell][0] == emotion]
    return np.asarray(np.mean(means, axis=0) if means else samples.logits[samples.emotions == emotion].mean(axis=0))


def _covariances(samples: LabelledLogits) -> tuple[float, float, int]:
    """Return what two images of one person have in common, in one direction, and the number of people.

    Returns:
        The covariance between two neutral images, that between a neutral image and one of another emotion, and how
        many people have two neutral images.

    Raises:
        UserError: too few people have such pairs.
    """
    residuals = np.full_like(samples.logits, np.nan)
    for cell in _cells(samples):
        residuals[cell] = samples.logits[cell] - samples.logits[cell].mean(axis=0)
    usable = np.isfinite(residuals).all(axis=1) & (samples.people != "")
    at_rest, otherwise, images = [], [], []
    for person in np.unique(samples.people[usable]):
        own = usable & (samples.people == person)
        neutral = residuals[own & (samples.emotions == _NEUTRAL)]
        others = residuals[own & (samples.emotions != _NEUTRAL)]
        if len(neutral) > 1:
            total = neutral.sum(axis=0)
            at_rest.append((total @ total - (neutral**2).sum()) / (len(neutral) - 1))
            images.append(len(neutral))
        if len(neutral) and len(others):
            otherwise.append(float(neutral.mean(axis=0) @ others.mean(axis=0)))
    if min(len(at_rest), len(otherwise)) < FEWEST_PEOPLE:
        raise UserError(
            f"the resting face needs {FEWEST_PEOPLE} people with two neutral images and as many with a neutral image "
            f"and another one (column {IDENTITY} of the manifest); there are {len(at_rest)} and {len(otherwise)}."
        )
    covariance = float(np.sum(at_rest) / np.sum(images)) / _DIRECTIONS
    return covariance, float(np.mean(otherwise)) / _DIRECTIONS, len(at_rest)
