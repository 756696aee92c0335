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
from facial_attributes_ros.fusion.age import expected_age
from facial_attributes_ros.fusion.belief import Dynamics, TaskBelief
from facial_attributes_ros.fusion.beliefs import Beliefs
from facial_attributes_ros.fusion.effective_sample_size import effective_samples_added
from facial_attributes_ros.options import FusionOptions

OPTIONS = FusionOptions(emotion_prior=1 / 7)
"""In the streams of these tests every emotion is as frequent as any other."""

LOWEST = dict.fromkeys(LABELS, 0.0)


@functools.cache
def emotions(noise, accuracy):
    return changing_emotions(np.random.default_rng(0), 80, accuracy, noise, OPTIONS)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize(("accuracy", "times"), [(None, 5), (0.57, 5)])
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
    belief = TaskBelief.blank(task, 1)
    see(belief, np.full(len(LABELS[task]), 1 / len(LABELS[task])), 0.0, 1.0)
    assert belief.distribution(0, 0.0).label == Distribution.unknown(task).label


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_prediction_that_is_not_finite_is_no_observation(make_engine, broken):
    beliefs, clean = Beliefs(make_engine.spec, OPTIONS), Beliefs(make_engine.spec, OPTIONS)
    good = np.array([0.9, 0.1])
    for stamp in range(3):
        rows = np.array([[broken, 0.5] if stamp == 1 else good, good])
        beliefs.update(["a", "b"], {GENDER: rows}, float(stamp), [1.0, 1.0], LOWEST)
    for stamp in (0, 2):
        clean.update(["a"], {GENDER: good[None]}, float(stamp), [1.0], LOWEST)
    published = beliefs.tasks[GENDER].published
    np.testing.assert_array_equal(published[0], clean.tasks[GENDER].published[0])
    assert published[1, 0] > published[0, 0]
    before = published.copy()
    beliefs.update(["a", "b"], {GENDER: np.array([good, good])}, 3.0, [math.nan, math.nan], LOWEST)
    np.testing.assert_array_equal(beliefs.tasks[GENDER].published, before)
    assert beliefs.observations.tolist() == [2, 3]


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


def see(belief, estimate, stamp, weight=1.0, how=OPTIONS, threshold=0.0):
    belief.observe(np.asarray([estimate]), stamp, np.array([weight]), Dynamics.of(belief.task, how), threshold)


@given(st.data(), times)
def test_a_belief_stays_a_distribution_whose_label_is_the_most_probable(data, stamps):
    belief = TaskBelief.blank(EMOTION, 1)
    for stamp in stamps:
        see(belief, data.draw(distributions), float(stamp), data.draw(st.floats(0, 1)))
        assert belief.published[0].sum() == pytest.approx(1)
        assert (belief.published[0] >= 0).all()
        assert -1e-9 <= belief.uncertainty[0] <= 1 + 1e-9
        if belief.published[0].max() > 0.18:
            assert belief.distribution(0, 0.0).index == belief.label[0]


@given(distributions, st.floats(0, 1), st.floats(0, 1))
def test_a_worse_view_moves_the_belief_less(estimate, one, other):
    beliefs = [TaskBelief.blank(EMOTION, 1), TaskBelief.blank(EMOTION, 1)]
    for belief, weight in zip(beliefs, sorted((one, other)), strict=True):
        see(belief, estimate, 0.0, weight)
    assert beliefs[0].uncertainty[0] >= beliefs[1].uncertainty[0] - 1e-6


@given(st.lists(distributions, min_size=2, max_size=4), times)
def test_faces_updated_together_are_believed_as_those_updated_alone(estimates, stamps):
    together = TaskBelief.blank(EMOTION, len(estimates))
    alone = [TaskBelief.blank(EMOTION, 1) for _ in estimates]
    weights = np.full(len(estimates), 0.7)
    for stamp in stamps:
        together.observe(np.stack(estimates), float(stamp), weights, Dynamics.of(EMOTION, OPTIONS))
        for belief, estimate in zip(alone, estimates, strict=True):
            see(belief, estimate, float(stamp), 0.7)
    np.testing.assert_allclose(together.published, np.concatenate([one.published for one in alone]), atol=1e-9)


def test_estimates_of_the_same_moment_are_one_witness():
    shares = effective_samples_added(np.array([0, 0.01, 0.1, 0.5, 2, math.inf]), 0.5)
    assert shares[0] == 0
    assert shares[-1] == 1
    assert (np.diff(shares) > 0).all()


