"""Paired intervals: the same as from all draws at once, and in little memory."""

import tracemalloc

import numpy as np
import pytest
from facial_attributes_training.measure import paired
from facial_attributes_training.measure.metrics import BOOTSTRAP_SAMPLES
from facial_attributes_training.measure.paired import Outcomes, measure


def random_outcomes(rows: int, share: float, seed: int = 0) -> Outcomes:
    """A run that is right in a fraction of its samples; of some the class is not known."""
    random = np.random.default_rng(seed)
    truth = random.integers(-1, 7, rows)
    predicted = np.where(random.random(rows) < share, truth, 0).clip(0)
    names = [("a" if index % 3 else "b", f"{index}#0") for index in range(rows)]
    return Outcomes(names, {"emotion": truth}, {"emotion": predicted})


@pytest.mark.parametrize("balanced", [False, True])
def test_draws_in_parts_are_those_of_all_at_once(balanced: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    run = random_outcomes(60, 0.5)
    found = measure([run], balanced)[0]
    monkeypatch.setattr(paired, "_DRAWS_AT_ONCE", BOOTSTRAP_SAMPLES)
    whole = measure([run], balanced)[0]
    for key, figure in found.items():
        np.testing.assert_array_equal(figure.draws, whole[key].draws)
        assert figure.rows == whole[key].rows


@pytest.mark.parametrize("balanced", [False, True])
def test_every_draw_is_measured_as_if_its_samples_were_there_so_often(balanced: bool) -> None:
    run = random_outcomes(30, 0.5)
    mine = [place for place, (source, _) in enumerate(run.rows) if source == "b"]
    truth, predicted = run.truth["emotion"][mine], run.predicted["emotion"][mine]
    places = np.argsort(np.argsort([run.rows[place] for place in mine], axis=0)[:, 1])
    draws = np.random.default_rng([0, 1]).multinomial(len(mine), np.full(len(mine), 1 / len(mine)), BOOTSTRAP_SAMPLES)
    expected = []
    for draw in draws[:50, places]:
        rows = np.repeat(np.arange(len(mine)), draw)
        rows = rows[truth[rows] >= 0]
        right = truth[rows] == predicted[rows]
        recalls = [right[truth[rows] == label].mean() for label in set(truth[rows].tolist())]
        expected.append(np.mean(recalls) if balanced else right.mean())
    found = measure([run], balanced)[0]["b", "emotion"]
    np.testing.assert_allclose(found.draws[:50], expected)


def test_memory_is_less_than_a_kilobyte_a_sample() -> None:
    runs = [random_outcomes(6000, share) for share in (0.6, 0.7)]
    tracemalloc.start()
    measure(runs)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1000 * 6000
