"""How well two labellers agree: Cohen's kappa as scikit-learn has it, over the faces that both have labelled."""

import numpy as np
import pytest
from facial_attributes_training.data.manifest import Manifest, Row
from facial_attributes_training.labelling.agreement import (
    agreement_rows,
    cohens_kappa,
    labeller_agreement,
    matching_faces,
    quadratic_kappa,
)
from facial_attributes_training.measure.metrics import confusion_matrix
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from facial_attributes_ros.attributes import LABELS
from facial_attributes_ros.errors import UserError

EMOTIONS = LABELS["emotion"]


def labelled(labels, first=0, shift=0.0, **extra):
    """Return a manifest with one face an image; None is a face of which the labeller cannot say the emotion."""
    rows = []
    for number, label in enumerate(labels, first):
        given = {"gender": "female"} | ({} if label is None else {"emotion": label})
        rows.append(Row(f"/images/{number}.png", labels=given, box=(10 + shift, 10, 40, 40), **extra))
    return Manifest.from_rows(rows)


@given(st.integers(0, 10**6), st.integers(2, 200))
def test_kappa_is_that_of_scikit_learn(seed, count):
    one = np.random.default_rng(seed).integers(0, 5, count)
    other = np.where(np.random.default_rng(seed + 1).random(count) < 0.6, one, (one + 1) % 5)
    confusion = confusion_matrix(one, other, 5)
    if len({*one, *other}) > 1:
        assert cohens_kappa(confusion) == pytest.approx(cohen_kappa_score(one, other))
        weighted = cohen_kappa_score(one, other, weights="quadratic", labels=range(5))
        assert quadratic_kappa(confusion) == pytest.approx(weighted)


def test_faces_of_both_labellers_count_and_those_of_one_are_told():
    one = labelled(["happy", "sad", "neutral", None, "angry", "happy"])
    other = labelled(["happy", "neutral", "neutral", "sad", None, "happy", "sad", "sad"], shift=4.0)
    gender, emotion = labeller_agreement(one, other)
    assert (gender.task, gender.both, gender.same.value) == ("gender", 6, 1)
    assert np.isnan(gender.kappa.value)  # one label only
    assert (emotion.both, emotion.only_one, emotion.same.value) == (4, (1, 1), 0.75)
    assert emotion.confused == (("neutral", "sad", 1),)
    assert emotion.kappa.value == pytest.approx(0.6)
    assert emotion.kappa.low <= emotion.kappa.value <= emotion.kappa.high
    assert agreement_rows([gender])[0][3] == "-"
    assert agreement_rows([emotion])[0][:2] == ("emotion", "4")


def test_the_interval_is_narrower_with_more_faces():
    pattern = ["happy", "sad", "neutral", "angry"] * 5
    wrong = ["happy", "sad", "neutral", "happy"] * 5
    few = labeller_agreement(labelled(pattern), labelled(wrong))[-1].kappa
    many = labeller_agreement(labelled(pattern * 20), labelled(wrong * 20))[-1].kappa
    assert many.value == pytest.approx(few.value)
    assert many.high - many.low < 0.5 * (few.high - few.low)


def test_two_faces_of_one_image_are_not_taken_for_each_other():
    boxes = [(10.0, 10.0, 40.0, 40.0), (200.0, 10.0, 40.0, 40.0)]
    one = Manifest.from_rows([Row("/a.png", labels={"emotion": "sad"}, box=box) for box in boxes])
    other = Manifest.from_rows([Row("/a.png", labels={"emotion": "sad"}, box=box) for box in boxes[::-1]])
    assert [pair.tolist() for pair in matching_faces(one, other)] == [[0, 1], [1, 0]]


def test_ages_in_years_are_compared_and_age_groups_weighted():
    ages = [Manifest.from_rows([Row(f"/{n}.png", age_years=float(10 * n + more)) for n in range(6)]) for more in (2, 5)]
    (age,) = labeller_agreement(*ages)
    assert (age.years, age.same.value) == (3, 5 / 6)
    assert age.weighted is not None
    assert age.weighted.value > age.kappa.value


def test_nothing_in_common_is_a_sentence():
    with pytest.raises(UserError, match="no face in common"):
        labeller_agreement(labelled(["sad"]), labelled(["sad"], first=9))
