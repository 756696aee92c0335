import numpy as np
import pytest
from facial_attributes_training.data.sampling import (
    capped,
    distribution_table,
    draw_independently,
    draw_rows,
    row_probabilities,
    sessa_sampling,
    spread_subset,
)
from hypothesis import given
from hypothesis import strategies as st

from facial_attributes_ros.attributes import MISSING

GENDER = np.array([0] * 90 + [1] * 10 + [MISSING] * 20)
EMOTION = np.array([MISSING] * 100 + [3] * 15 + [5] * 5)
LABELS = {"gender": GENDER, "emotion": EMOTION}


def test_a_samples_weight_is_the_mean_of_its_inverse_class_frequencies():
    gender, age = np.array([0, 0, 0, 1]), np.array([2, 2, 4, MISSING])
    probabilities = row_probabilities({"gender": gender, "age": age})
    expected = np.array([(1 / 3 + 1 / 2) / 2, (1 / 3 + 1 / 2) / 2, (1 / 3 + 1) / 2, 1])
    np.testing.assert_allclose(probabilities, expected / expected.sum())


def test_classes_come_equally_often():
    drawn = draw_rows(row_probabilities({"gender": GENDER}), 1000, seed=1, epoch=0)
    counts = np.bincount(GENDER[drawn])
    assert abs(counts[0] - counts[1]) <= 2


def test_without_balance_every_sample_comes_once():
    labels = {"gender": np.arange(50) % 2}
    drawn = draw_rows(row_probabilities(labels, balance=0), 50, seed=1, epoch=0)
    assert sorted(drawn) == list(range(50))


@given(share=st.floats(0.05, 0.95), seed=st.integers(0, 1000), epoch=st.integers(0, 50))
def test_emotions_have_their_fraction_of_the_draws(share, seed, epoch):
    drawn = draw_rows(row_probabilities(LABELS, emotion_share=share), 400, seed, epoch, LABELS)
    assert (EMOTION[drawn] != MISSING).sum() == pytest.approx(400 * share, abs=1)


def test_emotions_are_repeated_to_a_fraction_of_the_samples_before_classes_are_counted():
    # 20 of 120 samples have an emotion; as a third of all samples they count 2.5 times each.
    probabilities = row_probabilities(LABELS, emotion_rows=1 / 3)
    repeated = 2.5 / np.bincount(EMOTION[100:], minlength=7)[EMOTION[100:]] / 2.5
    expected = np.concatenate([[1 / 90] * 90, [1 / 10] * 10, repeated])
    np.testing.assert_allclose(probabilities, expected / expected.sum())
    # Where a sample has both, gender is counted with the copies.
    labels = {"gender": np.array([0, 0, 0, 1]), "emotion": np.array([3, MISSING, MISSING, MISSING])}
    found = row_probabilities(labels, emotion_rows=0.5)
    weights = np.array([3 * (1 / 5 + 1 / 3) / 2, 1 / 5, 1 / 5, 1])
    np.testing.assert_allclose(found, weights / weights.sum())
    np.testing.assert_array_equal(row_probabilities(LABELS, emotion_rows=0.1), row_probabilities(LABELS))


@given(
    st.lists(st.floats(1e-6, 1) | st.just(0.0), min_size=2, max_size=30).filter(lambda values: sum(values) > 0),
    st.floats(0.001, 1),
)
def test_no_sample_is_drawn_more_often_than_the_limit(probabilities, most):
    before = np.array(probabilities) / np.sum(probabilities)
    after = capped(before, most)
    possible = (before > 0).sum() * most >= 1
    assert after.sum() == pytest.approx(1)
    assert (after[before == 0] == 0).all()
    assert after.max() <= most * (1 + 1e-9) or not possible
    assert (np.diff(after[np.argsort(before)]) >= -1e-12).all()


def test_a_limit_keeps_the_share_of_emotions():
    probabilities = row_probabilities(LABELS, emotion_share=0.6)
    after = capped(probabilities, 0.035, EMOTION)
    assert after[EMOTION != MISSING].sum() == pytest.approx(0.6)
    assert after.max() == pytest.approx(0.035)
    assert probabilities.max() > 0.035


def test_the_thesis_code_weighs_classes_by_the_samples_of_their_task():
    """Worked by hand: w = N_t / (K_t n_tc), the mean over a sample's labels, and 1e-4 without any."""
    gender = np.array([0, 0, 0, 1, MISSING, MISSING])
    emotion = np.array([2, MISSING, MISSING, 4, 4, MISSING])
    probabilities, epoch_rows = sessa_sampling({"gender": gender, "emotion": emotion}, seed=0)
    male, female, disgust, sad = 4 / (2 * 3), 4 / (2 * 1), 3 / (2 * 1), 3 / (2 * 2)
    weights = np.array([(male + disgust) / 2, male, male, (female + sad) / 2, sad, 1e-4])
    assert epoch_rows == 6, "half of the rows have an emotion, so none is repeated"
    np.testing.assert_allclose(probabilities, weights / weights.sum())


@given(others=st.integers(60, 400), emotional=st.integers(1, 29), seed=st.integers(0, 99))
def test_the_thesis_code_repeats_emotions_to_a_third_of_the_samples_once(others, emotional, seed):
    rows = others + emotional
    emotion = np.array([MISSING] * others + [index % 3 for index in range(emotional)])
    labels = {"gender": np.array([index % 2 for index in range(others)] + [MISSING] * emotional), "emotion": emotion}
    probabilities, epoch_rows = sessa_sampling(labels, seed)
    assert epoch_rows == rows + int((0.334 * rows - emotional) / (1 - 0.334))
    assert (epoch_rows - others) / epoch_rows == pytest.approx(0.334, abs=1 / epoch_rows)
    # Every task has its samples' weight: N_t / K_t for each class of t that is there.
    assert probabilities[others:].sum() == pytest.approx((epoch_rows - others) / epoch_rows)
    np.testing.assert_array_equal(probabilities, sessa_sampling(labels, seed)[0])