def test_evidence_for_a_time_does_not_depend_on_how_often_one_looks():
    surest = []
    for rate in (10, 40):
        belief, rng = TaskBelief.blank(GENDER, 1), np.random.default_rng(3)
        for second in range(6):
            estimate = [0.7, 0.3] if rng.random() < 0.7 else [0.3, 0.7]
            for frame in range(rate):
                see(belief, estimate, second + frame / rate)
        surest.append(belief.published[0, 0])
    assert surest[0] == pytest.approx(surest[1], abs=0.03)


def test_a_label_is_unknown_until_sure_and_then_held_a_little():
    belief = TaskBelief.blank(GENDER, 1)
    assert belief.distribution(0, 0.8).label is None
    see(belief, [0.7, 0.3], 0.0, threshold=0.8)
    assert belief.distribution(0, 0.8).label is None
    see(belief, [0.95, 0.05], 5.0, threshold=0.8)
    assert belief.distribution(0, 0.8).label == "male"
    see(belief, [0.08, 0.92], 10.0, threshold=0.8)
    assert 0.56 < belief.published[0, 0] < 0.8
    assert belief.distribution(0, 0.8).label == "male"


def test_a_label_that_is_held_goes_when_it_is_no_more_probable_than_chance():
    belief = TaskBelief.blank(GENDER, 1)
    see(belief, [0.95, 0.05], 0.0, threshold=0.8)
    assert belief.distribution(0, 0.8).label == "male"
    belief.published[0] = 0.51, 0.49
    assert belief.distribution(0, 0.8).label is None


def test_a_threshold_that_is_raised_counts_at_once_for_labels_that_were_named():
    belief = TaskBelief.blank(GENDER, 1)
    see(belief, [0.95, 0.05], 0.0, threshold=0.8)
    assert 0.9 < belief.published[0, 0] < 0.96
    assert belief.distribution(0, 0.8).label == "male"
    assert belief.distribution(0, 0.96).label is None
    assert belief.distribution(0, 0.8).label == "male", "asking changes nothing"
    see(belief, [0.95, 0.05], 1.0, threshold=0.999)
    assert belief.published[0, 0] < 0.999
    assert belief.distribution(0, 0.999).label is None
    for second in (2.0, 2.3, 2.6):
        see(belief, [0.08, 0.92], second, threshold=0.999)
    assert 0.5 < belief.published[0, 0] < 0.8
    assert belief.distribution(0, 0.8).label is None, "nothing is held that has not reached the threshold since"


def test_a_threshold_that_is_lowered_names_at_once():
    belief = TaskBelief.blank(GENDER, 1)
    see(belief, [0.75, 0.25], 0.0, threshold=0.8)
    assert belief.distribution(0, 0.8).label is None
    assert belief.distribution(0, 0.6).label == "male"


@given(st.lists(st.tuples(distributions, st.floats(0, 1)), min_size=1, max_size=8), st.floats(0, 1))
def test_what_is_named_has_reached_the_threshold_and_is_far_below_it_never(views, asked):
    belief, reached = TaskBelief.blank(EMOTION, 1), False
    for second, (estimate, threshold) in enumerate(views):
        before = belief.label[0]
        see(belief, estimate, float(second), threshold=threshold)
        best = np.float32(belief.published[0].max())
        reached = (reached and before == belief.label[0]) or best >= np.float32(threshold)
        for named in (threshold, asked):
            if belief.distribution(0, named).label is not None:
                assert best >= np.float32(named / 2)
                assert best >= np.float32(named) or (reached and named < 1)
        first, again = (belief.distribution(0, asked) for _ in range(2))
        assert first.index == again.index


@pytest.mark.parametrize("task", [AGE, GENDER, EMOTION])
def test_a_threshold_of_one_never_names_a_label(task):
    belief = TaskBelief.blank(task, 1)
    for second in range(60):
        see(belief, np.eye(len(LABELS[task]))[1], float(second), threshold=1.0)
    assert belief.published[0].max() > 0.98
    assert belief.distribution(0, 1.0).label is None
    assert Distribution(task, np.eye(len(LABELS[task]), dtype=np.float32)[1], 1.0).label is None


@pytest.mark.parametrize("threshold", [0.7, 0.8, 0.9, 0.35])
def test_a_label_is_named_from_the_threshold_on(threshold):
    exact = np.array([threshold, 1 - threshold], np.float32)
    assert Distribution(GENDER, exact, threshold).index == int(exact.argmax()) or threshold < 0.5
    below = np.array([np.nextafter(np.float32(max(threshold, 0.5)), np.float32(0)), 0.1], np.float32)
    assert Distribution(GENDER, below, max(threshold, 0.5)).label is None


