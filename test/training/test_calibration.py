"""Temperature scaling."""

import numpy as np
import pytest
from facial_attributes_training.calibration import fit_temperature, fit_temperatures
from facial_attributes_training.metrics import calibration_error
from scipy.special import softmax

from facial_attributes_ros.attributes import GENDER, MISSING


def honest_rows(rows: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from their softmax."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(rows, 4)) * 2
    chances = softmax(logits, axis=1).cumsum(axis=1)
    return logits, (random.random((rows, 1)) > chances).sum(axis=1).astype(np.int64)


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_the_factor_that_spoils_honest_logits_is_found(factor: float) -> None:
    logits, truth = honest_rows()
    temperature = fit_temperature(logits * factor, truth)
    assert temperature == pytest.approx(factor, rel=0.05)
    assert calibration_error(truth, softmax(logits * factor / temperature, axis=1)) < 0.015


def test_missing_labels_do_not_count() -> None:
    logits, truth = honest_rows(2000)
    hidden = truth.copy()
    hidden[::2] = MISSING
    assert fit_temperature(logits, hidden) == pytest.approx(fit_temperature(logits[1::2], truth[1::2]), rel=1e-3)


def test_too_few_labels_leave_the_temperature_at_one() -> None:
    logits = {GENDER: np.array([[5.0, 0.0]] * 30)}
    assert fit_temperatures(logits, {GENDER: np.full(30, MISSING)}) == {GENDER: 1.0}
