import numpy as np
import pytest
from facial_attributes_training.sampling import distribution_table, draw_rows, row_probabilities, spread_subset
from hypothesis import given
from hypothesis import strategies as st

from facial_attributes_ros.attributes import MISSING

GENDER = np.array([0] * 90 + [1] * 10 + [MISSING] * 20)
EMOTION = np.array([MISSING] * 100 + [3] * 15 + [5] * 5)
LABELS = {"gender": GENDER, "emotion": EMOTION}


def test_a_rows_weight_is_the_mean_of_its_inverse_class_frequencies():
    gender, age = np.array([0, 0, 0, 1]), np.array([2, 2, 4, MISSING])
    chances = row_probabilities({"gender": gender, "age": age})
    expected = np.array([(1 / 3 + 1 / 2) / 2, (1 / 3 + 1 / 2) / 2, (1 / 3 + 1) / 2, 1])
    np.testing.assert_allclose(chances, expected / expected.sum())


def test_classes_come_equally_often():
    drawn = draw_rows(row_probabilities({"gender": GENDER}), 1000, seed=1, epoch=0)
    counts = np.bincount(GENDER[drawn])
    assert abs(counts[0] - counts[1]) <= 2


def test_without_balance_every_row_comes_once():
    labels = {"gender": np.arange(50) % 2}
    drawn = draw_rows(row_probabilities(labels, balance=0), 50, seed=1, epoch=0)
    assert sorted(drawn) == list(range(50))


@given(share=st.floats(0.05, 0.95), seed=st.integers(0, 1000), epoch=st.integers(0, 50))
def test_emotions_are_repeated_up_to_their_share(share, seed, epoch):
    drawn = draw_rows(row_probabilities(LABELS, emotion_share=share), 400, seed, epoch)
    assert (EMOTION[drawn] != MISSING).mean() == pytest.approx(share, abs=0.05)


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
    chances = row_probabilities(labels, balance={"gender": 0, "age": 1})
    np.testing.assert_allclose(chances, 1 / 40)


def test_rows_without_a_label_are_never_drawn():
    labels = {"gender": np.array([MISSING, 0, 1, MISSING])}
    assert set(draw_rows(row_probabilities(labels), 100, 0, 0).tolist()) == {1, 2}
    with pytest.raises(ValueError, match="no row has a label"):
        row_probabilities({"gender": np.array([MISSING])})


def test_an_epoch_depends_on_seed_and_number_alone():
    chances = row_probabilities(LABELS)
    first = draw_rows(chances, 60, seed=3, epoch=2)
    np.testing.assert_array_equal(first, draw_rows(chances, 60, seed=3, epoch=2))
    assert (first != draw_rows(chances, 60, seed=3, epoch=3)).any()
    assert (first != draw_rows(chances, 60, seed=4, epoch=2)).any()


def test_the_table_tells_shares_before_and_after():
    table = distribution_table(LABELS, draw_rows(row_probabilities(LABELS), 120, 0, 0))
    female = next(row for row in table if row["label"] == "female")
    assert female["share"] == pytest.approx(0.1)
    assert female["drawn_share"] == pytest.approx(0.5, abs=0.03)


def test_a_subset_is_spread_over_all_rows():
    assert spread_subset(10, 4).tolist() == [0, 3, 6, 9]
    assert spread_subset(5, None).tolist() == [0, 1, 2, 3, 4]
    assert len(spread_subset(5, 100)) == 5