def test_a_label_gives_way_only_to_one_that_is_much_more_probable():
    labels = {}
    for odds in (1.0, 6.0):
        belief = TaskBelief.blank(EMOTION, 1)
        how = dataclasses.replace(OPTIONS, switch_odds=odds)
        see(belief, [0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], 0.0, how=how)
        see(belief, [0.1, 0.5, 0.08, 0.08, 0.08, 0.08, 0.08], 20.0, how=how)
        labels[odds] = belief.distribution(0, 0.0).label
    assert labels == {1.0: "fear", 6.0: "surprise"}
    with pytest.raises(UserError):
        FusionOptions(switch_odds=0.5)


@given(st.lists(distributions, min_size=2, max_size=2), st.integers(1, 60), st.sampled_from([1.5, 3.0, 6.5]))
def test_a_label_that_takes_over_is_as_many_times_as_probable_in_what_is_published(pair, count, odds):
    """Also after many views that are all alike, whose persistent error flattens what is published."""
    belief, how = TaskBelief.blank(EMOTION, 1), dataclasses.replace(OPTIONS, switch_odds=odds)
    for k in range(2 * count):
        before = int(belief.label[0])
        see(belief, pair[k // count], k / 10, how=how)
        after = int(belief.label[0])
        if before >= 0 and after != before:
            assert belief.published[0][after] >= 0.99 * odds * belief.published[0][before]


@pytest.mark.parametrize("task", [AGE, GENDER])
def test_old_evidence_fades(task):
    """Half a minute of one class against a second of another: the other wins only when the first is long ago."""
    sure, other = (np.full(len(LABELS[task]), 0.1 / (len(LABELS[task]) - 1)) for _ in range(2))
    sure[0] = other[1] = 0.9
    believed = []
    for pause in (1.0, 10 * OPTIONS.memory[task]):
        belief = TaskBelief.blank(task, 1)
        for k in range(30):
            see(belief, sure, float(k))
        for k in range(2):
            see(belief, other, 30.0 + pause + k)
        believed.append(belief.published[0])
    assert believed[0].argmax() == 0
    assert believed[1].argmax() == 1


def test_a_face_has_the_attributes_that_were_estimated_and_no_others(make_engine):
    beliefs = Beliefs(make_engine.spec, OPTIONS)

    def attributes(tasks):
        return beliefs.attributes("fabc", 1.0, None, tasks, LOWEST)

    nothing = attributes({AGE, GENDER})
    assert math.isnan(nothing.age)
    assert nothing.gender.label is None
    assert nothing.observations == 0
    assert nothing.updated == 1.0
    beliefs.update(["fabc"], {AGE: np.eye(9, dtype=np.float32)[[3]]}, 1.5, [1.0], LOWEST)
    face = attributes({AGE, GENDER})
    assert face.age_group.label == "20-29"
    assert face.age == pytest.approx(25, abs=2)
    assert face.gender.label is None
    assert face.observations == 1
    assert face.updated == 1.5
    assert math.isnan(attributes({GENDER}).age), "age is switched off"


@given(st.lists(st.lists(st.sampled_from("abcde"), unique=True, min_size=1), min_size=1, max_size=6), st.data())
def test_tracks_keep_their_own_belief_whoever_comes_and_goes(make_engine, seen, data):
    beliefs, alone = Beliefs(make_engine.spec, OPTIONS), {}
    for second, ids in enumerate(seen):
        living = data.draw(st.sets(st.sampled_from("abcde"))) | set(ids)
        beliefs.keep(living)
        alone = {track: one for track, one in alone.items() if track in living}
        rows = np.stack([data.draw(distributions) for _ in ids])
        beliefs.update(ids, {EMOTION: rows}, float(second), np.ones(len(ids)), LOWEST)
        for track, row in zip(ids, rows, strict=True):
            one = alone.setdefault(track, Beliefs(make_engine.spec, OPTIONS))
            one.update([track], {EMOTION: row[None]}, float(second), [1.0], LOWEST)
    for track, one in alone.items():
        face, expected = (each.attributes(track, 0.0, None, {EMOTION}, LOWEST) for each in (beliefs, one))
        np.testing.assert_allclose(face.emotion.probabilities, expected.emotion.probabilities, atol=1e-6)
        assert (face.observations, face.updated) == (expected.observations, expected.updated)
    assert set(beliefs.ids) == set(alone)


@given(hnp.arrays(np.float64, 9, elements=st.floats(0, 1)).filter(lambda p: p.sum() > 0))
def test_the_expected_age_lies_between_the_centroids_and_has_an_honest_deviation(weights):
    age, deviation = expected_age(weights / weights.sum(), CENTROIDS)
    assert CENTROIDS[0] - 1e-9 <= age <= CENTROIDS[-1] + 1e-9
    assert deviation >= 3 * 0.45 / 1.645 - 1e-9


def test_label_orders_match_the_memories():
    assert set(OPTIONS.memory) == set(OPTIONS.correlations) == set(LABELS)
