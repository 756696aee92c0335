"""The calibration of a model that continues another one, and the figures of both."""

import numpy as np
import pytest
from facial_attributes_training.data.manifest import Manifest, Row
from facial_attributes_training.measure.against_parent import NEW, compare, kept, paired_mean
from facial_attributes_training.measure.cautious import at_temperature, calibrate_cautiously, fitted_without
from facial_attributes_training.measure.fitted import Fit
from facial_attributes_training.measure.predictions import Predictions

from facial_attributes_ros.attributes import EMOTION, GENDER, LABELS, MISSING

CLASSES = len(LABELS[EMOTION])
PARENT = Fit(
    {EMOTION: 1.2, GENDER: 0.8}, {EMOTION: 0.8, GENDER: 0.77}, gender_thresholds={"0-9": 0.98}, age_centroids=(1.0,) * 9
)


def predicted(rows: int, classes: int = CLASSES, right: float = 1.0, scale: float = 3.0, seed: int = 0) -> Predictions:
    """Return predictions of emotions of some classes, of which a fraction is right, and no other label."""
    random = np.random.default_rng(seed)
    truth = np.arange(rows) % classes
    shown = np.where(random.random(rows) < right, truth, (truth + 1) % CLASSES)
    logits = random.normal(0, 1, (rows, CLASSES)) + scale * np.eye(CLASSES)[shown]
    manifest = Manifest.from_rows([Row(f"{i}.png", source="lab") for i in range(rows)])
    manifest.labels[EMOTION][:] = truth
    both = {EMOTION: logits.astype(np.float32), GENDER: random.normal(0, 1, (rows, 2)).astype(np.float32)}
    return Predictions(manifest, both, [])


@pytest.mark.parametrize(("rows", "classes"), [(30, CLASSES), (90, CLASSES), (400, 2)])
def test_few_images_or_few_classes_do_not_make_a_model_bolder(rows: int, classes: int) -> None:
    # All right: by themselves they would say that every confidence is too low, and name every label.
    found = calibrate_cautiously(predicted(rows, classes), np.ones(rows, np.bool_), PARENT, (EMOTION,))
    assert found.temperatures[EMOTION] >= 1.2
    assert found.thresholds[EMOTION] >= 0.8


def test_many_images_of_all_classes_decide_by_themselves() -> None:
    found = calibrate_cautiously(predicted(700), np.ones(700, np.bool_), PARENT, (EMOTION,))
    assert found.temperatures[EMOTION] < 1
    assert found.thresholds[EMOTION] < 0.8
    assert found.rows == {EMOTION: 700}


def test_wrong_labels_make_a_model_more_cautious() -> None:
    found = calibrate_cautiously(predicted(90, right=0.5, scale=6), np.ones(90, np.bool_), PARENT, (EMOTION,))
    assert found.temperatures[EMOTION] > 1.5


def test_what_was_not_learned_or_has_too_few_images_stays_as_it_is() -> None:
    found = calibrate_cautiously(predicted(12), np.ones(12, np.bool_), PARENT, (EMOTION,))
    assert (found.temperatures, found.thresholds) == (PARENT.temperatures, PARENT.thresholds)
    assert found.gender_thresholds == PARENT.gender_thresholds
    assert set(found.refused) == {EMOTION}


def test_every_part_is_read_by_a_fit_on_the_others() -> None:
    predictions, parts = predicted(90, right=0.8), np.arange(90) % 3
    found = fitted_without(predictions, parts, PARENT, (EMOTION,))
    assert sum(rows.sum() for rows, _ in found) == 90
    for rows, fit in found:
        alone = calibrate_cautiously(predictions, ~rows, PARENT, (EMOTION,))
        assert fit == alone
    read = at_temperature(predictions, found, {EMOTION: 2.0, GENDER: 1.0})
    for rows, fit in found:
        own = predictions.take(rows).probabilities(EMOTION, fit.temperatures[EMOTION])
        np.testing.assert_allclose(read.take(rows).probabilities(EMOTION, 2.0), own, atol=1e-5)


def test_both_models_are_measured_on_the_same_faces() -> None:
    theirs, ours = predicted(140, right=0.6), predicted(140, right=0.9, seed=1)
    whole = [(np.ones(140, np.bool_), PARENT)]
    (change,) = compare(NEW, (ours, whole), (theirs, whole), (EMOTION,))
    right = [(each.logits[EMOTION].argmax(axis=1) == each.manifest.labels[EMOTION]).mean() for each in (theirs, ours)]
    assert (change.parent.accuracy, change.model.accuracy) == pytest.approx(right)
    assert change.accuracy.value == pytest.approx(right[1] - right[0])
    assert 0 < change.accuracy.low < change.accuracy.value < change.accuracy.high
    assert change.nll.high < 0
    assert (change.task, change.learned, change.rows) == (EMOTION, True, 140)
    (entry,) = kept(ours, theirs, (EMOTION,))
    assert (entry.task, entry.same < 1) == (GENDER, True)
    with pytest.raises(ValueError, match="different samples"):
        list(compare(NEW, (ours, whole), (theirs.take(np.arange(140) < 9), whole), (EMOTION,)))


def test_faces_of_one_person_count_as_one_draw() -> None:
    values = np.repeat([0.0, 1.0], 50)
    alone, together = (paired_mean(values, groups) for groups in (np.arange(100), np.repeat([0, 1], 50)))
    assert alone.value == together.value == 0.5
    assert alone.high - alone.low < 0.25
    assert (together.low, together.high) == (0.0, 1.0)


def test_samples_without_a_label_do_not_count() -> None:
    predictions = predicted(100)
    predictions.manifest.labels[EMOTION][::2] = MISSING
    whole = [(np.ones(100, np.bool_), PARENT)]
    (change,) = compare(NEW, (predictions, whole), (predictions, whole), ())
    assert (change.rows, change.accuracy.value, change.learned) == (50, 0.0, False)
