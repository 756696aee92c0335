import numpy as np
import pytest
from facial_attributes_training.measure.readout import CLASSES, ReadoutRows, fit_readout, folds, held_out
from scipy.special import log_softmax

SHAPES = 5


def make_rows(seed: int, known: float, unseen: float, expressive: float) -> ReadoutRows:
    """Two known and two unseen sources; pixels and expressions tell the class this clearly."""
    random = np.random.default_rng(seed)
    sources = np.repeat(["home", "hearth", "far", "away"], 140)
    labels = np.tile(np.arange(CLASSES), 80)
    strange = np.isin(sources, ["far", "away"])
    logits = random.normal(size=(len(labels), CLASSES))
    logits[np.arange(len(labels)), labels] += np.where(strange, unseen, known)
    centres = np.random.default_rng(1).normal(size=(CLASSES, SHAPES)) * expressive
    expressions = centres[labels] + random.normal(size=(len(labels), SHAPES))
    return ReadoutRows(log_softmax(logits, axis=1), expressions, labels, sources, strange)


def accuracy(logits: np.ndarray, rows: ReadoutRows, chosen: np.ndarray) -> float:
    return float(np.mean(logits[chosen].argmax(axis=1) == rows.labels[chosen]))


def test_what_is_right_elsewhere_counts_more_than_what_is_right_at_home() -> None:
    rows = make_rows(0, known=4.0, unseen=0.3, expressive=2.0)
    found = held_out(rows, [])
    assert accuracy(rows.log_probabilities, rows, rows.unseen) < 0.3
    assert accuracy(found, rows, rows.unseen) > 0.75
    assert accuracy(fit_readout(rows)(rows), rows, ~rows.unseen) > 0.75


def test_expressions_that_say_nothing_do_not_count() -> None:
    rows = make_rows(0, known=3.0, unseen=3.0, expressive=0.0)
    readout = fit_readout(rows)
    before, after = (accuracy(logits, rows, rows.unseen) for logits in (rows.log_probabilities, held_out(rows, [])))
    assert after > before - 0.05
    assert np.abs(readout.expression).max() < 0.3 * np.abs(readout.pixels).max()


def test_a_network_without_expressions_has_a_last_layer_too() -> None:
    rows = make_rows(2, known=3.0, unseen=2.0, expressive=1.0)
    rows = ReadoutRows(rows.log_probabilities, rows.expressions[:, :0], rows.labels, rows.sources, rows.unseen)
    readout = fit_readout(rows)
    assert readout.expression.shape == (CLASSES, 0)
    assert accuracy(readout(rows), rows, rows.unseen) > accuracy(rows.log_probabilities, rows, rows.unseen) - 0.05


def test_sources_that_belong_together_are_left_out_together() -> None:
    rows = make_rows(0, 1.0, 1.0, 1.0)
    assert set(folds(rows, [("far", "away")])) == {"home", "hearth", "far+away"}


def test_unseen_sources_and_classes_weigh_alike() -> None:
    rows = make_rows(0, 1.0, 1.0, 1.0)
    few = np.flatnonzero(rows.unseen)[: 2 * CLASSES]
    rows = rows.take(np.isin(np.arange(len(rows.labels)), few) | ~rows.unseen)
    assert rows.weights[rows.unseen].sum() == pytest.approx(0.5)
    assert rows.weights.sum() == pytest.approx(1)
