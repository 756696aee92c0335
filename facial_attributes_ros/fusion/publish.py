"""From the distributions of one face to its published attributes, in streams and in single images alike."""

import math
from collections.abc import Mapping
from dataclasses import replace

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, Detection, Distribution, FaceAttributes
from facial_attributes_ros.fusion.age import published_age
from facial_attributes_ros.models.age_bands import BANDS, CLEAR, gender_thresholds, youngest_plausible
from facial_attributes_ros.models.spec import ModelSpec


def face_attributes(
    face_id: str,
    detection: Detection,
    distributions: Mapping[str, Distribution],
    spec: ModelSpec,
    observations: int,
    updated: float,
    quality: float = 1.0,
) -> FaceAttributes:
    """Return the attributes of one face from its distributions; a task that is not among them is unknown.

    Args:
        face_id: of the face.
        detection: where the face is.
        distributions: per task.
        spec: of the model that they are from.
        observations: number of model estimates that they rest on.
        updated: time in seconds of the last of them.
        quality: of the view in a single image, 0 to 1. In a stream a poor view counts less in the belief, and this
            stays at 1.
    """
    age, deviation, age_group = math.nan, math.nan, Distribution.unknown(AGE)
    if AGE in distributions:
        age, deviation, age_group = published_age(distributions[AGE], spec)
    gender = Distribution.unknown(GENDER)
    if GENDER in distributions:
        gender = _published_gender(distributions[GENDER], distributions.get(AGE), spec, quality)
    return FaceAttributes(
        id=face_id,
        detection=detection,
        age=age,
        age_stddev=deviation,
        age_group=age_group,
        gender=gender,
        emotion=distributions.get(EMOTION) or Distribution.unknown(EMOTION),
        observations=observations,
        updated=updated,
    )


def _published_gender(gender: Distribution, ages: Distribution | None, spec: ModelSpec, quality: float) -> Distribution:
    """Return the gender with the threshold that the estimated age and the quality of the view ask for."""
    known = None if ages is None else ages.probabilities[None]
    if known is not None and quality >= CLEAR and youngest_plausible(known)[0] == len(BANDS) - 1:
        # The adults' threshold is in the distribution already, with the hysteresis of streams.
        return gender
    least = float(gender_thresholds(spec.gender_thresholds, known, quality)[0])
    return replace(gender, threshold=max(gender.threshold, least))
