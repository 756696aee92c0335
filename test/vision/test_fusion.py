import dataclasses
import functools
import math

import numpy as np
import pytest
from estimate_streams import CENTROIDS, CHANGE, ENDS, NOISES, changes_a_minute, changing_emotions, fuse, points, stream
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, LABELS, Distribution
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.vision.age import expected_age
from facial_attributes_ros.vision.evidence import independent_share
from facial_attributes_ros.vision.fusion import Belief, FaceBelief, update, update_faces
from facial_attributes_ros.vision.options import FusionOptions

OPTIONS = FusionOptions()


@functools.cache
def emotions(noise, accuracy):
    return changing_emotions(np.random.default_rng(0), 80, accuracy, noise, OPTIONS)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize(("accuracy", "times"), [(None, 10), (0.57, 8)])
def test_published_labels_flicker_far_less_and_are_right_more_often(noise, accuracy, times):
    seen = emotions(noise, accuracy)
    assert changes_a_minute(seen.fused[:, :CHANGE]) * times <= changes_a_minute(seen.single[:, :CHANGE])
    assert seen.right(seen.fused) > seen.right(seen.single) + 0.2


@pytest.mark.parametrize("noise", NOISES)
def test_a_clear_change_of_emotion_is_followed_within_seven_tenths_of_a_second(noise):
    delays = emotions(noise, 0.85).delays()
    assert np.median(delays) <= 0.5
    assert np.mean(delays <= 0.7 + 1e-9) > 0.65


@pytest.mark.parametrize("task", [AGE, GENDER, EMOTION])
def test_a_view_that_shows_nothing_leaves_every_label_unknown(task):
    belief = Belief(task)
    see(belief, np.full(len(LABELS[task]), 1 / len(LABELS[task])), 0.0, 1.0)
    assert belief.distribution(0.0).label == Distribution.unknown(task).label


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_an_estimate_that_is_no_number_is_passed_over(broken):
    belief, other, clean = Belief(GENDER), Belief(GENDER), Belief(GENDER)
    good = np.array([0.9, 0.1])
    for stamp in range(3):
        rows = np.array([[broken, 0.5] if stamp == 1 else good, good])
        update([belief, other], rows, float(stamp), np.ones(2), OPTIONS)
    for stamp in (0, 2):
        see(clean, good, float(stamp), 1.0)
    np.testing.assert_array_equal(belief.probabilities, clean.probabilities)
    assert other.probabilities[0] > clean.probabilities[0]
    see(belief, good, 3.0, math.nan)
    np.testing.assert_array_equal(belief.probabilities, clean.probabilities)


@pytest.mark.parametrize("noise", NOISES)
def test_any_change_of_emotion_is_followed_within_a_few_seconds(noise):
    assert np.median(emotions(noise, None).delays()) <= 2.5


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("accuracy", [None, 0.52])
@pytest.mark.parametrize("stays", [0.0, 0.4, 0.8])
def test_intervals_of_the_age_cover_as_often_as_they_claim(noise, accuracy, stays):
    rng = np.random.default_rng(1)
    groups = rng.integers(9, size=200)
    years = rng.uniform(ENDS[groups], ENDS[groups + 1])
    estimates = stream(rng, points(AGE, accuracy), np.repeat(groups[:, None], 60, axis=1), noise, stays)
    fused = fuse(AGE, estimates, OPTIONS)[:, ::10]
    results = np.array([[expected_age(view, CENTROIDS) for view in face] for face in fused])
    inside = np.abs(years[:, None] - results[..., 0]) <= 1.645 * results[..., 1]
    assert 0.84 <= inside.mean() <= 0.96
    deviations = results[..., 1].mean(axis=0)
    assert deviations[-1] < deviations[0], "more evidence makes surer"
    if stays > 0.5:
        assert deviations[-1] > 0.65 * deviations[0], "but not of what all estimates of a face get wrong alike"


@pytest.mark.parametrize("stays", [0.0, 0.5, 0.9])
def test_the_confidence_in_a_gender_is_deserved_over_people(stays):
    rng = np.random.default_rng(2)
    truth = np.repeat(rng.integers(2, size=(200, 1)), 60, axis=1)
    fused = fuse(GENDER, stream(rng, points(GENDER), truth, "drifting", stays), OPTIONS)[:, -1]
    right = (fused.argmax(axis=1) == truth[:, -1]).mean()
    assert fused.max(axis=1).mean() == pytest.approx(right, abs=0.08)


def test_the_same_estimate_over_and_over_does_not_make_surer_than_it_is():
    estimate = np.array([0.02, 0.02, 0.08, 0.3, 0.3, 0.16, 0.08, 0.02, 0.02])
    age, deviation = expected_age(estimate, CENTROIDS)
    fused = fuse(AGE, np.tile(estimate, (1, 100, 1)), OPTIONS)
    found, claimed = expected_age(fused[0, -1], CENTROIDS)
    assert found == pytest.approx(age, abs=2)
    assert claimed > 0.85 * deviation


