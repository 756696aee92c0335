"""The offset of a person's resting face, filtered together with the emotion."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from facial_attributes_ros.attributes import EMOTION, LABELS
from facial_attributes_ros.fusion.belief import Dynamics, TaskBelief
from facial_attributes_ros.fusion.beliefs import Beliefs
from facial_attributes_ros.fusion.resting_face import OffsetModel, RestingFaces
from facial_attributes_ros.models.resting_face import RestingFaceFacts
from facial_attributes_ros.options import FusionOptions

SURPRISE, HAPPY, SAD, NEUTRAL = (LABELS[EMOTION].index(label) for label in ("surprise", "happy", "sad", "neutral"))
MEANS = 4 * (np.eye(7) - 1 / 7)
FACTS = RestingFaceFacts(tuple(map(tuple, MEANS)), variance=2.0, intraclass_correlation=0.4, coupling=0.5)
MODEL = OffsetModel.of(FACTS, temperature=1.0)
OPTIONS = FusionOptions()
LOWEST = dict.fromkeys(LABELS, 0.0)
TO_SAD = 2.6 * (np.eye(7)[SAD] - np.eye(7)[NEUTRAL])
"""The offset of somebody who looks more sad than neutral at rest."""

logits = hnp.arrays(np.float64, 7, elements=st.floats(-8, 8))
times = st.lists(st.floats(0.01, 5), min_size=1, max_size=10).map(np.cumsum)


def softmax(values):
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def beliefs(make_engine, facts=FACTS, **options):
    spec = dataclasses.replace(make_engine.spec, resting_face=facts, temperatures=dict.fromkeys(LABELS, 1.0))
    return Beliefs(spec, dataclasses.replace(OPTIONS, **options))


def watch(belief, views, track="a", start=0.0, rate=5):
    """Update a belief with (views, 7) logits and return the labels."""
    labels = []
    for count, view in enumerate(views):
        belief.update([track], {EMOTION: softmax(view)[None]}, start + count / rate, [1.0], LOWEST)
        face = belief.attributes(track, 0.0, None, {EMOTION}, LOWEST)
        labels.append(face.emotion.label)
    return labels


def person(states, offset=TO_SAD, noise=0.5, seed=0):
    """Return logits of a person with an offset in a sequence of emotions."""
    rng = np.random.default_rng(seed)
    share = np.where(np.asarray(states) == NEUTRAL, 1.0, FACTS.coupling)[:, None]
    return MEANS[states] + share * offset + noise * rng.normal(size=(len(states), 7))


EPISODES = [NEUTRAL] * 40 + [HAPPY] * 15 + [NEUTRAL] * 40 + [SURPRISE] * 15 + [NEUTRAL] * 40 + [HAPPY] * 15
"""Half a minute at five frames a second: at rest, with bursts of other expressions."""


def fraction(labels, emotion):
    return np.mean([label == LABELS[EMOTION][emotion] for label in labels])


def test_a_face_that_returns_to_the_same_look_after_other_expressions_is_at_rest_in_it(make_engine):
    views = person([*EPISODES, *[NEUTRAL] * 60])
    before = watch(beliefs(make_engine, resting_face=False), views)
    after = watch(beliefs(make_engine), views)
    assert fraction(before[-60:], SAD) > 0.9
    assert fraction(after[-60:], NEUTRAL) > 0.9


def test_the_other_expressions_of_such_a_face_are_still_followed(make_engine):
    labels = watch(beliefs(make_engine), person([*EPISODES, *[NEUTRAL] * 20, *[HAPPY] * 10, *[SAD] * 15]))
    assert labels[-20] == "happy"
    assert labels[-1] == "sad"


def test_somebody_who_is_sad_throughout_stays_sad(make_engine):
    labels = watch(beliefs(make_engine), person([SAD] * 600, offset=0 * TO_SAD))
    assert fraction(labels, SAD) > 0.95


def test_another_person_under_another_id_begins_anew(make_engine):
    belief = beliefs(make_engine)
    watch(belief, person(EPISODES))
    assert belief.resting_face_known("a") > 0.5
    belief.keep(["b"])
    assert belief.resting_face_known("a") == belief.resting_face_known("b") == 0.0
    later = person([SAD] * 50, offset=0 * TO_SAD)
    fresh, after = watch(beliefs(make_engine), later, "b", 60.0), watch(belief, later, "b", 60.0)
    assert fresh == after


def test_a_model_without_facts_is_filtered_without_offsets(make_engine):
    views = person(EPISODES)
    switched_off, unknown = beliefs(make_engine, resting_face=False), beliefs(make_engine, facts=None)
    assert watch(switched_off, views) == watch(unknown, views)
    np.testing.assert_array_equal(switched_off.tasks[EMOTION].published, unknown.tasks[EMOTION].published)
    assert unknown.resting_face_known("a") == 0.0


def test_the_resting_face_is_known_little_after_a_second_and_nearly_after_a_minute(make_engine):
    known = []
    for seconds in (1, 10, 60):
        belief = beliefs(make_engine)
        watch(belief, person([NEUTRAL] * 5 * seconds))
        known.append(belief.resting_face_known("a"))
    assert known[0] < 0.5 < known[1] < known[2]
    assert known[2] > 0.8


def test_the_resting_face_of_somebody_only_seen_smiling_stays_mostly_unknown(make_engine):
    belief = beliefs(make_engine)
    watch(belief, person([HAPPY] * 3000, offset=0 * TO_SAD))
    assert belief.resting_face_known("a") < 0.4


@given(st.lists(logits, min_size=1, max_size=8), times)
def test_offsets_are_bounded_and_variances_shrink_within_the_prior(views, stamps):
    faces = RestingFaces.blank(MODEL, 1)
    for view, _ in zip(itertools.cycle(views), stamps, strict=False):
        probabilities = softmax(view)[None]
        posterior = softmax(faces.log_likelihood(probabilities))
        before = faces.variance
        faces.update(probabilities, posterior, np.ones(1), np.ones(1))
        assert (faces.variance > 0).all()
        assert (faces.variance <= before + 1e-9).all()
        assert np.linalg.norm(faces.offset) <= 5.0 * np.sqrt(MODEL.between) + 1e-9
        assert faces.offset.sum() == pytest.approx(0, abs=1e-6)
        assert 0 <= faces.known[0] < 1


@given(st.permutations(range(5)), st.lists(logits, min_size=5, max_size=5))
def test_the_order_of_views_does_not_matter_for_the_offset(order, views):
    found = []
    for rows in (range(5), order):
        faces = RestingFaces.blank(MODEL, 1)
        for row in rows:
            probabilities = softmax(views[row])[None]
            faces.update(probabilities, probabilities, np.ones(1), np.ones(1))
        found.append(np.concatenate([faces.offset[0], faces.variance]))
    np.testing.assert_allclose(*found, atol=1e-9)


@given(logits)
def test_the_likelihood_of_an_unknown_person_is_that_of_the_emotions_means(view):
    likelihood = RestingFaces.blank(MODEL, 1).log_likelihood(softmax(view)[None])[0]
    centred = view - view.mean()
    distances = ((centred - MEANS) ** 2).sum(axis=1)
    # Logits as far apart as the smallest probability are cut off.
    if np.ptp(view) < 12:
        assert likelihood[distances.argmin()] == pytest.approx(likelihood.max())


@settings(max_examples=25)
@given(st.integers(1, 60), st.floats(0.2, 0.9), st.booleans())
def test_the_prior_is_applied_once_however_many_views_there_are(count, prior, moment):
    """Views that show nothing leave the prior of the place of use, and not a power of it."""
    belief, how = TaskBelief.blank(EMOTION, 1), dataclasses.replace(OPTIONS, emotion_prior=prior)
    for view in range(count):
        belief.observe(np.full((1, 7), 1 / 7), 0.0 if moment else view / 5, np.ones(1), Dynamics.of(EMOTION, how))
    evidence = belief.published[0, NEUTRAL] / belief.published[0, HAPPY]
    assert evidence == pytest.approx(prior / ((1 - prior) / 6), rel=1e-4)
    assert belief.distribution(0, 0.0).label is None, "the prior alone is no observation"


@given(logits, st.floats(0.2, 0.8))
def test_the_prior_of_the_place_shifts_log_odds_by_a_constant(view, prior):
    found = []
    for one in (1 / 7, prior):
        belief, how = TaskBelief.blank(EMOTION, 1), dataclasses.replace(OPTIONS, emotion_prior=one, switch_odds=1.0)
        posterior = belief.update(
            np.log(softmax(view)[None]), np.ones(1), 0.0, Dynamics.of(EMOTION, how), predictions=None
        )[0]
        found.append(np.log(posterior[NEUTRAL]) - np.log(posterior[SAD]))
    assert found[1] - found[0] == pytest.approx(np.log(prior / ((1 - prior) / 6)), abs=1e-6)