def test_independent_draws_are_those_of_chance():
    probabilities = np.array([0.5, 0.3, 0.2, 0.0])
    counts = np.array(
        [np.bincount(draw_independently(probabilities, 100, 0, epoch), minlength=4) for epoch in range(400)]
    )
    np.testing.assert_allclose(counts.mean(0), 100 * probabilities, atol=1)
    # A systematic draw would hardly vary.
    np.testing.assert_allclose(counts.var(0)[:3], 100 * (probabilities * (1 - probabilities))[:3], rtol=0.25)
    np.testing.assert_array_equal(
        draw_independently(probabilities, 9, 1, 2), draw_independently(probabilities, 9, 1, 2)
    )


@given(
    rows=st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 1), st.integers(1, 5)), min_size=2, max_size=60),
    count=st.integers(1, 200),
    epoch=st.integers(0, 20),
)
def test_every_group_of_samples_comes_as_often_as_it_should(rows, count, epoch):
    table = np.array(rows)
    labels = {"gender": np.where(table[:, 1] < 0, MISSING, table[:, 1])}
    labels["emotion"] = np.where(table[:, 0] < 0, MISSING, table[:, 0])
    probabilities = table[:, 2] / table[:, 2].sum()
    drawn = draw_rows(probabilities, count, 5, epoch, labels)
    often = np.bincount(drawn, minlength=len(rows))
    assert (np.abs(often - count * probabilities) < 1 + 1e-6).all(), "a row comes as its probability says, rounded"
    for group in {(row[0], row[1]) for row in rows}:
        mask = (table[:, 0] == group[0]) & (table[:, 1] == group[1])
        assert abs(often[mask].sum() - count * probabilities[mask].sum()) < 1 + 1e-6
    for emotion in set(table[:, 0]):
        mask = table[:, 0] == emotion
        assert abs(often[mask].sum() - count * probabilities[mask].sum()) < 1 + 1e-6


def test_samples_of_a_group_take_turns():
    """Over many epochs every sample is drawn as often as its probability says, not always the same ones."""
    probabilities = np.array([0.02] * 40 + [0.01] * 20)
    counts = sum(np.bincount(draw_rows(probabilities, 10, 0, epoch), minlength=60) for epoch in range(600))
    assert (np.abs(counts - 6000 * probabilities) < 6 * np.sqrt(6000 * probabilities)).all()


def test_balanced_classes_hardly_vary_between_epochs():
    emotion = np.random.default_rng(0).choice(7, 3000, p=[0.1, 0.02, 0.06, 0.4, 0.16, 0.06, 0.2])
    probabilities = row_probabilities({"emotion": emotion})
    for epoch in range(10):
        drawn = draw_rows(probabilities, 1400, 0, epoch)
        assert np.abs(np.bincount(emotion[drawn], minlength=7) - 200).max() <= 1


def test_a_class_is_balanced_within_each_value_of_a_column():
    emotion = np.array([3] * 40 + [5] * 10 + [3] * 10 + [4] * 40)
    style = np.array(["studio"] * 50 + ["street"] * 50)
    drawn = draw_rows(row_probabilities({"emotion": emotion}, within=style), 400, seed=0, epoch=0)
    cells = [
        (style[drawn] == name) & (emotion[drawn] == label)
        for name, label in zip(("studio", "studio", "street", "street"), (3, 5, 3, 4), strict=True)
    ]
    assert [int(cell.sum()) for cell in cells] == pytest.approx([100] * 4, abs=2)


def test_a_task_of_its_own_power_is_left_as_it_is_by_the_others():
    labels = {"gender": np.array([0] * 30 + [1] * 10), "age": np.array([2] * 20 + [4] * 20)}
    probabilities = row_probabilities(labels, balance={"gender": 0, "age": 1})
    np.testing.assert_allclose(probabilities, 1 / 40)


def test_samples_without_a_label_are_never_drawn():
    labels = {"gender": np.array([MISSING, 0, 1, MISSING])}
    assert set(draw_rows(row_probabilities(labels), 100, 0, 0).tolist()) == {1, 2}
    with pytest.raises(ValueError, match="no sample has a label"):
        row_probabilities({"gender": np.array([MISSING])})


def test_an_epoch_depends_on_seed_and_number_alone():
    probabilities = row_probabilities(LABELS)
    first = draw_rows(probabilities, 60, seed=3, epoch=2)
    np.testing.assert_array_equal(first, draw_rows(probabilities, 60, seed=3, epoch=2))
    assert (first != draw_rows(probabilities, 60, seed=3, epoch=3)).any()
    assert (first != draw_rows(probabilities, 60, seed=4, epoch=2)).any()


def test_the_table_has_proportions_before_and_after():
    table = distribution_table(LABELS, draw_rows(row_probabilities(LABELS), 120, 0, 0))
    female = next(row for row in table if row["label"] == "female")
    assert female["share"] == pytest.approx(0.1)
    assert female["drawn_share"] == pytest.approx(0.5, abs=0.03)


def test_a_subset_is_spread_over_all_samples():
    assert spread_subset(10, 4).tolist() == [0, 3, 6, 9]
    assert spread_subset(5, None).tolist() == [0, 1, 2, 3, 4]
    assert len(spread_subset(5, 100)) == 5
