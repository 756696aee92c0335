"""Figures under corrupted views."""

from typing import TYPE_CHECKING

from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.measure.corruptions import corruptions
from facial_attributes_training.measure.evaluation import evaluate
from facial_attributes_training.measure.fitted import Fit
from facial_attributes_training.measure.predictions import predict_manifest
from facial_attributes_training.measure.robustness import CLEAN, measure_robustness

from facial_attributes_ros.attributes import AGE, GENDER

if TYPE_CHECKING:
    from conftest import ShadeEngine


def test_every_condition_is_measured_on_the_same_samples(engine: "ShadeEngine", faces: Manifest) -> None:
    told: list[tuple[int, int]] = []
    part = faces.take(range(40))
    conditions = measure_robustness(engine, part, Fit.of(engine.spec), progress=lambda *done: told.append(done))
    assert len(conditions) == len(corruptions()) + 1
    assert told[-1] == (40 * len(conditions),) * 2
    assert {condition.results["all"][AGE].rows for condition in conditions} == {40}
    by_name = {(condition.kind, condition.label): condition.results for condition in conditions}
    whole = evaluate(predict_manifest(engine, part), engine.spec).results
    for name, tasks in by_name[CLEAN, ""].items():
        for task, figures in tasks.items():
            assert figures.accuracy == whole[name][task].accuracy
            assert figures.balanced_accuracy == whole[name][task].balanced_accuracy
    years = whole["years"][AGE].years
    assert years is not None
    assert by_name[CLEAN, ""]["years"][AGE].mae == years.mae
    # The engine reads ages from brightness, and blur takes none of it away.
    assert by_name["darkness", "25% of the light"]["all"][AGE].accuracy.value < 0.5
    assert by_name["blur", "1.0% of the side"]["all"][GENDER].accuracy.value == 1
