"""What an engine loses is counted sample by sample against another one on the same faces."""

from dataclasses import replace

import numpy as np
import pytest
from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.measure.agreement import agreement_rows, compare_engines
from facial_attributes_training.measure.predictions import Predictions

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, MISSING

ROWS = 40


def predictions(genders: np.ndarray) -> Predictions:
    unknown = np.full(ROWS, MISSING, np.int64)
    truth = np.arange(ROWS) % 2
    manifest = Manifest(
        paths=np.array([f"/{row}.jpg" for row in range(ROWS)]),
        splits=np.full(ROWS, "val"),
        sources=np.full(ROWS, "faces"),
        labels={AGE: unknown, GENDER: np.where(np.arange(ROWS) < 30, truth, MISSING), EMOTION: unknown},
        age_years=np.full(ROWS, np.nan, np.float32),
        boxes=np.ones((ROWS, 4), np.float32),
        landmarks=np.full((ROWS, 5, 2), np.nan, np.float32),
        extra={},
    )
    return Predictions(manifest, {GENDER: np.eye(2, dtype=np.float32)[genders]}, [])


def test_lost_points_are_those_of_the_samples_with_a_label() -> None:
    right = np.arange(ROWS) % 2
    corrupted = right.copy()
    corrupted[:3] = 1 - corrupted[:3]
    corrupted[35:] = 1 - corrupted[35:]  # samples without a label do not count
    (found,) = compare_engines(predictions(corrupted), predictions(right))
    assert (found.rows, found.other, found.accuracy) == (30, 1.0, pytest.approx(0.9))
    assert found.gained.value == pytest.approx(-0.1)
    assert found.gained.low <= -0.1 <= found.gained.high <= 0
    assert found.same == pytest.approx(0.9)
    assert agreement_rows([found])[0]["points_gained"].startswith("-10.00 [")


def test_other_samples_are_refused() -> None:
    one = predictions(np.zeros(ROWS, np.int64))
    fewer = replace(one, manifest=one.manifest.take(np.arange(5)))
    with pytest.raises(ValueError, match="different samples"):
        compare_engines(one, fewer)
