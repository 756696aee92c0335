"""The figures of an evaluation, recomputed by scikit-learn from the raw predictions that it leaves."""

import csv
from pathlib import Path

import numpy as np
import pytest
from facial_attributes_training.data.manifest import Manifest, Row
from facial_attributes_training.measure.evaluation import evaluate, expected_ages
from facial_attributes_training.measure.fitted import Fit
from facial_attributes_training.measure.predictions import Predictions, write_predictions

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, LABELS, TASKS
from facial_attributes_ros.models.backbones.reference import BackboneReference
from facial_attributes_ros.models.spec import ModelSpec

ROWS = 400
COLUMNS = {AGE: "age_group", GENDER: "gender", EMOTION: "emotion"}


def made_up(folder: Path) -> Predictions:
    """Random labels, of which some are missing, and logits that are right more often than not."""
    random = np.random.default_rng(3)
    rows, logits = [], {task: random.normal(size=(ROWS, len(LABELS[task]))) for task in TASKS}
    for index in range(ROWS):
        years = float(random.integers(0, 100))
        labels = {}
        for task in (GENDER, EMOTION):
            label = int(random.integers(len(LABELS[task])))
            if random.random() < 0.8:
                labels[task] = LABELS[task][label]
            logits[task][index, label] += 1.5
        source, camera = ("a", "left") if index % 3 else ("b", "right")
        rows.append(Row(str(folder / f"{index}.png"), "val", source, labels, years, extra={"camera": camera}))
    manifest = Manifest.from_rows(rows)
    logits[AGE][np.arange(ROWS), manifest.labels[AGE]] += 1.5
    return Predictions(manifest, {task: values.astype(np.float32) for task, values in logits.items()}, [])


def test_scikit_learn_finds_the_same_figures_in_the_raw_predictions(tmp_path: Path) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    spec = ModelSpec("random", BackboneReference("none"), 16, (0.5,) * 3, (0.5,) * 3)
    predictions = made_up(tmp_path)
    found = evaluate(predictions, spec)
    path = tmp_path / "predictions.csv"
    write_predictions(path, predictions, found.temperatures, expected_ages(predictions, Fit.of(spec)))
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    for source in ("a", "b", "all"):
        for task, column in COLUMNS.items():
            part = [line for line in lines if source in ("all", line["source"]) and line[column]]
            truth, guess = [line[column] for line in part], [line[f"predicted_{column}"] for line in part]
            result = found.results[source][task]
            assert result.rows == len(part)
            assert result.accuracy.value == pytest.approx(metrics.accuracy_score(truth, guess))
            assert result.balanced_accuracy.value == pytest.approx(metrics.balanced_accuracy_score(truth, guess))
            labels = list(LABELS[task])
            np.testing.assert_array_equal(result.confusion, metrics.confusion_matrix(truth, guess, labels=labels))
            assert result.f1 == pytest.approx(metrics.f1_score(truth, guess, labels=labels, average=None))
            assert result.calibration.before == pytest.approx(calibration_error(part, task), abs=1e-5)
        ages = [
            (float(line["age_years"]), float(line["expected_age"]))
            for line in lines
            if source in ("all", line["source"])
        ]
        years = found.results[source][AGE].years
        assert years is not None
        assert years.mae.value == pytest.approx(metrics.mean_absolute_error(*zip(*ages, strict=True)), abs=0.01)
    cameras = found.results["all"][EMOTION].groups["camera"]
    for camera in ("left", "right"):
        part = [line for line in lines if (line["source"] == "a") == (camera == "left") and line["emotion"]]
        right = metrics.accuracy_score([line["emotion"] for line in part], [line["predicted_emotion"] for line in part])
        assert cameras[camera].accuracy.value == pytest.approx(right)
    values = [group.accuracy.value for group in cameras.values()]
    assert found.results["all"][EMOTION].gaps["camera"] == pytest.approx(max(values) - min(values))


def calibration_error(lines: list[dict[str, str]], task: str) -> float:
    """Mean gap of confidence and accuracy over 15 equal bins, by the definition."""
    spread = np.array([[float(line[f"{task} {label}"]) for label in LABELS[task]] for line in lines])
    right = spread.argmax(axis=1) == [LABELS[task].index(line[COLUMNS[task]]) for line in lines]
    confidence = spread.max(axis=1)
    bins = np.ceil(confidence * 15)
    gaps = [abs(confidence[bins == b].mean() - right[bins == b].mean()) * (bins == b).sum() for b in set(bins)]
    return float(sum(gaps) / len(lines))
