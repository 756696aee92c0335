"""Fusion on synthetic streams whose truth is known.

A stream is a point per class in a plain space, plus noise that drifts (first-order autoregressive, correlated over
0.5 s), seen ten times a second; an estimate is the exact posterior of one such view, hence calibrated.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from facial_attributes_ros.attributes import AGE, AGE_GROUP_STARTS, EMOTION, GENDER, LABELS, age_group_of
from facial_attributes_ros.vision.age import OLDEST, expected_age
from facial_attributes_ros.vision.fusion import Belief, FaceBelief, independent_share
from facial_attributes_ros.vision.options import FusionOptions

STEP = 0.1
CORRELATION = 0.5
OPTIONS = FusionOptions()
CENTROIDS = tuple(
    (start + end) / 2 for start, end in zip(AGE_GROUP_STARTS, [*AGE_GROUP_STARTS[1:], OLDEST], strict=True)
)


def stream(rng, truth, means, spread):
    """Return (frames, classes) estimates of a true class per frame."""
    keep = math.exp(-STEP / CORRELATION)
    noise = rng.normal(0, spread, means.shape[1])
    estimates = []
    for klass in truth:
        view = means[klass] + noise
        score = -((view - means) ** 2).sum(axis=1) / (2 * spread**2)
        score = np.exp(score - score.max())
        estimates.append(score / score.sum())
        noise = keep * noise + math.sqrt(1 - keep**2) * rng.normal(0, spread, means.shape[1])
    return np.array(estimates)


def fuse(task, estimates, weight=1.0):
    belief = Belief(task)
    fused = []
    for frame, estimate in enumerate(estimates):
        belief.update(estimate, frame * STEP, weight, OPTIONS.memory[task], OPTIONS.correlations[task])
        fused.append(belief.probabilities)
    return np.array(fused)


def changes(labels):
    return int((np.diff(labels) != 0).sum())


@pytest.fixture(scope="module")
def emotions():
    """Forty faces, 20 s of one emotion and then 5 s of another, single views right in three of four cases."""
    rng = np.random.default_rng(0)
    faces = []
    for _ in range(40):
        first, second = rng.choice(7, 2, replace=False)
        views = stream(rng, [first] * 200 + [second] * 50, np.eye(7), 0.43)
        faces.append((first, second, views, fuse(EMOTION, views)))
    return faces


def test_single_views_of_the_stream_are_right_in_three_of_four_cases(emotions):
    assert np.mean([(views[:200].argmax(1) == first).mean() for first, _, views, _ in emotions]) == pytest.approx(
        0.75, abs=0.07
    )


def test_flicker_falls_at_least_tenfold(emotions):
    before = sum(changes(views[:200].argmax(1)) for _, _, views, _ in emotions)
    after = sum(changes(fused[:200].argmax(1)) for _, _, _, fused in emotions)
    assert after * 10 <= before


def test_accuracy_rises_within_two_seconds(emotions):
    single = np.mean([(views[20:200].argmax(1) == first).mean() for first, _, views, _ in emotions])
    fused = np.mean([(fused[20:200].argmax(1) == first).mean() for first, _, _, fused in emotions])
    assert fused > single + 0.1


def test_a_change_of_emotion_is_followed_within_seven_tenths_of_a_second(emotions):
    delays = []
    for _, second, _, fused in emotions:
        follows = np.flatnonzero(fused[200:].argmax(1) == second)
        delays.append((follows[0] + 1) * STEP if len(follows) else math.inf)
    assert np.median(delays) <= 0.7


@pytest.mark.parametrize("spread", [0.6, 0.9, 1.3])
def test_intervals_of_the_age_cover_as_often_as_they_claim(spread):
    rng = np.random.default_rng(1)
    inside, deviations = [], []
    for _ in range(150):
        years = rng.uniform(3, 80)
        views = stream(rng, [age_group_of(years)] * 60, np.arange(9.0)[:, None], spread)
        results = [expected_age(probabilities, CENTROIDS) for probabilities in fuse(AGE, views)[::10]]
        inside += [abs(years - age) <= 1.645 * deviation for age, deviation in results]
        deviations.append([deviation for _, deviation in results])
    assert 0.85 <= np.mean(inside) <= 0.95
    mean = np.mean(deviations, axis=0)
    assert (np.diff(mean) < 0).all(), "more evidence makes surer"
    assert mean[-1] > 2.7, "but never surer than a group of ten years is wide"


distributions = (
    hnp.arrays(np.float64, 7, elements=st.floats(0, 1)).filter(lambda p: p.sum() > 0).map(lambda p: p / p.sum())
)
times = st.lists(st.floats(0, 5), min_size=1, max_size=12).map(np.cumsum)


@given(st.data(), times)
def test_a_belief_stays_a_distribution_whatever_comes(data, stamps):
    belief = Belief(EMOTION)
    for stamp in stamps:
        belief.update(data.draw(distributions), float(stamp), data.draw(st.floats(0, 1)), 3.0, 0.3)
        assert belief.probabilities.sum() == pytest.approx(1)
        assert (belief.probabilities >= 0).all()
        assert -1e-9 <= belief.uncertainty <= 1 + 1e-9


@given(distributions, st.floats(0, 1), st.floats(0, 1))
def test_a_worse_view_moves_the_belief_less(estimate, one, other):
    beliefs = []
    for weight in sorted((one, other)):
        belief = Belief(EMOTION)
        belief.update(estimate, 0.0, weight, 3.0, 0.3)
        beliefs.append(belief.uncertainty)
    assert beliefs[0] >= beliefs[1] - 1e-9


def test_estimates_of_the_same_moment_are_one_witness():
    assert independent_share(0.0, 0.5) == 0
    assert independent_share(math.inf, 0.5) == 1
    shares = [independent_share(seconds, 0.5) for seconds in (0.01, 0.1, 0.5, 2)]
    assert shares == sorted(shares)


def test_evidence_for_a_time_does_not_depend_on_how_often_one_looks():
    surest = []
    for rate in (10, 40):
        belief = Belief(GENDER)
        for frame in range(3 * rate):
            belief.update([0.7, 0.3], frame / rate, 1.0, 300, 0.5)
        surest.append(belief.probabilities[0])
    assert surest[0] == pytest.approx(surest[1], abs=0.02)
    assert 0.9 < surest[0] < 0.999


def test_a_label_is_unknown_until_sure_and_then_held_a_little():
    belief = Belief(GENDER)
    assert belief.distribution(0.8).label is None
    belief.update([0.7, 0.3], 0.0, 1.0, 300, 0.5)
    assert belief.distribution(0.8).label is None
    belief.update([0.9, 0.1], 5.0, 1.0, 300, 0.5)
    assert belief.distribution(0.8).label == "male"
    belief.update([0.15, 0.85], 10.0, 1.0, 300, 0.5)
    assert 0.6 < belief.probabilities[0] < 0.8
    assert belief.distribution(0.8).label == "male"


def test_a_face_knows_what_it_was_told_and_nothing_else(make_engine):
    belief = FaceBelief("fabc", born=1.0)
    detection = None
    nothing = belief.attributes(detection, frozenset({AGE, GENDER}), make_engine.spec)
    assert math.isnan(nothing.age)
    assert nothing.gender.label is None
    assert nothing.observations == 0
    belief.update({AGE: np.eye(9, dtype=np.float32)[3]}, 1.5, 1.0, OPTIONS)
    face = belief.attributes(detection, frozenset({AGE, GENDER}), make_engine.spec)
    assert face.age_group.label == "20-29"
    assert face.age == pytest.approx(25, abs=2)
    assert face.gender.label is None
    assert face.observations == 1
    assert face.updated == 1.5
    assert math.isnan(belief.attributes(detection, frozenset({GENDER}), make_engine.spec).age), "age is switched off"


@given(hnp.arrays(np.float64, 9, elements=st.floats(0, 1)).filter(lambda p: p.sum() > 0))
def test_the_expected_age_lies_between_the_centroids_and_has_an_honest_deviation(weights):
    age, deviation = expected_age(weights / weights.sum(), CENTROIDS)
    assert CENTROIDS[0] - 1e-9 <= age <= CENTROIDS[-1] + 1e-9
    assert deviation >= 3 * 0.45 / 1.645 - 1e-9


def test_label_orders_match_the_memories():
    assert set(OPTIONS.memory) == set(OPTIONS.correlations) == set(LABELS)