distributions = (
    hnp.arrays(np.float64, 7, elements=st.floats(0, 1)).filter(lambda p: p.sum() > 0).map(lambda p: p / p.sum())
)
times = st.lists(st.floats(0, 5), min_size=1, max_size=12).map(np.cumsum)


def see(belief, estimate, stamp, weight=1.0, how=OPTIONS):
    update([belief], np.asarray([estimate]), stamp, np.array([weight]), how)


@given(st.data(), times)
def test_a_belief_stays_a_distribution_whose_label_is_the_most_probable(data, stamps):
    belief = Belief(EMOTION)
    for stamp in stamps:
        see(belief, data.draw(distributions), float(stamp), data.draw(st.floats(0, 1)))
        assert belief.probabilities.sum() == pytest.approx(1)
        assert (belief.probabilities >= 0).all()
        assert -1e-9 <= belief.uncertainty <= 1 + 1e-9
        if belief.probabilities.max() > 0.18:
            assert belief.distribution(0.0).index == belief.state["label"]


@given(distributions, st.floats(0, 1), st.floats(0, 1))
def test_a_worse_view_moves_the_belief_less(estimate, one, other):
    beliefs = [Belief(EMOTION), Belief(EMOTION)]
    for belief, weight in zip(beliefs, sorted((one, other)), strict=True):
        see(belief, estimate, 0.0, weight)
    assert beliefs[0].uncertainty >= beliefs[1].uncertainty - 1e-6


@given(st.lists(distributions, min_size=2, max_size=4), times)
def test_faces_told_together_are_believed_as_those_told_alone(estimates, stamps):
    together = [Belief(EMOTION) for _ in estimates]
    alone = [Belief(EMOTION) for _ in estimates]
    for stamp in stamps:
        update(together, np.stack(estimates), float(stamp), np.full(len(estimates), 0.7), OPTIONS)
        for belief, estimate in zip(alone, estimates, strict=True):
            see(belief, estimate, float(stamp), 0.7)
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-9)


def test_estimates_of_the_same_moment_are_one_witness():
    shares = independent_share(np.array([0, 0.01, 0.1, 0.5, 2, math.inf]), 0.5)
    assert shares[0] == 0
    assert shares[-1] == 1
    assert (np.diff(shares) > 0).all()


def test_evidence_for_a_time_does_not_depend_on_how_often_one_looks():
    surest = []
    for rate in (10, 40):
        belief, rng = Belief(GENDER), np.random.default_rng(3)
        for second in range(6):
            estimate = [0.7, 0.3] if rng.random() < 0.7 else [0.3, 0.7]
            for frame in range(rate):
                see(belief, estimate, second + frame / rate)
        surest.append(belief.probabilities[0])
    assert surest[0] == pytest.approx(surest[1], abs=0.03)


def test_a_label_is_unknown_until_sure_and_then_held_a_little():
    belief = Belief(GENDER)
    assert belief.distribution(0.8).label is None
    see(belief, [0.7, 0.3], 0.0)
    assert belief.distribution(0.8).label is None
    see(belief, [0.95, 0.05], 5.0)
    assert belief.distribution(0.8).label == "male"
    see(belief, [0.08, 0.92], 10.0)
    assert 0.56 < belief.probabilities[0] < 0.8
    assert belief.distribution(0.8).label == "male"


def test_a_label_that_is_held_goes_when_it_is_no_more_probable_than_chance():
    belief = Belief(GENDER)
    see(belief, [0.95, 0.05], 0.0)
    assert belief.distribution(0.8).label == "male"
    belief.state["believed"] = 0.51, 0.49
    assert belief.distribution(0.8).label is None


def test_a_label_gives_way_only_to_one_that_is_much_more_probable():
    labels = {}
    for odds in (1.0, 6.0):
        belief = Belief(EMOTION)
        how = dataclasses.replace(OPTIONS, switch_odds=odds)
        see(belief, [0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], 0.0, how=how)
        see(belief, [0.1, 0.5, 0.08, 0.08, 0.08, 0.08, 0.08], 20.0, how=how)
        labels[odds] = belief.distribution(0.0).label
    assert labels == {1.0: "fear", 6.0: "surprise"}
    with pytest.raises(UserError):
        FusionOptions(switch_odds=0.5)


def test_a_face_knows_what_it_was_told_and_nothing_else(make_engine):
    belief = FaceBelief("fabc", born=1.0)
    detection = None
    nothing = belief.attributes(detection, frozenset({AGE, GENDER}), make_engine.spec)
    assert math.isnan(nothing.age)
    assert nothing.gender.label is None
    assert nothing.observations == 0
    update_faces([belief], {AGE: np.eye(9, dtype=np.float32)[[3]]}, 1.5, [1.0], OPTIONS)
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
